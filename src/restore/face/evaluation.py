"""A model, or another program's images, evaluated on the halves of a set of micrographs."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from restore.denoising.batch import without_denoised
from restore.errors import UsageError, UserError
from restore.evaluation.aggregate import (
    EvaluationSettings,
    aggregate,
    as_csv,
    as_star,
    roles,
)
from restore.evaluation.batch import Method, Subject, measure_jobs, plan
from restore.evaluation.measure import (
    Halves,
    Sampling,
    Views,
    fitted,
    require_own_halves,
    sampling_for,
    views_of_images,
    views_of_model,
)
from restore.evaluation.records import (
    FILE,
    FILE_NAME,
    Evaluation,
    Making,
    MethodSummary,
    ModelSummary,
)
from restore.face.patches import grid_of
from restore.io.atomic import require_writable, write_text
from restore.io.denoised_halves import denoised_halves as files_of_others
from restore.io.lock import locked
from restore.io.micrographs import (
    HALVES,
    BadRow,
    MicrographSet,
    Needs,
    check_files,
    parse_suffixes,
    read_micrographs,
)
from restore.io.star import write_star
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model, load_model
from restore.model.inference.selection import engine_for
from restore.preprocessing import PREPARATION_VERSION, Recipe
from restore.provenance import provenance
from restore.records import plain, record_text
from restore.report.figures import save_png
from restore.report.spectra import error_curves, shares
from restore.runtime.distributed import Place, join_processes
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DenoisedHalves:
    """Another program's denoised halves, in the place of a model.

    ``folders`` are one for both halves or one for each, ``suffix`` is what their names have after
    the raw halves'. ``recipe`` says up to which resolution they are compared, and whether their
    phases are flipped. ``fit_scale`` fits their grey scale, for programs that do not keep it.
    """

    folders: Sequence[str | PathLike[str]] = ()
    suffix: str = ""
    recipe: Recipe = Recipe(phase_flip=False)
    fit_scale: bool = False


@dataclass(frozen=True)
class EvaluatedSet:
    """What `evaluate` found: ``evaluation`` is None where no micrograph could be measured, or in
    another than the main process; ``failed`` holds the micrographs that could not be, and why.
    """

    evaluation: Evaluation | None
    file: Path
    failed: tuple[tuple[str, str], ...]
    total: int


def evaluate(
    micrographs: str | PathLike[str],
    model: Model | str | PathLike[str] | DenoisedHalves,
    *,
    output_directory: str | PathLike[str] = "evaluation",
    settings: EvaluationSettings | None = None,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    device: str = "auto",
    bars: Bars = no_bars,
) -> EvaluatedSet:
    """Measure how much noise a model removes, how much signal it keeps, and how much false signal
    it adds.

    A rerun measures only what is missing or stale.

    Parameters
    ----------
    micrographs
        A RELION STAR file, a cryoSPARC ``.cs`` or ``.csg`` file, or a pattern of images, with
        halves.
    model
        The model, or its file; or another program's denoised halves.
    output_directory
        Where ``evaluation.json``, tables and figures are written, for `write_report` to show.
    settings
        How micrographs are measured, and how sure the numbers are.
    suffixes
        How the names of a full sum and its halves differ, as ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å, where no table says it.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    bars
        Shows how far each step has come.

    Returns
    -------
    EvaluatedSet
        ``evaluation`` holds groups, micrographs, curves, warnings and a summary in sentences.

    Raises
    ------
    UserError
        No micrograph can be evaluated, or the folder cannot be written.

    Examples
    --------
    >>> found = restore.evaluate("session/micrographs_ctf.star", "Models/model.safetensors")
    >>> [group.name for group in found.evaluation.groups]
    ['held out', 'trained on', 'all']
    >>> len(found.evaluation.micrographs), found.failed
    (2, ())
    """
    run = _run(micrographs, model, settings or EvaluationSettings())
    folder = Path(output_directory)
    chosen = without_denoised(
        read_micrographs(
            run.micrographs,
            parse_suffixes(suffixes) if suffixes else None,
            pixel_size_A,
            Needs(ctf=run.recipe.phase_flip, halves=True, skip_bad=True),
        )
    )
    good, bad = _usable(chosen)
    require_writable(folder)
    _refuse_foreign(folder / FILE_NAME)
    file = folder / FILE_NAME
    with join_processes(device) as place, locked(file) if place.leads else nullcontext():
        method = _method(run, good, place)
        jobs = plan(good, folder, _made_with(run, method), _files_of_others(run, good))
        results = measure_jobs(jobs, method, bars=bars, place=place)
        measured = sorted(
            (job.subject for job in results.good), key=lambda subject: subject.micrograph.row
        )
        bad += [(job.name, reason) for job, reason in results.failed]
        evaluation = None
        if measured and place.leads:
            evaluation = _aggregate(run, measured, method, bars)
            _write(folder, evaluation)
    return EvaluatedSet(evaluation, file, tuple(bad), chosen.row_count)


@dataclass(frozen=True)
class _Run:
    """What is evaluated, and how."""

    micrographs: str
    model: Model | None
    model_file: Path | None
    others: DenoisedHalves
    settings: EvaluationSettings

    @property
    def recipe(self) -> Recipe:
        """The recipe by which images are compared."""
        return self.model.recipe if self.model else self.others.recipe


def _run(
    micrographs: str | PathLike[str],
    model: Model | str | PathLike[str] | DenoisedHalves,
    settings: EvaluationSettings,
) -> _Run:
    source = str(micrographs)
    if isinstance(model, DenoisedHalves):
        if len(model.folders) > 2:
            found = f"{len(model.folders)} folders of denoised halves"
            raise UsageError(found, field="denoised_halves", wanted="one for both, or one for each")
        return _Run(source, None, None, model, settings)
    if isinstance(model, Model):
        return _Run(source, model, None, DenoisedHalves(), settings)
    return _Run(source, load_model(Path(model)), Path(model), DenoisedHalves(), settings)


def _files_of_others(run: _Run, micrographs: list[Micrograph]) -> Any:
    if run.model is not None:
        return None
    folders = [Path(folder) for folder in run.others.folders]
    return files_of_others(micrographs, folders, run.others.suffix)


def _made_with(run: _Run, method: Method) -> list[object]:
    """All that decides the numbers of a micrograph, beside its images."""
    return [
        PREPARATION_VERSION,
        run.model and run.model.digest(),
        run.recipe,
        method.sampling,
        run.settings.measuring,
        run.others.fit_scale,
    ]


def _usable(chosen: MicrographSet) -> tuple[list[Micrograph], list[tuple[str, str]]]:
    """The micrographs whose CTF and halves can be used, and the names of the others with the
    reasons.
    """
    micrographs = chosen.micrographs
    _, problems = check_files(micrographs, HALVES)
    files = {
        problem.micrograph.row: BadRow(problem.micrograph.name, problem.message)
        for problem in problems
    }
    rejected = dict(sorted({**files, **chosen.problems}.items()))
    good = [micrograph for micrograph in micrographs if micrograph.row not in rejected]
    bad = [(row.name, row.reason) for row in rejected.values()]
    if not good:
        raise UserError(
            f"none of the {chosen.row_count} micrographs can be evaluated", wanted=bad[0][1]
        )
    return good, bad


def _refuse_foreign(path: Path) -> None:
    if (
        path.exists()
        and '"restore"' not in path.read_text(encoding="utf-8", errors="replace")[:2000]
    ):
        raise UserError(
            "a file stands here that restore did not write",
            where=path,
            do="give another `output_directory`",
        )


def _method(run: _Run, micrographs: Sequence[Micrograph], place: Place) -> Method:
    settings = run.settings
    grids = [grid_of(micrograph, run.recipe) for micrograph in micrographs]
    sampling: Sampling = sampling_for(grids, run.recipe, settings.patch_px)
    return Method(_comparison(run, place), sampling, settings.support_window, place.device)


def _comparison(run: _Run, place: Place) -> Callable[[Halves, Halves | None, Micrograph], Views]:
    """What makes comparable views of one micrograph's halves."""
    if run.model is None:
        return partial(_views_of_others, recipe=run.recipe, fit=run.others.fit_scale)
    engine = engine_for(run.model.network, place.device, run.settings.precision)
    calibration = run.model.calibration if run.settings.calibration == "rings" else None
    return lambda halves, _, micrograph: views_of_model(
        halves, micrograph, run.recipe, engine, run.settings.tile_px, calibration=calibration
    )


