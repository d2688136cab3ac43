"""``restore sharpen``: the mean of two half maps, weighted by their FSC and sharpened by a B
factor.
"""

import argparse
import logging
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.cli.amplitudes import fit_words, refuse_fit_range
from restore.cli.maps import (
    mask_for,
    refuse_other_shape,
    refuse_voxel,
    sides,
    volume_header,
    voxel_size_zyx_A,
    voxel_words,
    warn_of_what_halves_share,
)
from restore.cli.options import add_settings, settings_from
from restore.cli.results import output_paths, refuse_existing
from restore.errors import UsageError, UserError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader, read_map, write_map
from restore.io.star import write_star
from restore.maps.fsc import FSC, FSCSettings, Voxel, half_map_fsc
from restore.maps.guinier import GuinierSettings, TooFewShellsError
from restore.maps.sharpening import Sharpening, SharpenSettings, UnresolvedError, sharpen
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_file import fsc_star
from restore.report.guinier_figure import sharpening_figure
from restore.report.guinier_file import with_sharpening
from restore.runtime.memory import keep_heap
from restore.version import __version__

log = logging.getLogger(__name__)

_OTHERS = (".star", ".png", ".settings.json")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore sharpen``."""
    group = parser.add_argument_group("input (MRC volumes)")
    group.add_argument("half1", type=Path, help="first half map, neither filtered nor sharpened")
    group.add_argument("half2", type=Path, help="second half map")
    group.add_argument(
        "--mask",
        type=Path,
        metavar="MASK",
        help="soft mask, from 0 (solvent) to 1, for the FSC; the sharpened map is written under it too (_masked.mrc)",
    )
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="voxel size in Å, whatever the headers say"
    )
    how = parser.add_argument_group("sharpening (as relion_postprocess does it, without an MTF)")
    how.add_argument(
        "--bfactor",
        type=_bfactor,
        default=None,
        metavar="X",
        help="B factor in Å², negative sharpens, e.g. -180 (default: auto, that of the Guinier fit)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("sharpened.mrc"),
        metavar="MAP",
        help="sharpened map; FSC and Guinier plot as a table (.star) and a figure (.png) go beside it"
        " (default: sharpened.mrc)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )
    add_settings(
        parser,
        "sharpening (as relion_postprocess does it, without an MTF)",
        SharpenSettings,
        ["bfactor"],
    )
    add_settings(
        parser, "fit (ln of the mean weighted amplitude over 1/d², slope B/4)", GuinierSettings
    )
    add_settings(parser, "FSC", FSCSettings, ["count"])


def run(namespace: argparse.Namespace) -> int:
    """Compute the FSC, sharpen, write everything, print a summary; the exit status comes back."""
    settings, guinier = (
        settings_from(namespace, SharpenSettings),
        settings_from(namespace, GuinierSettings),
    )
    fsc_settings = settings_from(namespace, FSCSettings)
    keep_heap()
    _refuse_wrong_use(namespace, settings, guinier, fsc_settings)
    written = output_paths(namespace.output, ".mrc", _OTHERS, namespace.overwrite)
    masked = (
        namespace.output.with_name(f"{namespace.output.stem}_masked.mrc")
        if namespace.mask
        else None
    )
    refuse_existing([masked] if masked else [], namespace.overwrite)
    headers = [volume_header(path) for path in (namespace.half1, namespace.half2)]
    refuse_other_shape(headers[0], headers[1])
    voxel_A = voxel_size_zyx_A(headers, namespace.pixel_size)
    mask = mask_for(namespace.mask, headers[0])
    warn_of_what_halves_share(headers)
    first, second = (torch.from_numpy(read_map(header)) for header in headers)
    fsc = half_map_fsc(first, second, voxel_A, fsc_settings, mask)
    sharpening = _sharpened((first[0] + second[0]) / 2, voxel_A, fsc, settings, guinier)
    inputs = {name: getattr(namespace, name) for name in ("half1", "half2", "mask")} | {
        "voxel_size_zyx_A": voxel_A
    }
    made = provenance({"sharpening": settings, "fit": guinier, "fsc": fsc_settings}, inputs)
    write_text(written[3], as_json(made) + "\n")
    labels = _labels(headers, sharpening)
    write_map(written[0], sharpening.volume.numpy(), voxel_A, headers[0].origin_zyx_A, labels)
    if masked and mask is not None:
        write_map(
            masked, (sharpening.volume * mask).numpy(), voxel_A, headers[0].origin_zyx_A, labels
        )
    star = fsc_star(
        fsc, str(namespace.half1), str(namespace.half2), namespace.mask and str(namespace.mask)
    )
    write_star(written[1], with_sharpening(star, sharpening))
    save_png(sharpening_figure(sharpening, fsc, namespace.output.name), written[2])
    print(_summary(sharpening, fsc, headers[0], voxel_A))
    print(*written[:1], *([masked] if masked else []), *written[1:3], sep="\n")
    return 0


def _bfactor(text: str) -> float | None:
    """The B factor of an option: None for "auto"."""
    return None if text == "auto" else float(text)


def _refuse_wrong_use(
    namespace: argparse.Namespace,
    settings: SharpenSettings,
    guinier: GuinierSettings,
    fsc: FSCSettings,
) -> None:
    refuse_voxel(namespace.pixel_size)
    refuse_fit_range(guinier)
    if settings.bfactor is not None and not math.isfinite(settings.bfactor):
        raise UsageError(
            f"--bfactor is {settings.bfactor:g}", wanted='A number in Å² is needed, or "auto"'
        )
    if settings.lowpass is not None and not 0 <= settings.lowpass < math.inf:
        raise UsageError(
            f"--lowpass is {settings.lowpass:g}",
            wanted="A resolution in Å is needed, or 0 for none",
        )
    if not 0 < fsc.randomize_at_fsc <= 1:
        raise UsageError(
            f"--randomize_at_fsc is {fsc.randomize_at_fsc:g}",
            wanted="A correlation from 0 to 1 is needed",
        )
    if settings.bfactor is not None and settings.bfactor > 0:
        log.warning(
            "a B factor of %g Å² blurs: sharpening needs a negative one, as in RELION",
            settings.bfactor,
        )


def _sharpened(
    mean: Float[Tensor, "z y x"],
    voxel_A: Voxel,
    fsc: FSC,
    settings: SharpenSettings,
    guinier: GuinierSettings,
) -> Sharpening:
    try:
        return sharpen(mean, voxel_A, fsc, settings, guinier)
    except UnresolvedError as error:
        do = "check that both are halves of one reconstruction"
        raise UserError(str(error), wanted="There is nothing to sharpen", do=do) from error
    except TooFewShellsError as error:
        do = "give a coarser --fit_from, a finer --fit_to, or the --bfactor itself"
        raise UserError(
            f"there are {error}", wanted="The B factor's line needs three", do=do
        ) from error


def _labels(headers: list[MapHeader], sharpening: Sharpening) -> list[str]:
    """Those of the half maps, which say how they came about, and what was done to them."""
    lowpass = f", low-pass {sharpening.lowpass_A:.2f} A" if sharpening.lowpass_A else ""
    kept = dict.fromkeys(label for header in headers for label in header.labels)
    return [
        *list(kept)[:9],
        f"restore {__version__} sharpened: B {sharpening.bfactor_A2:.1f} A2{lowpass}",
    ]


def _summary(sharpening: Sharpening, fsc: FSC, header: MapHeader, voxel_A: Voxel) -> str:
    """What a person wants to know at once."""
    last = fsc.last_shell_above()
    lowpass = f"{sharpening.lowpass_A:.2f} Å" if sharpening.lowpass_A else "none"
    curve = "corrected for the mask" if fsc.corrected is not None else "unmasked"
    lines = [
        f"{sides(header)}, {voxel_words(voxel_A)} Å each",
        f"resolution  {1 / float(fsc.frequency_per_A[last]):.2f} Å (FSC = 0.143, {curve}, by RELION's rule)",
        f"fit         {fit_words(sharpening.fit) if sharpening.fit else 'none'}",
        f"B factor    {sharpening.bfactor_A2:.1f} Å² applied",
        f"low-pass    {lowpass}",
    ]
    return "\n".join(lines)
