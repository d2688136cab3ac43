"""Small sessions for tests of evaluation: micrographs with their halves on a disk, and small
models.
"""

from pathlib import Path

import torch
from half_pairs import half_pair

from restore.io.images.image import read_image, write_image
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

PIXEL_A = 4.0
SHAPE = (120, 144)
RECIPE = Recipe(max_resolution_A=9.0)
CTF = CTFParameters(12000.0, 11800.0, 10.0, 300.0, 2.7, 0.1)

_STAR = """
data_optics

loop_
_rlnOpticsGroup
_rlnMicrographPixelSize
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
1 4.0 300.0 2.7 0.1

data_micrographs

loop_
_rlnMicrographName
_rlnOpticsGroup
_rlnDefocusU
_rlnDefocusV
_rlnDefocusAngle
"""


def write_session(folder, names="abcd", shape=SHAPE, noise=1.0, power=4.0):
    """Write mics/NAME_EVN.mrc, mics/NAME_ODD.mrc of every name, and mics.star."""
    rows = [f"mics/{name}_DW.mrc 1 12000.0 11800.0 10.0\n" for name in names]
    for index, name in enumerate(names):
        for suffix, half in zip(("EVN", "ODD"), half_pair(shape, noise, index, power), strict=True):
            write_image(folder / f"mics/{name}_{suffix}.mrc", (20 + half).numpy(), PIXEL_A)
    (folder / "mics.star").write_text(_STAR + "".join(rows))
    return folder


def write_full_sums(folder, names):
    """Write mics/NAME_DW.mrc, the sum of the halves that `write_session` wrote."""
    for name in names:
        mics = folder / "mics"
        even, odd = (read_image(mics / f"{name}_{half}.mrc").data for half in ("EVN", "ODD"))
        write_image(mics / f"{name}_DW.mrc", even + odd, PIXEL_A)


def micrographs(folder, names="abcd"):
    """The records of what `write_session` wrote."""
    mics = Path(folder) / "mics"
    return [Micrograph(f"mics/{name}_DW.mrc", mics / f"{name}_DW.mrc", PIXEL_A, row, CTF,
                       mics / f"{name}_EVN.mrc", mics / f"{name}_ODD.mrc") for row,
                       name in enumerate(names)]  # fmt: skip


def model(seed=0, recipe=RECIPE, trained_on=(), held_out=()):
    """A small network that has learned nothing."""
    network = build_network(
        NetworkSettings("waunet", filters=4, blocks=1), torch.Generator().manual_seed(seed)
    ).eval()
    return Model(network, recipe, {"trained_on": list(trained_on), "held_out": list(held_out)})


def write_model(path, **known):
    """Write such a model; its path comes back."""
    save_model(path, model(**known))
    return path
