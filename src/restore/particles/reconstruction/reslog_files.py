"""ResLog from files of refined particles: subsets of the same particles, their table and figure."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from restore.errors import UsageError
from restore.io.atomic import write_text
from restore.io.denoised_mark import shows_denoised
from restore.io.outputs import output_paths
from restore.io.particle_images import ParticleImages, open_particle_images
from restore.io.particles import match
from restore.io.star import write_star
from restore.maps.reslog import (
    FittedReslog,
    ResLogCurve,
    ResLogDifference,
    ResLogSettings,
    compare_reslog,
    fit_reslog,
    subset_orders,
    subset_sizes,
)
from restore.particles.reconstruction.engines import warn_of_aberrations
from restore.particles.reconstruction.halves import ReconstructionSettings, accumulator, half_sets
from restore.particles.reconstruction.reslog import ResLogSource, resolutions_per_A, work
from restore.postprocessing.map_files import box_mask
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.reslog_figure import reslog_figure
from restore.runtime.progress import Bars, no_bars
from restore.symmetry import point_group
from restore.tables.reslog import reslog_star

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReslogInputs:
    """Files of the same particles, and how their images are treated.

    ``labels`` name the files in table and figure; by default two files are "raw" and "denoised",
    and others have their file names. ``phases_flipped`` are the labels of files whose images are
    phase-flipped without saying so. Nothing finer than ``max_resolution_A`` is reconstructed.
    ``tolerance_px`` is the largest distance between coordinates of one particle.
    """

    particles: tuple[Path, ...]
    labels: tuple[str, ...] = ()
    phases_flipped: tuple[str, ...] = ()
    max_resolution_A: float | None = None
    mask: Path | None = None
    tolerance_px: float = 5.0

    def __post_init__(self) -> None:
        count, names = len(self.particles), self.names
        if len(names) != count or len(set(names)) != count:
            raise UsageError(
                f"the labels are {', '.join(names)}",
                wanted=f"{count} different labels are needed",
                do="give them as `labels`",
            )
        if self.max_resolution_A is not None and not self.max_resolution_A > 0:
            raise UsageError(
                f"max_resolution_A is {self.max_resolution_A:g}",
                field="max_resolution_A",
                wanted="A resolution above 0 Å is needed",
            )
        unknown = sorted(set(self.phases_flipped) - set(names))
        if unknown:
            raise UsageError(
                f"`phases_flipped` names {unknown[0]}",
                wanted=f"The files are called {', '.join(names)}",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each file."""
        if self.labels:
            return self.labels
        if len(self.particles) == 2:
            return ("raw", "denoised")
        return tuple(path.stem for path in self.particles)


@dataclass(frozen=True)
class ReslogComparison:
    """The curve and line of each file by its name, how each differs from the first, and the files
    written.
    """

    curves: Mapping[str, FittedReslog]
    differences: Mapping[str, ResLogDifference | None]
    files: tuple[Path, ...]


