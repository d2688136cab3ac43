"""A whole set denoised: what goes where, what is already there, what failed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from restore.denoising.denoise import Denoiser, DenoisingSettings, Exposure, denoise_with
from restore.errors import UserError
from restore.io.endings import split_ending
from restore.io.images.image import read_image, write_image
from restore.io.labels import fingerprint_label, fingerprint_of
from restore.io.micrographs import MicrographSet
from restore.io.paths import mirrored
from restore.io.relion.job import names_within_job
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model
from restore.provenance import plain
from restore.runtime.jobs import Outcome, Write, do_all, refuse_clashes
from restore.runtime.prefetch import read_ahead
from restore.settings import setting
from restore.version import __version__


@dataclass(frozen=True)
class OutputSettings:
    """Where denoised micrographs go."""

    output_suffix: str | None = setting(
        None,
        'put after each name ("_denoised" beside the input, nothing under --output_directory)',
        "-s",
    )
    output_directory: Path | None = setting(
        None, "folder for the output, in which the input's tree is repeated", "-o"
    )
    overwrite: bool = setting(
        False, "denoise everything again, and replace files that restore did not write"
    )
    within_job: bool = setting(
        False, "name images as RELION's own jobs do, without the folder of the job before"
    )

    @property
    def suffix(self) -> str:
        """What is put after each name."""
        if self.output_suffix is None:
            return "" if self.output_directory else "_denoised"
        return self.output_suffix


@dataclass(frozen=True)
class Job:
    """One micrograph and where its denoised image goes: the path, and its name for a STAR file."""

    micrograph: Micrograph
    path: Path
    written_name: str
    fingerprint: str


def plan(
    micrographs: Sequence[Micrograph],
    output: OutputSettings,
    fingerprint: Callable[[Micrograph], str],
) -> list[Job]:
    """Where each denoised image goes. Raises UserError if one would replace an input or another
    output.
    """
    names = [micrograph.name for micrograph in micrographs]
    places = names_within_job(names) if output.within_job else names
    jobs = [
        _job(each, Path(place), output, fingerprint(each))
        for each, place in zip(micrographs, places, strict=True)
    ]
    inputs = [path for each in micrographs for path in (each.image, each.even, each.odd) if path]
    do = "give another --output_suffix or --output_directory"
    refuse_clashes([(job, job.path) for job in jobs], inputs, "output for", do)
    return jobs


def _job(micrograph: Micrograph, name: Path, output: OutputSettings, fingerprint: str) -> Job:
    new_name = f"{split_ending(name.name)[0]}{output.suffix}.mrc"
    if output.output_directory is None:
        path = micrograph.image.with_name(new_name)
        return Job(micrograph, path, str(name.with_name(new_name)), fingerprint)
    path = mirrored(output.output_directory, name.with_name(new_name))
    return Job(micrograph, path, str(path), fingerprint)


def fingerprints(model: Model, settings: DenoisingSettings) -> Callable[[Micrograph], str]:
    """A function that digests all that decides a micrograph's denoised image, except the images
    themselves.
    """
    digest = hashlib.sha256(
        json.dumps(plain([model.digest(), replace(settings, tile_px=0)])).encode()
    )

    def fingerprint(micrograph: Micrograph) -> str:
        whole = digest.copy()
        whole.update(json.dumps(plain([micrograph.pixel_size_A, micrograph.ctf])).encode())
        return whole.hexdigest()[:24]

    return fingerprint


def written_names(outcome: Outcome[Job]) -> dict[int, str]:
    """The written name of each row that has a denoised image."""
    return {job.micrograph.row: job.written_name for job in outcome.good}


def labels(job: Job, model_name: str) -> list[str]:
    """What an output's header says: program, version, model, and the fingerprint that a rerun looks
    for.
    """
    ascii_name = model_name.encode("ascii", "replace").decode()
    return [
        f"restore {__version__} denoised with {ascii_name}"[:80],
        fingerprint_label(job.fingerprint),
    ]


def is_current(job: Job) -> bool:
    """Whether the output is there, whole, made with the same model and settings, and not older than
    its inputs.

    Raises UserError where another program's file stands in its place.
    """
    if not job.path.exists():
        return False
    found = fingerprint_of(job.path)
    if not found:
        raise UserError(
            "a file stands here that restore did not write",
            where=job.path,
            do="give another --output_suffix, or --overwrite",
        )
    inputs = [
        path for path in (job.micrograph.image, job.micrograph.even, job.micrograph.odd) if path
    ]
    newest = max((path.stat().st_mtime for path in inputs if path.exists()), default=0.0)
    return found == job.fingerprint and job.path.stat().st_mtime >= newest


def without_denoised(chosen: MicrographSet) -> MicrographSet:
    """The set without images that restore denoised, where it is of a pattern: a rerun's pattern
    matches its output.
    """
    if chosen.is_listed:
        return chosen
    raw = tuple(each for each in chosen.micrographs if not fingerprint_of(each.image))
    if not raw:
        raise UserError(
            "only images that are denoised already match it",
            where=chosen.source,
            do="give the raw ones",
        )
    return replace(chosen, micrographs=raw)


def read_exposure(micrograph: Micrograph, with_halves: bool) -> Exposure:
    """Read the full sum of a micrograph, and its halves where they are wanted."""

    def image(path: Path) -> Tensor:
        return torch.from_numpy(read_image(path).data)

    full = image(micrograph.image)
    if not with_halves:
        return Exposure(full)
    if micrograph.even is None or micrograph.odd is None:
        raise UserError(
            "it has no halves", where=micrograph.name, wanted="--average_halves needs them"
        )
    return Exposure(full, (image(micrograph.even), image(micrograph.odd)))


def produce(
    jobs: Sequence[Job],
    denoiser: Denoiser,
    model_name: str,
    progress: Callable[[Outcome[Job]], None],
) -> Outcome[Job]:
    """Denoise and write every job, reading ahead and writing behind, as
    `restore.runtime.jobs.do_all` says.
    """
    outcome, read = Outcome[Job](), partial(_read, with_halves=denoiser.settings.average_halves)
    work = (
        (job, partial(_compute, each, job, denoiser, model_name))
        for job, each in read_ahead(jobs, read)
    )
    do_all(work, outcome, progress)
    return outcome


def _read(job: Job, with_halves: bool) -> Exposure:
    return read_exposure(job.micrograph, with_halves)


def _compute(exposure: Future[Exposure], job: Job, denoiser: Denoiser, model_name: str) -> Write:
    """The denoised image, ready to be written."""
    read, device = exposure.result(), denoiser.engine.device
    halves = (read.halves[0].to(device), read.halves[1].to(device)) if read.halves else None
    image = (
        denoise_with(denoiser, Exposure(read.full.to(device), halves), job.micrograph).cpu().numpy()
    )
    header, dtype = labels(job, model_name), denoiser.settings.output_dtype
    return partial(write_image, job.path, image, job.micrograph.pixel_size_A, header, dtype)
