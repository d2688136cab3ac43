"""Options and texts that the commands about maps share."""

import argparse
import math
from pathlib import Path

from restore.io.images.maps import MapHeader
from restore.maps.fsc import FSC, Voxel
from restore.maps.guinier import GuinierFit
from restore.postprocessing.map_files import describe_shape, describe_voxel


def add_voxel_option(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    """Add ``--pixel_size`` of maps."""
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="voxel size in Å, which overrides the headers"
    )


def add_mask_option(group: "argparse._ArgumentGroup", words: str) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add ``--mask``, described by ``words``."""
    group.add_argument("--mask", type=Path, metavar="MASK", help=words)


def add_output_options(
    parser: argparse.ArgumentParser, metavar: str, words: str, default: Path | None = None
) -> None:
    """Add ``--output`` and ``--overwrite``."""
    group = parser.add_argument_group("output")
    group.add_argument("--output", "-o", type=Path, default=default, metavar=metavar, help=words)
    group.add_argument("--overwrite", action="store_true", help="replace existing files")


def grid_words(header: MapHeader, voxel_size_zyx_A: Voxel) -> str:
    """The grid of a map, such as "64 x 64 x 64 voxels, 1.5 Å each"."""
    return f"{describe_shape(header)}, {describe_voxel(voxel_size_zyx_A)} Å each"


def shell_words(fsc: FSC, shells: str = "shells") -> str:
    """The number and width of the shells of an FSC, in words."""
    return f"{len(fsc.frequency_per_A)} {shells}, 1/{1 / float(fsc.frequency_per_A[1]):.4g} Å wide"


def crossing_words(fsc: FSC, name: str, threshold: float) -> str:
    """The resolution at which a curve falls under a threshold, in words for a table."""
    crossing_A = fsc.crossing_A(fsc.curves[name], threshold)
    if crossing_A is None:
        return "nowhere"
    return "at once" if math.isinf(crossing_A) else f"{crossing_A:.2f} Å"


def fall_words(fsc: FSC, name: str, threshold: float) -> str:
    """Where a curve falls under a threshold, as the end of a sentence."""
    crossing_A = fsc.crossing_A(fsc.curves[name], threshold)
    if crossing_A is None:
        return f"never falls below {threshold:g}"
    place = "in the first shell" if math.isinf(crossing_A) else f"at {crossing_A:.2f} Å"
    return f"falls below {threshold:g} {place}"


def fit_words(fit: GuinierFit | None) -> str:
    """A Guinier fit in words, "none" without one."""
    if fit is None:
        return "none"
    return (
        f"B = {fit.bfactor_A2:.1f} ± {fit.bfactor_error_A2:.1f} Å² from {fit.from_A:g} to "
        f"{fit.to_A:.3g} Å ({fit.shells} shells, r² = {fit.r_squared:.3f})"
    )
