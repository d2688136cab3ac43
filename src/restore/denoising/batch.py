"""Denoising a whole set of micrographs."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from restore.denoising.denoise import (
    Denoiser,
    Exposure,
    denoise_with,
    denoiser_for,
    result_without_halves,
)
from restore.denoising.inputs import (
    is_one_image,
    listed_as,
    read_set,
    rejected_rows,
    table_path,
    uses_halves,
)
from restore.denoising.outputs import PlannedTable, SetFiles, require_outputs, write_outputs
from restore.denoising.settings import DenoisingSettings, merge_band
from restore.denoising.targets import (
    OutputSettings,
    Target,
    fingerprint_in,
    labels,
    made_with,
    plan,
    written_images,
)
from restore.errors import UserError
from restore.image_tensors import read_halves, read_tensor
from restore.io.file_checks import reading_once
from restore.io.images.image import write_image
from restore.io.micrographs import Suffixes
from restore.io.replaced_tables import origin
from restore.joint_work import joined_to_write
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model, load_model
from restore.provenance import provenance
from restore.report.panels import Panel
from restore.runtime.distributed import Place
from restore.runtime.jobs import (
    ALONE,
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

_WITHOUT_HALVES = "%s: its halves cannot be used, and %s: %s"


def denoise_set(
    micrographs: str | Path | Sequence[str | Path],
    model: str | Path | Model,
    *,
    output: OutputSettings | None = None,
    settings: DenoisingSettings | None = None,
    suffixes: str | Suffixes | None = None,
    pixel_size_A: float | None = None,
    ctf: CTFParameters | None = None,
    device: str = "auto",
    model_name: str | Path = "",
    bars: Bars = no_bars,
) -> SetResults:
    """Denoise a set of micrographs, and list the denoised images in a table like the input's.

    Images of an earlier run that are still valid are not denoised again. Processes started by
    torchrun or srun share the work: each returns the results of all, and the leading one writes the
    table. A picture of the first micrograph, raw and denoised, is written beside the table.

    Parameters
    ----------
    micrographs
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, an image, a pattern such as
        ``"*.mrc"``, or several images and patterns. For a single image no table is written, and a
        picture only on request.
    model
        A model, or the path of a model file.
    output
        Where the denoised images are written.
    settings
        What is done with the network's output.
    suffixes
        What distinguishes the names of the full sum, the even and the odd half, as
        ``"DW,EVN,ODD"``; halves are used to calibrate the output, or are averaged. None stands for
        these, or else for those with which the model was trained, if a table lists the micrographs.
    pixel_size_A
        Pixel size in Å, for images that no table lists. None stands for that in their headers.
    ctf
        Parameters of the CTF, for images that no table lists.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    model_name
        Name of the model in labels and records. It is needed only if ``model`` is no path.
    bars
        Makes the progress bar.

    Returns
    -------
    SetResults
        The result of each micrograph, and the table.

    Raises
    ------
    UserError
        An input is missing, is wrong, or has been denoised already; an output would replace a file
        of another program; another process is writing the same table; or the disk is full.

    Examples
    --------
    >>> output = restore.OutputSettings(output_directory=Path("denoised"))
    >>> results = restore.denoise_set(
    ...     "session/micrographs_ctf.star", "Models/model.safetensors", output=output
    ... )
    >>> len(results.done), dict(results.failed), results.table
    (2, {}, PosixPath('denoised/micrographs_ctf.star'))
    """
    output, settings = output or OutputSettings(), settings or DenoisingSettings()
    if not isinstance(model, Model):
        model, model_name = load_model(Path(model)), model_name or model
    merge_band(settings, model.recipe.max_resolution_A)
    read = reading_once()
    chosen = listed_as(
        read_set(
            micrographs, model, settings, suffixes, pixel_size_A=pixel_size_A, ctf=ctf, read=read
        ),
        output,
    )
    with_halves = partial(uses_halves, settings=settings)
    jobs = plan(chosen.micrographs, output, made_with(model, settings), with_halves)
    alone = is_one_image(micrographs) and not output.within_job
    table = jobs[0].outputs[0].with_suffix(".star") if alone else table_path(chosen, output)
    files = {} if alone else chosen.listing.denoised(table, written_images(jobs))
    picture = table.with_suffix(".png") if output.picture or not alone else None
    require_outputs(PlannedTable(table, chosen.source, files), picture, jobs, output)
    with joined_to_write(table, device) as place:
        denoiser = denoiser_for(model, settings, place.device)
        rejected = rejected_rows(chosen, settings, read)
        usable = [job for job in jobs if job.subject.micrograph.row not in rejected]
        results = denoise_jobs(
            usable,
            denoiser,
            Path(model_name).name,
            overwrite=output.overwrite,
            bars=bars,
            place=place,
        )
        written = written_images(results.good)
        if written and place.is_main:
            inputs = {
                "micrographs": chosen.source,
                "origin": origin(chosen.source, table),
                "model": model_name,
                "output": output,
            }
            files = {} if alone else chosen.listing.denoised(table, written)
            record, panels = provenance(settings, inputs), partial(_panels, results)
            write_outputs(results, SetFiles(table, files, record), panels, picture)
    named = {row.name: row.reason for row in rejected.values()}
    return SetResults.of(results, named, table if written and not alone else None)


def read_exposure(micrograph: Micrograph, with_halves: bool) -> Exposure:
    """Read the full sum of a micrograph, and with ``with_halves`` its halves.

    Raises UserError if they are wanted and it has none.
    """
    full = read_tensor(micrograph.image)
    if not with_halves:
        return Exposure(full)
    return Exposure(full, read_halves(micrograph, "`average_halves` needs both halves"))


def denoise_jobs(
    jobs: Sequence[Job[Target]],
    denoiser: Denoiser,
    model_name: str,
    *,
    overwrite: bool = False,
    bars: Bars = no_bars,
    place: Place = ALONE,
) -> JobResults[Target]:
    """Denoise and write the jobs that are not current, by `restore.runtime.jobs.run_jobs`."""
    stale = stale_jobs(jobs, fingerprint_in, "are already denoised", overwrite, place)

    def read(job: Job[Target]) -> Exposure:
        micrograph = job.subject.micrograph
        if denoiser.settings.average_halves:
            return read_exposure(micrograph, with_halves=True)
        full = read_exposure(micrograph, with_halves=False)
        if not uses_halves(micrograph, denoiser.settings):
            return full
        try:
            return Exposure(full.full, read_halves(micrograph))
        except UserError as error:
            if _may_pass(error):
                raise
            log.warning(
                _WITHOUT_HALVES, micrograph.name, result_without_halves(denoiser.model), error
            )
            return full

    def compute(job: Job[Target], exposure: Future[Exposure]) -> Write:
        return _denoised(exposure.result(), job, denoiser, model_name)

    return run_jobs(jobs, Steps(read, compute, "denoising"), bars, place, stale=stale)


def _may_pass(error: BaseException | None) -> bool:
    """Whether a file could not be read for a reason outside it, such as a file server that does not
    answer or a lack of memory, so that a later run may read it.
    """
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
            return True
        error = error.__cause__
    return False


def _denoised(exposure: Exposure, job: Job[Target], denoiser: Denoiser, model_name: str) -> Write:
    """The denoised image, ready to be written. Without its halves, if they are needed only for the
    calibration and cannot be used.
    """
    device, micrograph = denoiser.engine.device, job.subject.micrograph
    halves = exposure.halves and (exposure.halves[0].to(device), exposure.halves[1].to(device))
    full = exposure.full.to(device)
    try:
        image = denoise_with(denoiser, Exposure(full, halves), micrograph)
    except UserError as error:
        if halves is None or denoiser.settings.average_halves:
            raise
        image = denoise_with(denoiser, Exposure(full), micrograph)
        log.warning(_WITHOUT_HALVES, micrograph.name, result_without_halves(denoiser.model), error)
    header, dtype = labels(job, model_name), denoiser.settings.output_dtype
    return partial(
        write_image, job.subject.path, image.cpu().numpy(), micrograph.pixel_size_A, header, dtype
    )


def _panels(results: JobResults[Target]) -> list[Panel]:
    """The first good micrograph, raw and denoised."""
    target = min((job.subject for job in results.good), key=lambda target: target.micrograph.row)
    images = {"raw": target.micrograph.image, "denoised": target.path}
    return [
        Panel(f"{title}: {image.name}", read_tensor(image), target.micrograph.pixel_size_A)
        for title, image in images.items()
    ]
