"""Making the halves of a set: output paths, jobs, and checks of the results."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import split_ending
from restore.io.images.image import read_image, write_image
from restore.io.images.movies import read_frames
from restore.io.labels import fingerprint_label, fingerprint_of
from restore.io.paths import mirrored
from restore.micrograph import Micrograph
from restore.movies.exposures import Exposure
from restore.movies.summing import sum_halves
from restore.movies.thinning import counts_of, thin
from restore.runtime.jobs import (
    Job,
    JobResults,
    Steps,
    Write,
    fingerprint,
    refuse_clashes,
    run_jobs,
    stale_jobs,
)
from restore.runtime.prefetch import read_ahead
from restore.runtime.progress import Bars, no_bars
from restore.settings import setting
from restore.version import __version__

log = logging.getLogger(__name__)

OutputType = Literal["float32", "float16"]
_UNLIKE, _DOUBTFUL = 0.5, 0.9
"""Correlations with RELION's own sum below which our sum is rejected, or reported."""

LOCAL_MOTION_LOST = (
    "local motion was measured but not recorded as a model: only the global motion is corrected"
)
"""The remark on halves of movies that MotionCor2 aligned in patches."""


@dataclass(frozen=True)
class HalvesOutput:
    """Where halves are written, and how.

    Attributes
    ----------
    output_directory
        Folder of the halves, in which the folders of the input are repeated.
    output_dtype
        ``"float32"`` or ``"float16"``, the type of the written numbers.
    overwrite
        Make all halves again, also those that are up to date, and replace other programs' files.
    """

    output_directory: Path = setting(
        Path("Halves"), "folder for the output, which mirrors the folders of the input", "-o"
    )
    output_dtype: OutputType = setting(
        "float32", "number format of the written images", choices=("float32", "float16")
    )
    overwrite: bool = setting(
        False, "make all halves again, and replace files that restore did not write"
    )


@dataclass(frozen=True)
class HalfFiles:
    """A micrograph (or aligned movie) and the paths of its images; ``full`` is None if no full sum
    is written.
    """

    micrograph: Micrograph
    even: Path
    odd: Path
    full: Path | None


@dataclass(frozen=True)
class HalfImages:
    """The two halves (y, x), a label that says how they were made, their pixel size in Å, and any
    doubts about them.
    """

    even: NDArray[np.float32]
    odd: NDArray[np.float32]
    pixel_size_A: float
    label: str
    remark: str = ""


def plan(
    micrographs: Sequence[Micrograph],
    folder: Path,
    full_sums: bool,
    made_with: object,
    sources: Callable[[Micrograph], tuple[Path, ...]] = lambda _: (),
) -> list[Job[HalfFiles]]:
    """The jobs of a set; ``made_with`` is everything that determines the images besides the
    micrograph's own file and its further ``sources``.

    Raises UserError if a file would replace an input or another output.
    """
    jobs: list[Job[HalfFiles]] = []
    for micrograph in micrographs:
        files = _files(micrograph, folder, full_sums)
        outputs = tuple(path for path in (files.even, files.odd, files.full) if path)
        digest = fingerprint(made_with, (micrograph.image, *sources(micrograph)), files.even.parent)
        jobs.append(Job(files, micrograph.name, outputs, digest))
    inputs = (micrograph.image for micrograph in micrographs)
    refuse_clashes(jobs, inputs, "halves of", "give another `output_directory`")
    return jobs


def _files(micrograph: Micrograph, folder: Path, full_sums: bool) -> HalfFiles:
    name = Path(micrograph.name)
    stem = split_ending(name.name)[0]
    stem = stem.removesuffix("_DW") or stem
    even, odd, full = (
        mirrored(folder, name.with_name(f"{stem}_{kind}.mrc")) for kind in ("EVN", "ODD", "DW")
    )
    return HalfFiles(micrograph, even, odd, full if full_sums else None)


def fingerprint_in(path: Path) -> str:
    """The fingerprint in a half. Raises UserError if it is another program's file."""
    if (fingerprint := fingerprint_of(path, "halves")) == "":
        do = "give another `output_directory`, or `overwrite=True`"
        raise UserError("there is a file here that restore did not write", where=path, do=do)
    return fingerprint