def measure_reslog(
    inputs: ReslogInputs,
    subsets: ResLogSettings,
    reconstruction: ReconstructionSettings,
    *,
    output: Path = Path("reslog.star"),
    overwrite: bool = False,
    bars: Bars = no_bars,
) -> ReslogComparison:
    """Reconstruct subsets of the particles that all files hold, fit the lines, and write table,
    figure and settings.

    Half sets that a file does not have are drawn with the seed of ``subsets``. The library
    reconstructs the subsets, whichever engine ``reconstruction`` names.

    Raises
    ------
    UserError
        A file is missing or unreadable, no particle is in all, something that the reconstruction
        needs is missing, or an output exists.
    """
    point_group(reconstruction.symmetry)  # an unknown group is rejected before any work
    star, figure, record = output_paths(output, ".star", [".png", ".settings.json"], overwrite)
    making = replace(reconstruction, engine="torch", seed=subsets.seed)
    files = [open_particle_images(path) for path in inputs.particles]
    sources = _sources(files, inputs, making)
    rows = _common_rows(files, inputs.tolerance_px)
    _warn_of_denoised(files, inputs.names)
    for images in files:
        warn_of_aberrations(images, making.engine, "ResLog")
    curves = _curves(dict(zip(inputs.names, sources, strict=True)), rows, subsets, bars)
    first, *others = inputs.names
    differences = {name: compare_reslog(curves[first].curve, curves[name].curve) for name in others}
    given = {
        "particles": list(inputs.particles),
        "mask": inputs.mask,
        "flipped": list(inputs.phases_flipped),
        "max_resolution": inputs.max_resolution_A,
        "labels": list(inputs.names),
    }
    made_with = provenance({"subsets": subsets, "reconstruction": making}, given)
    write_text(record, as_json(made_with) + "\n")
    write_star(star, reslog_star(curves, differences))
    title = f"{len(rows[0])} particles, symmetry {making.symmetry.upper()}"
    save_png(reslog_figure(curves, title), figure)
    return ReslogComparison(curves, differences, (star, figure))


def _curves(
    sources: Mapping[str, ResLogSource],
    rows: Sequence[Int[np.ndarray, "m"]],
    subsets: ResLogSettings,
    bars: Bars,
) -> dict[str, FittedReslog]:
    """The curve of each source, all of the same subsets of the same particles."""
    first = next(iter(sources.values()))
    sizes = subset_sizes(len(rows[0]), subsets)
    orders = subset_orders(first.half_sets[rows[0]], subsets)
    total = work(subsets.repeats, sizes)
    curves: dict[str, FittedReslog] = {}
    with bars(total * len(sources), "images", "reconstructing") as bar:
        for number, (name, source) in enumerate(sources.items()):
            before = number * total
            per_A = resolutions_per_A(
                source,
                rows[number][orders],
                sizes,
                lambda done, before=before: bar.to(before + done),
            )
            curve = ResLogCurve(np.array(sizes), per_A, 0.5 / source.voxel_size_A)
            curves[name] = FittedReslog(curve, fit_reslog(curve))
    return curves


def _sources(
    files: Sequence[ParticleImages], inputs: ReslogInputs, making: ReconstructionSettings
) -> list[ResLogSource]:
    """The input of the reconstructions from each file; everything that a reconstruction would
    reject is rejected here.
    """
    sources: list[ResLogSource] = []
    for images, name in zip(files, inputs.names, strict=True):
        own = replace(making, phases_flipped=name in inputs.phases_flipped)
        mask = box_mask(inputs.mask, images.box_px, images.pixel_size_A)
        halves = half_sets(images.particles, making.seed)
        sources.append(ResLogSource(images, halves, own, mask, inputs.max_resolution_A))
        accumulator(images, own)
    return sources


def _warn_of_denoised(files: Sequence[ParticleImages], names: Sequence[str]) -> None:
    """Warn if a gain in resolution may come from the network."""
    pairs = zip(files, names, strict=True)
    denoised = [name for images, name in pairs if shows_denoised(images)]
    if denoised:
        log.warning(
            "%s: the images were denoised by restore. What the network hallucinates can be common "
            "to both halves, so that their resolution may be overestimated",
            ", ".join(denoised),
        )


def _common_rows(
    files: Sequence[ParticleImages], tolerance_px: float
) -> list[Int[np.ndarray, "m"]]:
    """The rows, in each file, of the particles that all files hold, in the order of the first."""
    first = files[0].particles
    rows = [np.arange(len(first))]
    for file in files[1:]:
        matches = match(first, file.particles, tolerance_px)
        partners = np.full(len(first), -1)
        partners[matches.first] = matches.second
        rows.append(partners)
        log.info(
            "%s: %d of %d particles, matched by %s",
            file.particles.source,
            len(matches.first),
            len(first),
            matches.way,
        )
    common = np.flatnonzero(np.all([partners >= 0 for partners in rows], axis=0))
    return [partners[common] for partners in rows]
