"""Evaluation of a model, or of another program's images, on the halves of a set of micrographs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.evaluation.aggregate import EvaluationSettings, aggregate, roles
from restore.evaluation.batch import Method, measure_jobs, plan
from restore.evaluation.measure import (
    Sampling,
    sampling_for,
)
from restore.evaluation.records import (
    FILE,
    FILE_NAME,
    Evaluation,
    Making,
    MethodSummary,
)
from restore.evaluation.source import DenoisedHalves, Source, source_of
from restore.face.patches import grid_of
from restore.io.atomic import require_writable, write_text
from restore.io.file_checks import ReadHeader, reading_once
from restore.io.labels import without_denoised
from restore.io.micrographs import (
    HALVES,
    MicrographSet,
    Needs,
    parse_suffixes,
    read_micrographs,
)
from restore.io.star import write_star
from restore.joint_work import joined_to_write
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model
from restore.preprocessing import Grid, Recipe
from restore.provenance import provenance
from restore.records import record_text
from restore.report.figures import save_png
from restore.report.spectra import error_curves, shares
from restore.runtime.distributed import Place
from restore.runtime.progress import Bars, no_bars
from restore.tables.evaluation import evaluation_csv, evaluation_star

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluatedSet:
    """The result of `evaluate`.

    Attributes
    ----------
    evaluation
        The measured numbers and curves. None if no micrograph could be measured, and in all
        processes but the main one.
    file
        The ``evaluation.json`` that holds it.
    failed
        Name and reason of each micrograph that could not be measured.
    total
        Number of micrographs in the set.
    """

    evaluation: Evaluation | None
    file: Path
    failed: tuple[tuple[str, str], ...]
    total: int


def evaluate(
    micrographs: str | PathLike[str] | MicrographSet,
    model: Model | str | PathLike[str] | DenoisedHalves | None = None,
    *,
    model_name: str | PathLike[str] | None = None,
    output_directory: str | PathLike[str] = "evaluation",
    settings: EvaluationSettings | None = None,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    device: str = "auto",
    bars: Bars = no_bars,
) -> EvaluatedSet:
    """Measure how much noise a model removes, how much signal it keeps, and how much false signal
    it adds.

    Measurements of an earlier run that are still valid are not repeated.

    Parameters
    ----------
    micrographs
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, or a pattern of images; or a
        `MicrographSet` from `read_micrographs`. Every micrograph needs its two halves.
    model
        A model or the path of its file; or halves that another program has denoised. None stands
        for the general model that comes with the package, with its own recipe.
    model_name
        Name of the model in the results. None stands for the name of its file.
    output_directory
        Folder for ``evaluation.json``, tables and figures, from which `write_report` makes a page.
    settings
        How the micrographs are measured, and with which confidence.
    suffixes
        What distinguishes the names of the full sum, the even and the odd half, as
        ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å, for images that no table lists.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    bars
        Makes the progress bars.

    Returns
    -------
    EvaluatedSet
        Its ``evaluation`` holds the numbers and curves of groups and micrographs, warnings, and a
        summary in sentences.

    Raises
    ------
    UserError
        No micrograph can be evaluated, or the folder cannot be written to.

    Examples
    --------
    >>> evaluated = restore.evaluate("session/micrographs_ctf.star", "Models/model.safetensors")
    >>> [group.name for group in evaluated.evaluation.groups]
    ['held out', 'trained on', 'all']
    >>> len(evaluated.evaluation.micrographs), evaluated.failed
    (2, ())
    """
    settings, folder = settings or EvaluationSettings(), Path(output_directory)
    source = source_of(model, model_name)
    if not isinstance(micrographs, MicrographSet):
        micrographs = read_micrographs(
            str(micrographs),
            parse_suffixes(suffixes) if suffixes else None,
            pixel_size_A,
            Needs(ctf=source.recipe.phase_flip, halves=True, skip_bad=True),
        )
    chosen = without_denoised(micrographs)
    read = reading_once()
    usable, bad = _usable(chosen, source.recipe, read)
    good = [micrograph for micrograph, _ in usable]
    require_writable(folder)
    file = folder / FILE_NAME
    _refuse_foreign(file)
    with joined_to_write(file, device) as place:
        method = _method(source, settings, [grid for _, grid in usable], place)
        made_with = [source.made_with(), method.sampling, settings.measuring]
        jobs = plan(good, folder, made_with, source.files(good))
        results = measure_jobs(jobs, method, bars=bars, place=place)
        measured = sorted(
            (job.subject for job in results.good), key=lambda subject: subject.micrograph.row
        )
        bad += [(job.name, reason) for job, reason in results.failed]
        evaluation = None
        if measured and place.is_main:
            making = _making(source, settings, chosen.source, method.sampling)
            training = source.model.training if source.model else None
            known = roles([subject.micrograph.name for subject in measured], training)
            axis = method.sampling.axis
            with bars(len(measured), "micrographs", "comparing") as bar:
                evaluation = aggregate(measured, known, axis, settings, making, progress=bar.to)
            _write(folder, evaluation)
    return EvaluatedSet(evaluation, file, tuple(bad), chosen.row_count)


def _usable(
    chosen: MicrographSet, recipe: Recipe, read: ReadHeader
) -> tuple[list[tuple[Micrograph, Grid]], list[tuple[str, str]]]:
    """The micrographs whose CTF and halves can be used and suit the recipe, with their grids; and
    the others by name with the reasons.

    Raises UserError if there are none.
    """
    rejected = chosen.unusable(HALVES, read)
    bad = [(row.name, row.reason) for row in rejected.values()]
    good: list[tuple[Micrograph, Grid]] = []
    unsuitable: list[UserError] = []
    for micrograph in chosen.micrographs:
        if micrograph.row in rejected:
            continue
        try:
            good.append((micrograph, grid_of(micrograph, recipe, read)))
        except UserError as error:  # as of an optics group whose pixels are too large
            unsuitable.append(error)
            bad.append((micrograph.name, str(error)))
    if not good and unsuitable:
        raise unsuitable[0]
    if not good:
        raise UserError(
            f"none of the {chosen.row_count} micrographs could be evaluated. {bad[0][1]}",
            wanted="an evaluation needs halves",
            do="if there are none, make them with restore halves",
        )
    return good, bad


def _refuse_foreign(path: Path) -> None:
    if (
        path.exists()
        and '"restore"' not in path.read_text(encoding="utf-8", errors="replace")[:2000]
    ):
        raise UserError(
            "there is a file here that restore did not write",
            where=path,
            do="give another `output_directory`",
        )


def _method(
    source: Source, settings: EvaluationSettings, grids: Sequence[Grid], place: Place
) -> Method:
    sampling = sampling_for(grids, source.recipe, settings.patch_px)
    comparison = source.comparison(settings, place.device)
    return Method(comparison, sampling, settings.support_window, place.device)


def _making(
    source: Source, settings: EvaluationSettings, micrographs: str, sampling: Sampling
) -> Making:
    """The part of the evaluation that describes how it was made."""
    return Making(
        provenance=provenance(settings, {"micrographs": micrographs, **source.inputs()}),
        recipe=source.recipe.card(),
        model=source.summary(),
        method=MethodSummary(
            patch_px=sampling.patch_px,
            rings=sampling.axis.count,
            window="Hann",
            confidence=settings.confidence,
            resamples=settings.resamples,
            support_window_A=settings.support_window,
        ),
    )


def _write(folder: Path, evaluation: Evaluation) -> None:
    """The tables and figures, and last the record that the report reads."""
    write_star(folder / "micrographs.star", evaluation_star(evaluation.micrographs))
    write_text(folder / "micrographs.csv", evaluation_csv(evaluation.micrographs))
    figures: dict[str, Callable[[Evaluation], Any]] = {
        "errors.png": error_curves,
        "shares.png": shares,
    }
    for name, draw in figures.items():
        try:
            save_png(draw(evaluation), folder / name)
        except UserError as error:
            log.warning("%s", error)
    write_text(folder / FILE_NAME, record_text(evaluation, FILE))
