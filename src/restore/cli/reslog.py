"""``restore reslog``: how resolution grows with the number of particles."""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from restore.cli.maps import add_mask_option, add_output_options
from restore.cli.options import add_settings, settings_from
from restore.cli.progress import Bar
from restore.maps.reslog import Estimate, ResLogCurve, ResLogFit, ResLogSettings
from restore.particles.reconstruction.halves import ReconstructionSettings
from restore.particles.reconstruction.reslog_files import (
    ReslogComparison,
    ReslogInputs,
    measure_reslog,
)
from restore.runtime.memory import tune_malloc

_NEAR_NYQUIST = 0.85


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore reslog``."""
    parser.add_argument(
        "particles",
        nargs="+",
        type=Path,
        metavar="PARTICLES",
        help=(
            "particles with orientations: RELION STAR or cryoSPARC .cs or .csg; from several "
            "files (raw, denoised), only the particles that all of them have are used"
        ),
    )
    _add_comparison(parser.add_argument_group("comparison"))
    add_settings(parser, "subsets", ResLogSettings)
    add_settings(
        parser,
        "reconstruction",
        ReconstructionSettings,
        leave_out=("seed", "phases_flipped", "engine"),
    )
    add_output_options(
        parser,
        "STAR",
        "table of points and lines; the figure and the settings are written beside it (default: "
        "reslog.star)",
        Path("reslog.star"),
    )


def _add_comparison(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of the files (default: raw denoised for two files, otherwise the files' names)",
    )
    group.add_argument(
        "--phases_flipped",
        dest="flipped",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names of the files whose images are phase-flipped although the file does not say so "
        "(rlnCtfDataArePhaseFlipped)",
    )
    group.add_argument(
        "--max_resolution",
        "-r",
        type=float,
        metavar="X",
        help=(
            "finest resolution to reconstruct (Å): half the box takes an eighth of the time; "
            "leave a margin beyond the resolution that all particles reach (default: the images' "
            "Nyquist)"
        ),
    )
    add_mask_option(group, "soft mask for the FSC, which is corrected for the mask")
    group.add_argument(
        "--tolerance_px",
        type=float,
        default=5.0,
        metavar="X",
        help="largest distance between the coordinates of a particle in two files, in pixels of "
        "the micrographs (default: 5)",
    )


def run(namespace: argparse.Namespace) -> int:
    """Reconstruct the subsets, fit the lines, write and print them; returns the exit status."""
    inputs = ReslogInputs(
        tuple(namespace.particles),
        tuple(namespace.labels),
        tuple(namespace.flipped),
        namespace.max_resolution,
        namespace.mask,
        namespace.tolerance_px,
    )
    settings = settings_from(namespace, ResLogSettings)
    tune_malloc()
    comparison = measure_reslog(
        inputs,
        settings,
        settings_from(namespace, ReconstructionSettings),
        output=namespace.output,
        overwrite=namespace.overwrite,
        bars=Bar,
    )
    print(*_words(comparison, settings.repeats), *comparison.files, sep="\n")
    return 0


def _words(comparison: ReslogComparison, repeats: int) -> Iterator[str]:
    """The summary: each curve, the differences, and remarks."""
    for name, (curve, fit) in comparison.curves.items():
        smallest, largest = curve.particles[0], curve.particles[-1]
        yield (
            f"{name}: {len(curve.particles)} sizes from {smallest} to {largest} particles, "
            f"{repeats} time{'s' * (repeats != 1)}"
        )
        yield from (f"  {line}" for line in _curve_words(curve, fit))
    yield from _difference_words(comparison)
    for name, (curve, _) in comparison.curves.items():
        near = curve.fitted & (curve.frequency_per_A > _NEAR_NYQUIST * curve.nyquist_per_A)
        if near.any():
            yield (
                f"{name}: {near.sum()} points lie near Nyquist ({1 / curve.nyquist_per_A:.2f} Å), "
                "where the pixel size, not the number of particles, limits the resolution."
            )
    if repeats > 1:
        yield (
            "The brackets hold 95 % intervals: how much the values would vary with other subsets "
            "of these particles, not with other data."
        )


def _difference_words(comparison: ReslogComparison) -> Iterator[str]:
    first = next(iter(comparison.curves))
    for name, difference in comparison.differences.items():
        if difference is not None:
            gain = _estimate_words(difference.frequency_per_A, "+.4f", "1/Å")
            unit = f"times the particles of {first}"
            yield f"{name} minus {first}, over {difference.pairs} pairs of subsets:"
            yield f"  1/resolution     {gain}"
            yield f"  worth            {_estimate_words(difference.particles_ratio, '.2f', unit)}"


def _curve_words(curve: ResLogCurve, fit: ResLogFit | None) -> Iterator[str]:
    best_per_A = curve.frequency_per_A[0, -1]
    best = (
        "below 0.143 in the first shell"
        if best_per_A == 0
        else f"{1 / min(best_per_A, curve.nyquist_per_A):.2f} Å"
    )
    yield f"all particles    {best}{' (Nyquist)' if math.isinf(best_per_A) else ''}"
    if fit is None:
        yield "no line: fewer than two subset sizes have a resolution"
    else:
        rows = (
            ("slope", fit.slope_per_A, ".4f", "1/Å per tenfold number of particles"),
            ("intercept", fit.intercept_per_A, ".4f", "1/Å, for one particle"),
            ("B factor", fit.bfactor_A2, ".0f", "Å² (Rosenthal & Henderson)"),
        )
        for label, estimate, form, unit in rows:
            yield f"{label:<16} {_estimate_words(estimate, form, unit)}"
    reasons = (
        (curve.at_nyquist, "never fall below 0.143 up to Nyquist"),
        (curve.at_once, "are below 0.143 in the first shell"),
    )
    for which, reason in reasons:
        if which.any():
            yield f"not fitted       {which.sum()} of {which.size} points, which {reason}"


def _estimate_words(estimate: Estimate, form: str, unit: str) -> str:
    interval = (
        "" if math.isnan(estimate.low) else f" ({estimate.low:{form}} to {estimate.high:{form}})"
    )
    return f"{estimate.value:{form}}{interval} {unit}"
