"""Denoising of particle images, each with its own CTF and its surroundings in the micrograph."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from restore.denoising.denoise import denoiser_for
from restore.denoising.outputs import (
    PlannedTable,
    SetFiles,
    output_table,
    require_outputs,
    write_outputs,
)
from restore.denoising.particle_stack import StackDenoiser
from restore.denoising.particle_targets import (
    ParticleSettings,
    StackTarget,
    plan_stacks,
    stored_images,
)
from restore.denoising.settings import DenoisingSettings, merge_band
from restore.denoising.targets import OutputSettings, fingerprint_in
from restore.errors import UserError
from restore.io.particle_images import ParticleImages, open_particle_images, read_particle_images
from restore.io.particle_listings import (
    CryosparcParticles,
    ParticleListing,
    read_particle_listing,
)
from restore.io.replaced_tables import origin
from restore.joint_work import joined_to_write
from restore.model.checkpoint import Model, load_model
from restore.provenance import provenance
from restore.report.panels import Panel
from restore.runtime.distributed import Place
from restore.runtime.jobs import (
    Job,
    JobResults,
    SetResults,
    Steps,
    Write,
    run_jobs,
    stale_jobs,
)
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)

CAUTION = (
    "denoised particles are for looking and for sorting, as in 2D classes: refine the raw ones, "
    "because a network's bias does not average out, and both half sets share it"
)
_PICTURE_SIDE = 5


def denoise_particles(
    table: str | Path,
    model: str | Path | Model,
    *,
    output: OutputSettings | None = None,
    settings: DenoisingSettings | None = None,
    particles: ParticleSettings | None = None,
    device: str = "auto",
    model_name: str | Path = "",
    bars: Bars = no_bars,
) -> SetResults:
    """Denoise the stacks of particle images that a table lists, and list the denoised ones in a
    table like the input's.

    Each particle is denoised with its own CTF, together with its surroundings: those in its
    micrograph if the table has the particle's coordinates and the micrograph is there, otherwise a
    reflection of the particle image itself. The grey scale and the sign of the contrast are kept.
    Stacks of an earlier run that are still valid are not denoised again, and only a few images
    are in memory at a time.

    Parameters
    ----------
    table
        A RELION STAR file of particles, or cryoSPARC's ``.cs`` or ``.csg`` file.
    model
        A model, or the path of a model file.
    output
        Where the denoised stacks are written.
    settings
        What is done with the network's output. In cryoSPARC's tables, which cannot record flipped
        phases, phases are always flipped back.
    particles
        How particle images are presented to the network.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    model_name
        Name of the model in labels and records. It is needed only if ``model`` is no path.
    bars
        Makes the progress bar.

    Returns
    -------
    SetResults
        The result of each stack, and the table.

    Raises
    ------
    UserError
        An input is missing, is wrong, has been denoised already, or has flipped phases; an output
        would replace a file of another program; or another process is writing the same table.

    Examples
    --------
    >>> results = denoise_particles(
    ...     "Extract/job010/particles.star", "Models/model.safetensors"
    ... )  # doctest: +SKIP
    """
    output, settings = output or OutputSettings(), settings or DenoisingSettings()
    particles = particles or ParticleSettings()
    if not isinstance(model, Model):
        model, model_name = load_model(Path(model)), model_name or model
    listing = read_particle_listing(Path(table))
    settings = _settings_for(listing, settings, model)
    images = open_particle_images(Path(table), needs_poses=False)
    _require_usable(images, model)
    jobs = plan_stacks(images, model, output, settings, particles)
    source = Path(table)
    path = output_table(source, source.parent, source.stem, listing.ending, output)
    flipped = model.recipe.phase_flip and not settings.flip_phases_back
    files = listing.stored(path, stored_images(jobs), flipped)
    picture = path.with_suffix(".png") if output.picture else None
    require_outputs(PlannedTable(path, source, files), picture, jobs, output)
    with joined_to_write(path, device) as place:
        denoiser = denoiser_for(model, settings, place.device)
        to_do = stale_jobs(jobs, fingerprint_in, overwrite=output.overwrite, place=place)
        if to_do and place.is_main:
            log.warning(CAUTION)
        _log_names(jobs, place)
        total = sum(len(job.subject.particles) for job in to_do)
        shown = bars if place.is_main and total else no_bars
        with shown(total, "particles", "denoising") as bar:
            work = StackDenoiser(images, denoiser, particles.protein, Path(model_name).name, bar.to)
            steps = Steps[StackTarget, None](_nothing, partial(_denoised, work), "denoising")
            results = run_jobs(jobs, steps, place=place, stale=to_do)
        stored = stored_images(results.good)
        if stored and place.is_main:
            inputs = {"particles": table, "origin": origin(source, path), "model": model_name}
            record = provenance(settings, {**inputs, "output": output, "of_particles": particles})
            written = SetFiles(path, listing.stored(path, stored, flipped), record)
            write_outputs(results, written, partial(_panels, results, images), picture)
    return SetResults.of(results, {}, path if stored else None)


def _log_names(jobs: Sequence[Job[StackTarget]], place: Place) -> None:
    """Log how many stacks have other names than usual."""
    count = sum(job.subject.is_beside_another for job in jobs)
    if count and place.is_main:
        log.info(
            "%d of %d denoised stacks have a code in their names: those of the plain names may "
            "hold other particles, and remain",
            count,
            len(jobs),
        )


def _nothing(_: Job[StackTarget]) -> None:
    """Do not read ahead: a stack is read in parts while it is denoised."""


def _denoised(work: StackDenoiser, job: Job[StackTarget], _: Future[None]) -> Write:
    return work.denoised(job)


def _settings_for(
    listing: ParticleListing, settings: DenoisingSettings, model: Model
) -> DenoisingSettings:
    """The settings, checked and adapted to what the table can record. Raises UserError."""
    merge_band(settings, model.recipe.max_resolution_A)
    if settings.average_halves:
        raise UserError(
            "particle images have no halves", field="average_halves", wanted="only micrographs do"
        )
    unmarked = isinstance(listing, CryosparcParticles) and model.recipe.phase_flip
    if unmarked and not settings.flip_phases_back:
        log.info("phases are flipped back: cryoSPARC's tables cannot say that they are flipped")
        return replace(settings, flip_phases_back=True)
    return settings


def _require_usable(images: ParticleImages, model: Model) -> None:
    """Raise UserError if the images were multiplied by (the sign of) their CTF, lack a CTF that is
    needed, or are sampled more coarsely than the model requires.
    """
    particles = images.particles
    for marks, what in (
        (particles.phases_flipped, "phases are flipped"),
        (particles.ctf_premultiplied, "images are multiplied by the CTF"),
    ):
        if marks is not None and marks.any():
            raise UserError(
                f"row {int(np.flatnonzero(marks)[0]) + 1} says that its {what} already",
                where=particles.source,
                wanted="The model has learned from uncorrected images, and flips them itself",
                do="extract the particles again without that",
            )
    if model.recipe.phase_flip and particles.ctfs is None:
        raise UserError(
            "the CTF is not known",
            where=particles.source,
            wanted="Phase flipping needs that of each particle",
            do="give particles with their CTF, or a model made with `phase_flip=False`",
        )
    finest_A = 2 * images.pixel_size_A
    if finest_A > model.recipe.max_resolution_A * (1 + 1e-6):
        raise UserError(
            f"the images have {images.pixel_size_A:.4g} Å per pixel and end at {finest_A:.4g} Å",
            where=particles.source,
            wanted=f"The model goes to {model.recipe.max_resolution_A:g} Å",
            do="extract the particles with smaller pixels, or use a coarser model",
        )


def _panels(results: JobResults[StackTarget], images: ParticleImages) -> list[Panel]:
    """The first particles, raw and denoised."""
    target = results.good[0].subject
    count = min(_PICTURE_SIDE**2, len(target.particles))
    rows = [particle.row for particle in target.particles[:count]]
    denoised = replace(
        images,
        paths=(target.path,) * len(images),
        sections=np.array([*range(count), *[0] * (len(images) - count)]),
    )
    pictures = {
        f"raw: {target.stack.name}": read_particle_images(images, rows),
        f"denoised: {target.path.name}": read_particle_images(denoised, range(count)),
    }
    return [
        Panel(title, torch.from_numpy(_gallery(pixels)), images.pixel_size_A)
        for title, pixels in pictures.items()
    ]


def _gallery(pixels: Float[np.ndarray, "n y x"]) -> Float[np.ndarray, "Y X"]:
    """Images in a rectangular arrangement, row by row; remaining places hold their mean."""
    columns = min(_PICTURE_SIDE, len(pixels))
    lines = -(-len(pixels) // columns)
    side = pixels.shape[-1]
    filled = np.full((lines * columns, side, side), pixels.mean(), np.float32)
    filled[: len(pixels)] = pixels
    grid = filled.reshape(lines, columns, side, side).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(lines * side, columns * side))