def from_movie(exposure: Exposure, device: torch.device) -> HalfImages:
    """The halves of a movie, whose frames are read ahead of the summation. Raises UserError as the
    readers and the summation do.
    """
    halves = sum_halves(_frames(exposure), exposure.summing, device)
    even, odd = halves.even.numpy(), halves.odd.numpy()
    remark, motion = "", exposure.summing.motion
    cause = LOCAL_MOTION_LOST if motion is not None and motion.local_is_lost else ""
    if exposure.like is not None:
        remark = _remark(exposure.like, even + odd, cause)
    if cause and not remark:
        remark = f"{exposure.movie.path}: {cause}"
    weighting = exposure.summing.dosing
    how = (
        "plain sum"
        if weighting is None
        else f"dose-weighted, {weighting.per_frame_e_per_A2:g} e/A2 a frame"
    )
    label = f"{halves.frames[0]} even, {halves.frames[1]} odd frames, {how}"
    return HalfImages(even, odd, exposure.pixel_size_A, label, remark)


def from_counts(micrograph: Micrograph, seed: int) -> HalfImages:
    """The halves of an image of counted electrons, by thinning. Raises UserError for
    other images.
    """
    counts = counts_of(read_image(micrograph.image).data)
    if counts.outliers:
        log.info(
            "%s: %d pixels are not whole counts and were rounded", micrograph.name, counts.outliers
        )
    even, odd = thin(counts, seed, micrograph.name)
    return HalfImages(
        even, odd, micrograph.pixel_size_A, f"binomial thinning, seed {seed}, unit {counts.unit:g}"
    )


def _frames(exposure: Exposure) -> Iterator[torch.Tensor]:
    frames = read_frames(exposure.movie.path, exposure.eer)
    for _, frame in read_ahead(range(exposure.movie.frames), lambda _: next(frames), depth=1):
        yield torch.from_numpy(frame.result())


def _remark(path: Path, full: NDArray[np.float32], cause: str) -> str:
    """Any difference between our full sum and the micrograph that RELION made from the same frames,
    with what may be the ``cause`` of it ("" if that is not known).

    Raises UserError if the two do not match, so that halves of another movie, or with the gain
    reference in the wrong orientation, are never accepted for this micrograph.
    """
    theirs = read_image(path).data
    ours, theirs = full - full.mean(), theirs - theirs.mean()
    scale = float(np.vdot(ours, theirs) / max(float(np.vdot(ours, ours)), 1e-30))
    correlation = float(
        np.vdot(ours, theirs) / np.sqrt(float(np.vdot(ours, ours)) * float(np.vdot(theirs, theirs)))
    )
    if correlation < _UNLIKE:
        problem = f"the sum of its frames does not match it (correlation {correlation:.2f})"
        do = (
            "check the movie, `gain` and its rotation and flip, or replace the micrograph by the "
            "sum: `full_sum=True`"
        )
        wanted = "Both must be the same exposure" + (f" ({cause})" if cause else "")
        raise UserError(problem, where=path, wanted=wanted, do=do)
    if correlation < _DOUBTFUL or not 0.8 < scale < 1.25:
        words = f"{path} is {scale:.3g} times the sum of its frames, correlation {correlation:.3f}"
        return f"{words}; {cause}" if cause else words
    return ""


def halve_jobs(
    jobs: Sequence[Job[HalfFiles]],
    halve: Callable[[Micrograph], HalfImages],
    dtype: OutputType,
    overwrite: bool = False,
    *,
    bars: Bars = no_bars,
) -> JobResults[HalfFiles]:
    """Halve and write the jobs that are not current, by `restore.runtime.jobs.run_jobs`; remarks
    are those of the result.
    """
    stale = stale_jobs(jobs, fingerprint_in, "have their halves already", overwrite)
    remarks: list[str] = []

    def compute(job: Job[HalfFiles], _: object) -> Write:
        images = halve(job.subject.micrograph)
        if images.remark:
            remarks.append(images.remark)
        return partial(_write, job, images, dtype)

    steps = Steps(lambda job: job.subject.micrograph, compute, "halving")  # frames are read ahead
    return replace(run_jobs(jobs, steps, bars, stale=stale), remarks=remarks)


def _write(job: Job[HalfFiles], images: HalfImages, dtype: OutputType) -> None:
    labels = [
        f"restore {__version__} halves: {images.label}"[:80],
        fingerprint_label(job.fingerprint, "halves"),
    ]
    files, size_A = job.subject, images.pixel_size_A
    write_image(files.even, images.even, size_A, labels, dtype)
    write_image(files.odd, images.odd, size_A, labels, dtype)
    if files.full is not None:
        write_image(files.full, images.even + images.odd, size_A, labels, dtype)
