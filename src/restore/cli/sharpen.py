"""``restore sharpen``: the mean of two half maps, weighted by their FSC and sharpened by a B
factor.
"""

import argparse
from pathlib import Path

from restore.cli.maps import (
    add_mask_option,
    add_output_options,
    add_voxel_option,
    fit_words,
    grid_words,
)
from restore.cli.options import add_settings, settings_from
from restore.maps.fsc import FSCSettings
from restore.maps.guinier import GuinierSettings
from restore.maps.sharpening import SharpenSettings
from restore.postprocessing.sharpen import SharpenedMap, SharpenRecipe, sharpen_half_maps
from restore.runtime.memory import tune_malloc

_HOW = "sharpening (as in relion_postprocess, without an MTF)"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore sharpen``."""
    group = parser.add_argument_group("input (MRC volumes)")
    group.add_argument("half1", type=Path, help="first half map, neither filtered nor sharpened")
    group.add_argument("half2", type=Path, help="second half map")
    add_mask_option(
        group,
        "soft mask for the FSC, from 0 (solvent) to 1; the masked sharpened map is written too "
        "(_masked.mrc)",
    )
    add_voxel_option(group)
    group = parser.add_argument_group(_HOW)
    group.add_argument(
        "--bfactor",
        type=_bfactor,
        default=None,
        metavar="X",
        help="B factor in Å², negative to sharpen, e.g. -180 (default: auto, that of the Guinier "
        "fit)",
    )
    add_output_options(
        parser,
        "MAP",
        "sharpened map; a table of FSC and Guinier plot (.star) and a figure (.png) are written "
        "beside it (default: sharpened.mrc)",
        Path("sharpened.mrc"),
    )
    add_settings(parser, _HOW, SharpenSettings, ["bfactor"])
    add_settings(
        parser, "fit (ln of the mean weighted amplitude against 1/d², slope B/4)", GuinierSettings
    )
    add_settings(parser, "FSC", FSCSettings, ["count"])


def run(namespace: argparse.Namespace) -> int:
    """Compute the FSC, sharpen, write everything, print a summary; returns the exit status."""
    recipe = SharpenRecipe(
        settings_from(namespace, SharpenSettings),
        settings_from(namespace, GuinierSettings),
        settings_from(namespace, FSCSettings),
    )
    tune_malloc()
    sharpened = sharpen_half_maps(
        namespace.half1,
        namespace.half2,
        recipe,
        mask=namespace.mask,
        pixel_size_A=namespace.pixel_size,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_words(sharpened), *sharpened.files, sep="\n")
    return 0


def _bfactor(text: str) -> float | None:
    """The B factor of an option: None for "auto"."""
    return None if text == "auto" else float(text)


def _words(sharpened: SharpenedMap) -> str:
    sharpening, fsc = sharpened.sharpening, sharpened.fsc
    resolution_A = 1 / float(fsc.frequency_per_A[fsc.last_shell_above()])
    curve = "corrected for the mask" if fsc.corrected is not None else "unmasked"
    lowpass = f"{sharpening.lowpass_A:.2f} Å" if sharpening.lowpass_A else "none"
    lines = [
        grid_words(sharpened.header, sharpened.voxel_size_zyx_A),
        f"resolution  {resolution_A:.2f} Å (FSC = 0.143, {curve}, by RELION's rule)",
        f"fit         {fit_words(sharpening.fit)}",
        f"B factor    {sharpening.bfactor_A2:.1f} Å² applied",
        f"low-pass    {lowpass}",
    ]
    return "\n".join(lines)
