"""Particle images extracted from a set of micrographs: a stack for each of them, and one table."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.atomic import require_writable, write_text
from restore.io.denoised_mark import is_denoised
from restore.io.endings import split_ending
from restore.io.images.image import read_image, read_image_header
from restore.io.images.mrc import mrc_labels
from restore.io.images.mrc_stack import write_stack
from restore.io.paths import mirrored
from restore.io.star import write_star
from restore.micrograph import CTFParameters
from restore.particles.extraction.pixel_sizes import pixel_sizes_A
from restore.particles.extraction.relion import is_installed, relion_windows
from restore.particles.extraction.tables import (
    ParticleTable,
    listed,
    read_table,
    with_ctfs,
    with_flags,
)
from restore.particles.extraction.windows import (
    ExtractionSettings,
    beyond_edges,
    corners_px,
    normalised,
    own_windows,
    wholly_outside,
)
from restore.provenance import as_json, provenance
from restore.runtime.prefetch import WriteBehind, read_ahead
from restore.version import __version__

log = logging.getLogger(__name__)

TABLE_NAME = "particles.star"
Windows = Float[NDArray[np.float32], "n y x"]
Watch = Callable[[int, int], None]
"""Called with the number of micrographs done, and the total."""


@dataclass(frozen=True)
class Images:
    """The image of each micrograph, by the name that the particles give it.

    ``raw`` holds the raw micrographs of the same names, whose backgrounds are used where
    ``normalise`` is "raw". ``ctfs`` are used where the table of particles has no defocus, as after
    picking. ``phases_flipped`` says that the images of ``paths`` were multiplied by the sign of the
    CTF, as denoising leaves them unless phases are flipped back; the new table then says so too.
    """

    paths: Mapping[str, Path]
    raw: Mapping[str, Path] | None = None
    ctfs: Mapping[str, CTFParameters] | None = None
    phases_flipped: bool = False


@dataclass(frozen=True)
class _Job:
    """The particles of one micrograph, and where they go."""

    name: str
    image: Path
    raw: Path | None
    coordinates_px: Float[NDArray[np.float64], "n 2"]
    rows: Sequence[int]
    pixel_size_A: float
    stack: Path


def extract(
    particles: Path,
    images: Images,
    folder: Path,
    settings: ExtractionSettings,
    watch: Watch | None = None,
) -> Path:
    """Extract every particle of a STAR or ``.cs`` file from ``images`` and return the path of the
    new table.

    ``folder`` gets a stack for each micrograph and ``particles.star``, which has the rows of the
    input in the same order with all their columns (orientations, origins, CTF, half sets,
    micrograph names); only the image names and sizes are new. Two calls with the same particles,
    for raw and for denoised micrographs, therefore give two tables with the same particles row by
    row, cut at the same places. The label of a stack says if its images were denoised.

    Raises
    ------
    UserError
        Something is missing or does not fit, before anything is written; later, an image that
        cannot be used.
    """
    table = with_ctfs(read_table(particles), images.ctfs)
    table = with_flags(table, images.phases_flipped)
    jobs = _jobs(table, images, folder, settings)
    require_writable(folder, 4 * settings.image_px**2 * len(table.micrograph_names))
    with_relion = settings.engine == "relion" or (settings.engine == "auto" and is_installed())
    with WriteBehind() as writer:
        for done, (job, ready) in enumerate(
            read_ahead(jobs, partial(_windows, settings, with_relion), depth=1), 1
        ):
            writer.submit(partial(_write, job, ready, settings))
            if watch is not None:
                watch(done, len(jobs))
    path = folder / TABLE_NAME
    names = _image_names(jobs, len(table.micrograph_names))
    sizes_A = {job.name: job.pixel_size_A for job in jobs}
    record = provenance(
        settings, {"particles": particles, "micrographs": len(jobs), "relion": with_relion}
    )
    write_text(path.with_suffix(".settings.json"), as_json(record) + "\n")
    write_star(path, listed(table, names, settings, sizes_A))
    return path


def _jobs(
    table: ParticleTable, images: Images, folder: Path, settings: ExtractionSettings
) -> list[_Job]:
    """The particles of each micrograph, checked as far as headers allow."""
    if settings.normalise == "raw" and images.raw is None:
        raise ValueError('normalise is "raw", but there are no raw images')
    rows = table.rows_of
    headers = {name: read_image_header(images.paths[name]) for name in rows}
    sizes_A = pixel_sizes_A(table, {name: header.pixel_size_A for name, header in headers.items()})
    jobs: list[_Job] = []
    outside = 0
    for name, own in rows.items():
        raw = images.raw[name] if images.raw is not None and settings.normalise == "raw" else None
        _refuse_other_shape(images.paths[name], headers[name].shape, raw)
        places = table.coordinates_px[own]
        outside += _count_outside(table, own, settings.box_px, headers[name].shape)
        stack = mirrored(folder, Path(f"{split_ending(name)[0]}.mrcs"))
        jobs.append(_Job(name, images.paths[name], raw, places, own, sizes_A[name], stack))
    _refuse_clashes(jobs)
    if outside:
        words = (
            "the windows of %d of %d particles reach beyond their micrographs, where the pixels "
            "of the edge are repeated"
        )
        log.warning(words, outside, len(table.micrograph_names))
    return jobs


def _count_outside(
    table: ParticleTable, rows: Sequence[int], box_px: int, shape: tuple[int, int]
) -> int:
    """The number of these particles whose windows reach beyond the micrograph. UserError where a
    window has no pixel in it.
    """
    corners = corners_px(table.coordinates_px[list(rows)], box_px)
    lost = np.flatnonzero(wholly_outside(corners, box_px, shape))
    if len(lost):
        row = rows[int(lost[0])]
        (x, y), where = (
            table.coordinates_px[row],
            f"{table.path}, data_{table.block.name}, row {row + 1}",
        )
        problem = (
            f"the window around {x:g}, {y:g} lies outside {table.micrograph_names[row]} "
            f"({shape[1]} x {shape[0]} pixels)"
        )
        raise UserError(
            problem,
            where=where,
            wanted="No image can be extracted there",
            do="leave the particle out",
        )
    return int(beyond_edges(corners, box_px, shape).sum())


def _refuse_other_shape(image: Path, shape: tuple[int, int], raw: Path | None) -> None:
    if raw is not None and (other := read_image_header(raw).shape) != shape:
        problem = f"it has {shape[1]} x {shape[0]} pixels, and {raw} has {other[1]} x {other[0]}"
        raise UserError(
            problem,
            where=image,
            wanted="Particles have the same coordinates in both",
            do="denoise the micrograph again",
        )


def _refuse_clashes(jobs: Sequence[_Job]) -> None:
    taken: dict[Path, str] = {}
    for job in jobs:
        before = taken.setdefault(job.stack, job.name)
        if before != job.name:
            raise UserError(
                f"the particles of {before} and of {job.name} would both be written to this file",
                where=job.stack,
            )


def _windows(settings: ExtractionSettings, with_relion: bool, job: _Job) -> Windows:
    """The finished particle images of one micrograph."""
    norm = settings.normalise == "own"
    if with_relion:
        windows = relion_windows(job.image, job.coordinates_px, settings, norm)
    else:
        windows = own_windows(read_image(job.image).data, job.coordinates_px, settings)
        windows = normalised(windows, None, settings) if norm else windows
    if job.raw is not None:
        raw = own_windows(read_image(job.raw).data, job.coordinates_px, settings)
        windows = normalised(windows, raw, settings)
    return -windows if settings.invert_contrast else windows


def _write(job: _Job, ready: Future[Windows], settings: ExtractionSettings) -> None:
    try:
        windows = ready.result()
    except UserError as error:
        raise UserError(
            error.problem, where=error.where or job.image, wanted=error.wanted, do=error.do
        ) from None
    labels = [label for label in _labels(job.image) if is_denoised([label])]
    pixel_size_A = job.pixel_size_A * settings.box_px / settings.image_px
    write_stack(
        job.stack,
        windows,
        pixel_size_A,
        (*labels[:1], f"restore {__version__} particles of {job.image.name}"),
    )


def _labels(image: Path) -> list[str]:
    try:
        return mrc_labels(image)
    except UserError:  # not an MRC file, so not ours
        return []


def _image_names(jobs: Sequence[_Job], count: int) -> list[str]:
    """RELION's name of the image of each row: its number in the stack, from 1, and the stack."""
    names = [""] * count
    for job in jobs:
        for number, row in enumerate(job.rows, 1):
            names[row] = f"{number:06d}@{job.stack}"
    return names