def _views_of_others(
    halves: Halves, denoised: Halves | None, micrograph: Micrograph, recipe: Recipe, fit: bool
) -> Views:
    assert denoised is not None
    views = views_of_images(halves, denoised, micrograph, recipe)
    require_own_halves(views)
    return fitted(views) if fit else views


def _aggregate(run: _Run, measured: Sequence[Subject], method: Method, bars: Bars) -> Evaluation:
    names = [subject.micrograph.name for subject in measured]
    known = roles(names, run.model.training) if run.model else ["all"] * len(names)
    with bars(len(measured), "micrographs", "comparing") as bar:
        axis, making = method.sampling.axis, _making(run, method)
        return aggregate(measured, known, axis, run.settings, making, progress=bar.to)


def _making(run: _Run, method: Method) -> Making:
    """The part of the evaluation that says how it was made."""
    settings = run.settings
    inputs = {
        "micrographs": run.micrographs,
        "model": run.model_file,
        "denoised": list(run.others.folders) or None,
        "denoised_suffix": run.others.suffix,
        "fit_scale": run.others.fit_scale,
    }
    return Making(
        provenance=provenance(settings, inputs),
        recipe=run.recipe.card(),
        model=_model_summary(run.model, run.model_file) if run.model else None,
        method=MethodSummary(
            patch_px=method.sampling.patch_px,
            rings=method.sampling.axis.count,
            window="Hann",
            confidence=settings.confidence,
            resamples=settings.resamples,
            support_window_A=settings.support_window,
        ),
    )


def _model_summary(model: Model, file: Path | None) -> ModelSummary:
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    name = file.name if file is not None else "model"
    return ModelSummary(name, parameters, plain(model.training), plain(model.provenance))


def _write(folder: Path, evaluation: Evaluation) -> None:
    """The tables and figures, and last the record that the report reads."""
    write_star(folder / "micrographs.star", as_star(evaluation.micrographs))
    write_text(folder / "micrographs.csv", as_csv(evaluation.micrographs))
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
