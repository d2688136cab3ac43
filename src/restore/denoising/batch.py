"""A whole set denoised: what goes where, what is already there, what failed."""

import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from restore.denoising.denoise import (
    Denoiser,
    DenoisingSettings,
    Exposure,
    denoise_with,
    denoiser_for,
    merge_band,
)
from restore.denoising.targets import (
    ELSEWHERE,
    OutputSettings,
    Target,
    fingerprint_in,
    labels,
    made_with,
    plan,
    written_names,
)
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.endings import IMAGE_ENDINGS, ending_of
from restore.io.images.image import read_image, write_image
from restore.io.labels import without_denoised
from restore.io.lock import locked
from restore.io.micrographs import (
    HALVES,
    BadRow,
    MicrographSet,
    Needs,
    Part,
    Suffixes,
    check_files,
    parse_suffixes,
    read_micrographs,
)
from restore.io.outputs import refuse_foreign, write_table
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model, load_model
from restore.provenance import provenance
from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.distributed import Place, join_processes
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

__all__ = [
    "OutputSettings",
    "Target",
    "denoise_jobs",
    "denoise_set",
    "plan",
    "read_exposure",
    "without_denoised",
]


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
    """Denoise every micrograph of a table or a pattern that has no current denoised image, and list
    the good ones in a table like the input's.

    Under torchrun or srun the processes share the work; all learn what became of it, and the
    leading one writes the table. A picture of the first good micrograph stands beside the table.

    Parameters
    ----------
    micrographs
        RELION STAR file, cryoSPARC ``.cs`` or ``.csg`` file, image, or pattern such as ``*.mrc``;
        or several images and patterns. One image alone gets no table, and a picture on request.
    model
        The model, or its file; ``model_name`` is what labels and records call it.
    output, settings
        Where images go; what is done with the network's output.
    suffixes
        How names of the full sum and the halves differ ("DW,EVN,ODD"), for ``average_halves``.
    pixel_size_A
        Pixel size in Å of images that no table lists (the headers', where it is None).
    ctf
        Contrast transfer function of images that no table lists.
    device
        "cpu", "cuda", "cuda:1" …; "auto" is a GPU where there is one.
    bars
        Makes the progress bar.

    Raises
    ------
    UserError
        An input is missing, wrong, or denoised already; an output would replace what restore did
        not write; another process is writing the same table; the disk is full.

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
    chosen = _read_set(micrographs, model, settings, suffixes, pixel_size_A=pixel_size_A, ctf=ctf)
    jobs = plan(chosen.micrographs, output, made_with(model, settings), settings.average_halves)
    alone = _is_one_image(micrographs)
    table = jobs[0].outputs[0].with_suffix(".star") if alone else _table_path(chosen, output)
    files = (
        {}
        if alone
        else chosen.listing.denoised(
            table, {job.subject.micrograph.row: job.subject.written_name for job in jobs}
        )
    )
    refuse_foreign(files, table, output.overwrite, ELSEWHERE)
    for folder in {path.parent for path in (*files, *(job.outputs[0] for job in jobs))}:
        require_writable(folder)
    with (
        join_processes(device) as place,
        locked(table) if place.leads else nullcontext(),
    ):
        denoiser = denoiser_for(model, settings, place.device)
        rejected = _rejected(chosen, settings)
        usable = [job for job in jobs if job.subject.micrograph.row not in rejected]
        results = denoise_jobs(
            usable,
            denoiser,
            Path(model_name).name,
            overwrite=output.overwrite,
            bars=bars,
            place=place,
        )
        names = written_names(results)
        if names and place.leads:
            inputs = {"micrographs": chosen.source, "model": model_name, "output": output}
            if not alone:
                write_table(
                    table, chosen.listing.denoised(table, names), provenance(settings, inputs)
                )
            if output.picture or not alone:
                _draw(results, table.with_suffix(".png"))
    named = {bad.name: bad.reason for bad in rejected.values()}
    return SetResults.of(results, named, table if names and not alone else None)


def read_exposure(micrograph: Micrograph, with_halves: bool) -> Exposure:
    """Read the full sum of a micrograph, and its halves where they are wanted."""

    def image(path: Path) -> Tensor:
        return torch.from_numpy(read_image(path).data)

    full = image(micrograph.image)
    if not with_halves:
        return Exposure(full)
    if micrograph.even is None or micrograph.odd is None:
        raise UserError(
            "it has no halves", where=micrograph.name, wanted="`average_halves` needs them"
        )
    return Exposure(full, (image(micrograph.even), image(micrograph.odd)))


def denoise_jobs(
    jobs: Sequence[Job[Target]],
    denoiser: Denoiser,
    model_name: str,
    *,
    overwrite: bool = False,
    bars: Bars = no_bars,
    place: Place = ALONE,
) -> JobResults[Target]:
    """Denoise and write the jobs that are not current, as `restore.runtime.jobs.run_jobs` says."""
    to_do = stale_jobs(jobs, fingerprint_in, overwrite, place)
    if len(to_do) < len(jobs) and place.leads:
        log.info("%d of %d micrographs are already denoised", len(jobs) - len(to_do), len(jobs))

    def read(job: Job[Target]) -> Exposure:
        return read_exposure(job.subject.micrograph, denoiser.settings.average_halves)

    def compute(job: Job[Target], exposure: Future[Exposure]) -> Write:
        return _denoised(exposure.result(), job, denoiser, model_name)

    results = run_jobs(to_do, Steps(read, compute, "denoising"), bars, place)
    stale = {id(job) for job in to_do}
    results.current = [job for job in jobs if id(job) not in stale]
    return results


def _denoised(exposure: Exposure, job: Job[Target], denoiser: Denoiser, model_name: str) -> Write:
    """The denoised image, ready to be written."""
    device, micrograph = denoiser.engine.device, job.subject.micrograph
    halves = exposure.halves and (exposure.halves[0].to(device), exposure.halves[1].to(device))
    image = denoise_with(denoiser, Exposure(exposure.full.to(device), halves), micrograph)
    header, dtype = labels(job, model_name), denoiser.settings.output_dtype
    return partial(
        write_image, job.subject.path, image.cpu().numpy(), micrograph.pixel_size_A, header, dtype
    )


def _read_set(
    source: str | Path | Sequence[str | Path],
    model: Model,
    settings: DenoisingSettings,
    suffixes: str | Suffixes | None,
    *,
    pixel_size_A: float | None,
    ctf: CTFParameters | None,
) -> MicrographSet:
    if isinstance(suffixes, str):
        suffixes = parse_suffixes(suffixes)
    if settings.flip_phases_back and not model.recipe.phase_flip:
        log.warning(
            "`flip_phases_back=True` changes nothing: the model was made with `phase_flip=False`"
        )
    needs = Needs(model.recipe.phase_flip, settings.average_halves, True, header_pixel_size=True)
    try:
        return without_denoised(read_micrographs(source, suffixes, pixel_size_A, needs, ctf))
    except UserError as error:
        do = re.sub(r"(?=(`phase_flip=False`|-{2}dont_phaseflip))", "a model made with ", error.do)
        raise error.instead(do=do) from None


def _is_one_image(micrographs: str | Path | Sequence[str | Path]) -> bool:
    """Whether the input is the name of one image, and no table or pattern."""
    names = [micrographs] if isinstance(micrographs, str | Path) else list(micrographs)
    return (
        len(names) == 1
        and ending_of(Path(names[0]).name) in IMAGE_ENDINGS
        and (Path(names[0]).is_file())
    )


def _table_path(chosen: MicrographSet, output: OutputSettings) -> Path:
    """Where the output's table goes: beside the input's, or at the top of the output folder. Never
    over the input.
    """
    source = Path(chosen.source)
    stem = source.stem if chosen.is_listed else "micrographs"
    folder = output.output_directory or (
        source.parent if chosen.is_listed else chosen.micrographs[0].image.parent
    )
    path = folder / f"{stem}{output.suffix}{chosen.listing.ending}"
    if path.resolve() == source.resolve():
        found = f"the output {chosen.listing.ending[1:].upper()} would replace the input's"
        raise UserError(found, where=path, do="give another `output_suffix`")
    return path


def _rejected(chosen: MicrographSet, settings: DenoisingSettings) -> dict[int, BadRow]:
    """The micrographs that cannot be denoised, by their rows: for their row, or their files."""
    needed: tuple[Part, ...] = ("image", *HALVES) if settings.average_halves else ("image",)
    _, problems = check_files(chosen.micrographs, needed)
    files = {
        problem.micrograph.row: BadRow(problem.micrograph.name, problem.message)
        for problem in problems
    }
    return dict(sorted({**files, **chosen.problems}.items()))


def _draw(results: JobResults[Target], path: Path) -> None:
    """A picture of the first good micrograph, raw beside denoised, where anything is new or the
    picture is gone.

    One that cannot be written is no reason to call the work undone.
    """
    if not results.done and path.exists():
        return
    target = min((job.subject for job in results.good), key=lambda each: each.micrograph.row)
    images = {"raw": target.micrograph.image, "denoised": target.path}
    try:
        panels = [
            Panel(
                f"{title}: {image.name}",
                torch.from_numpy(read_image(image).data),
                target.micrograph.pixel_size_A,
            )
            for title, image in images.items()
        ]
        save_picture(side_by_side(panels), path)
    except UserError as error:
        log.warning("%s", error)
