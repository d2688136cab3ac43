"""``restore reslog``: how resolution grows with the number of particles."""

import argparse
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from restore.cli.options import add_settings, settings_from
from restore.cli.progress import Bar
from restore.cli.results import output_paths
from restore.errors import UsageError
from restore.io.atomic import write_text
from restore.io.denoised_mark import shows_denoised
from restore.io.particle_images import ParticleImages, open_particle_images
from restore.io.particles import match
from restore.io.star import write_star
from restore.maps.reslog import (
    Estimate,
    ResLogCurve,
    ResLogDifference,
    ResLogFit,
    ResLogSettings,
    compare_reslog,
    fit_reslog,
    growth_orders,
    subset_sizes,
)
from restore.particles.reconstruction.halves import ReconstructionSettings, accumulator, half_sets
from restore.particles.reconstruction.reslog import Growth, resolutions_per_A, work
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.reslog_figure import reslog_figure
from restore.report.reslog_file import reslog_star
from restore.runtime.memory import keep_heap
from restore.structure.volumes import box_mask

log = logging.getLogger(__name__)

_NEAR_NYQUIST = 0.85
Curves = Mapping[str, tuple[ResLogCurve, ResLogFit | None]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore reslog``."""
    parser.add_argument(
        "particles",
        nargs="+",
        type=Path,
        metavar="PARTICLES",
        help="particles with orientations: RELION STAR or cryoSPARC .cs or .csg; of several files (raw, denoised)"
        " the same particles are taken",
    )
    _add_comparison(parser.add_argument_group("comparison"))
    add_settings(parser, "subsets", ResLogSettings)
    add_settings(
        parser, "reconstruction", ReconstructionSettings, leave_out=("seed", "phases_flipped")
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("reslog.star"),
        metavar="STAR",
        help="points and lines; the figure and the settings go beside it (default: reslog.star)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run"
    )


def _add_comparison(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--labels",
        nargs="+",
        metavar="NAME",
        help="a name for each file (default: raw denoised, or the files')",
    )
    group.add_argument(
        "--phases_flipped",
        dest="flipped",
        nargs="+",
        default=[],
        metavar="NAME",
        help="the files, by their names here, whose images are phase-flipped and do not say so (rlnCtfDataArePhaseFlipped)",
    )
    group.add_argument(
        "--max_resolution",
        "-r",
        type=float,
        metavar="X",
        help="reconstruct nothing finer (Å): half the box takes an eighth of the time; leave room beyond what all"
        " particles reach (default: the images' Nyquist)",
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="MASK",
        help="soft mask for the FSC, whose effect is corrected for",
    )
    group.add_argument(
        "--tolerance_px",
        type=float,
        default=5.0,
        metavar="X",
        help="how far apart coordinates of the same particle may be, in pixels of the micrographs (default: 5)",
    )


def run(namespace: argparse.Namespace) -> int:
    """Reconstruct the subsets, fit the lines, write and print them; the exit status comes back."""
    settings, making = settings_from(namespace, ResLogSettings), _making(namespace)
    labels = _labels(namespace)
    keep_heap()
    written = output_paths(
        namespace.output, ".star", [".png", ".settings.json"], namespace.overwrite
    )
    files = [open_particle_images(path) for path in namespace.particles]
    growths = _growths(files, labels, making, namespace)
    rows = _common_rows(files, namespace.tolerance_px)
    sizes = subset_sizes(len(rows[0]), settings)
    orders = growth_orders(growths[0].half_sets[rows[0]], settings)
    _warn_of_denoised(files, labels)
    total = work(settings.repeats, sizes)
    curves: dict[str, tuple[ResLogCurve, ResLogFit | None]] = {}
    with Bar(total * len(files), "images", "reconstructing") as bar:
        for number, (label, growth, its) in enumerate(zip(labels, growths, rows, strict=True)):
            before = number * total
            found = resolutions_per_A(
                growth, its[orders], sizes, lambda done, before=before: bar.to(before + done)
            )
            curve = ResLogCurve(np.array(sizes), found, 0.5 / growth.voxel_size_A)
            curves[label] = curve, fit_reslog(curve)
    differences = {
        label: compare_reslog(curves[labels[0]][0], curves[label][0]) for label in labels[1:]
    }
    star, figure, record = written
    inputs = {
        name: getattr(namespace, name)
        for name in ("particles", "mask", "flipped", "max_resolution")
    }
    inputs["labels"] = labels
    write_text(
        record, as_json(provenance({"subsets": settings, "reconstruction": making}, inputs)) + "\n"
    )
    write_star(star, reslog_star(curves, differences))
    save_png(
        reslog_figure(curves, f"{len(rows[0])} particles, symmetry {making.symmetry.upper()}"),
        figure,
    )
    print("\n".join(_summary(curves, differences, settings)), star, figure, sep="\n")
    return 0


def _making(namespace: argparse.Namespace) -> ReconstructionSettings:
    return replace(
        settings_from(namespace, ReconstructionSettings), seed=getattr(namespace, "seed", 0)
    )


def _labels(namespace: argparse.Namespace) -> list[str]:
    """A name for each file, those that were typed, or raw and denoised for two, or the files' own."""
    paths: list[Path] = namespace.particles
    labels = namespace.labels or (
        ["raw", "denoised"] if len(paths) == 2 else [path.stem for path in paths]
    )
    if len(labels) != len(paths) or len(set(labels)) != len(labels):
        found = f"the labels are {', '.join(labels)}"
        raise UsageError(
            found, wanted=f"{len(paths)} different ones are needed", do="give them with --labels"
        )
    if namespace.max_resolution is not None and not namespace.max_resolution > 0:
        raise UsageError(
            f"--max_resolution is {namespace.max_resolution:g}", wanted="Å above 0 are needed"
        )
    unknown = sorted(set(namespace.flipped) - set(labels))
    if unknown:
        raise UsageError(
            f"--phases_flipped names {unknown[0]}",
            wanted=f"The files are called {', '.join(labels)}",
        )
    return labels


def _growths(
    files: Sequence[ParticleImages],
    labels: Sequence[str],
    making: ReconstructionSettings,
    namespace: argparse.Namespace,
) -> list[Growth]:
    """What is reconstructed of each file; anything that a reconstruction would refuse is refused
    here.
    """
    growths: list[Growth] = []
    for images, label in zip(files, labels, strict=True):
        own = replace(making, phases_flipped=label in namespace.flipped)
        mask = box_mask(namespace.mask, images.box_px)
        growths.append(
            Growth(
                images,
                half_sets(images.particles, making.seed),
                own,
                mask,
                namespace.max_resolution,
            )
        )
        accumulator(images, own)
    return growths


def _warn_of_denoised(files: Sequence[ParticleImages], labels: Sequence[str]) -> None:
    """Say where a gain of resolution may be the network's: what it adds can be common to both
    halves.
    """
    denoised = [
        label for images, label in zip(files, labels, strict=True) if shows_denoised(images)
    ]
    if denoised:
        words = "%s: restore denoised the images. What the network adds can be common to both halves: their resolution may be too high"
        log.warning(words, ", ".join(denoised))


def _common_rows(
    files: Sequence[ParticleImages], tolerance_px: float
) -> list[Int[np.ndarray, "m"]]:
    """The rows, in each file, of the particles that all files hold, in the order of the first."""
    first = files[0].particles
    rows = np.arange(len(first))
    partners = [rows]
    for other in files[1:]:
        matches = match(first, other.particles, tolerance_px)
        partner = np.full(len(first), -1)
        partner[matches.first] = matches.second
        partners.append(partner)
        log.info(
            "%s: %d of %d particles, by %s",
            other.particles.source,
            len(matches.first),
            len(first),
            matches.way,
        )
    common = np.flatnonzero(np.all([each >= 0 for each in partners], axis=0))
    return [each[common] for each in partners]


def _summary(
    curves: Curves, differences: Mapping[str, ResLogDifference | None], settings: ResLogSettings
) -> Iterator[str]:
    """What a person wants to know at once."""
    for label, (curve, fit) in curves.items():
        smallest, largest = curve.particles[0], curve.particles[-1]
        yield f"{label}: {len(curve.particles)} sizes from {smallest} to {largest} particles, {settings.repeats} times"
        yield from (f"  {words}" for words in _lines_of(curve, fit))
    first = next(iter(curves))
    for label, difference in differences.items():
        if difference is not None:
            gain, ratio = difference.frequency_per_A, difference.particles_ratio
            yield f"{label} less {first}, over {difference.pairs} pairs of subsets:"
            yield f"  1/resolution     {_words(gain, '+.4f', '1/Å')}"
            yield f"  worth            {_words(ratio, '.2f', f'times the particles of {first}')}"
    for label, (curve, _) in curves.items():
        near = curve.fitted & (curve.frequency_per_A > _NEAR_NYQUIST * curve.nyquist_per_A)
        if near.any():
            limit_A = 1 / curve.nyquist_per_A
            yield f"{label}: {near.sum()} points lie near Nyquist ({limit_A:.2f} Å), where pixels limit them, not particles."
    if settings.repeats > 1:
        yield "In brackets 95 % intervals: how far other subsets of these particles, not other data, would move it."


def _lines_of(curve: ResLogCurve, fit: ResLogFit | None) -> Iterator[str]:
    best_per_A = curve.frequency_per_A[0, -1]
    best = (
        "under 0.143 at once"
        if best_per_A == 0
        else f"{1 / min(best_per_A, curve.nyquist_per_A):.2f} Å"
    )
    yield f"all particles    {best}{' (Nyquist)' if math.isinf(best_per_A) else ''}"
    if fit is None:
        yield "no line: fewer than two sizes tell a resolution"
    else:
        yield f"slope            {_words(fit.slope_per_A, '.4f', '1/Å for ten times the particles')}"
        yield f"intercept        {_words(fit.intercept_per_A, '.4f', '1/Å, of one particle')}"
        yield f"B factor         {_words(fit.bfactor_A2, '.0f', 'Å² (Rosenthal & Henderson)')}"
    reasons = (
        (curve.at_nyquist, "never fall under 0.143 up to Nyquist"),
        (curve.at_once, "are under 0.143 at once"),
    )
    for which, words in reasons:
        if which.any():
            yield f"not fitted       {which.sum()} of {which.size} points, which {words}"


def _words(estimate: Estimate, form: str, unit: str) -> str:
    interval = (
        "" if math.isnan(estimate.low) else f" ({estimate.low:{form}} to {estimate.high:{form}})"
    )
    return f"{estimate.value:{form}}{interval} {unit}"
