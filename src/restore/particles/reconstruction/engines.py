"""The door for half maps: by RELION's program or by the library's, whichever was asked for or is
there.
"""

import logging
from pathlib import Path

from restore.errors import UserError
from restore.io.cryosparc.ctf import aberrations as cryosparc_aberrations
from restore.io.cryosparc.datasets import read_dataset
from restore.io.particle_images import ParticleImages
from restore.io.particles import is_cryosparc
from restore.io.relion.optics import aberrations
from restore.particles.reconstruction.halves import (
    HalfMaps,
    ReconstructionSettings,
    Watch,
    reconstruct_halves,
)
from restore.particles.reconstruction.relion import reconstruct_halves_by_relion, relion_is_there

log = logging.getLogger(__name__)


def half_maps(
    images: ParticleImages, settings: ReconstructionSettings, watch: Watch = lambda _: None
) -> HalfMaps:
    """Both half maps by ``settings.engine``; "auto" is RELION where it is installed and can do it,
    else the library.

    Raises
    ------
    UserError
        As :func:`reconstruct_halves` and :func:`reconstruct_halves_by_relion`.
    """
    engine = chosen_engine(images, settings)
    _warn_of_aberrations(Path(images.particles.source), engine)
    if engine == "relion":
        return reconstruct_halves_by_relion(images, settings, watch)
    return reconstruct_halves(images, settings, watch)


def _warn_of_aberrations(source: Path, engine: str) -> None:
    """Say what stays in the maps: RELION corrects what is in the optics table, which a .cs file has
    none of.
    """
    if is_cryosparc(source):
        found, who = cryosparc_aberrations(read_dataset(source)), "which are left in"
    else:
        found, who = [] if engine == "relion" else aberrations(source), "which only RELION corrects"
    if found:
        log.warning("%s has aberrations beyond the CTF (%s), %s", source, ", ".join(found), who)


def chosen_engine(images: ParticleImages, settings: ReconstructionSettings) -> str:
    """``relion`` or ``torch``."""
    if settings.engine not in ("auto", "relion", "torch"):
        raise UserError(
            f"the engine is {settings.engine}", wanted="auto, relion or torch is needed"
        )
    if settings.engine != "auto":
        return settings.engine
    signs = images.particles.contrast_signs
    one_contrast = signs is None or len({sign < 0 for sign in signs.tolist()}) == 1
    known = not settings.symmetry.strip().upper().startswith("DY")
    return "relion" if relion_is_there() and one_contrast and known else "torch"
