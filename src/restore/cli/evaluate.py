"""``restore evaluate``: how much noise went, how much signal stayed, how much false signal came."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from restore.cli.options import (
    add_device_option,
    add_pixel_size_option,
    add_settings,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.recipe import add_phaseflip_options, grid_of, refuse_other_recipe, typed_recipe
from restore.denoising.batch import without_denoised
from restore.errors import UsageError, UserError
from restore.evaluation.aggregate import (
    FORMAT_VERSION,
    EvaluationSettings,
    appraise,
    as_csv,
    as_star,
    roles,
)
from restore.evaluation.batch import Method, Subject, examine, subjects
from restore.evaluation.measure import (
    Halves,
    Sampling,
    Views,
    fitted,
    sampling_for,
    views_of_images,
    views_of_model,
)
from restore.io.atomic import require_writable, write_text
from restore.io.denoised_halves import denoised_halves
from restore.io.micrographs import (
    HALVES,
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
from restore.preprocessing import Recipe
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.spectra import error_curves, shares
from restore.runtime.distributed import Place, join_processes
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)

RECORD_NAME = "evaluation.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore evaluate``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        required=True,
        metavar="STAR",
        help=(
            "RELION STAR or cryoSPARC .cs or .csg file of micrographs that have halves, or images "
            "(MRC, TIFF) as a quoted pattern"
        ),
    )
    group.add_argument(
        "--model",
        "-p",
        type=Path,
        metavar="MODEL",
        help="the model to evaluate, from restore train",
    )
    group.add_argument(
        "--even_odd_suffix",
        "-s",
        metavar="FULL,EVEN,ODD",
        help=(
            "names of the halves, where the STAR has no rlnMicrographNameEven/Odd (default: "
            "DW,EVN,ODD)"
        ),
    )
    add_pixel_size_option(group)
    add_device_option(group)
    group.add_argument(
        "--output_directory",
        "-o",
        type=Path,
        default=Path("evaluation"),
        metavar="FOLDER",
        help="(default: evaluation); a rerun measures what is missing or stale",
    )
    _add_options_of_others(parser)
    checked = parser.add_argument_group(
        "recipe (the model's own, checked where given; of --denoised_halves: theirs)"
    )
    checked.add_argument(
        "--max_resolution",
        "-r",
        type=float,
        metavar="X",
        help=f"finest resolution, Å (default: {Recipe.max_resolution_A})",
    )
    add_phaseflip_options(
        checked,
        "the denoised images have their phases flipped (of --denoised_halves: not the default)",
    )
    add_settings(parser, "evaluation", EvaluationSettings)


def _add_options_of_others(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("in the model's place, another program's images")
    group.add_argument(
        "--denoised_halves",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="where another program's denoised halves lie, under the raw halves' names "
        "(one folder, or the even and the odd halves')",
    )
    group.add_argument(
        "--denoised_suffix",
        default="",
        metavar="TEXT",
        help="what their names have after the raw halves' (default: none)",
    )
    group.add_argument(
        "--fit_scale",
        action="store_true",
        help="fit their grey scale, for programs that do not keep it",
    )


def run(namespace: argparse.Namespace) -> int:
    """Measure what is missing or stale, write the evaluation; the exit status comes back."""
    settings = settings_from(namespace, EvaluationSettings)
    folder: Path = namespace.output_directory
    keep_heap()
    model = _model(namespace)
    recipe = model.recipe if model else _recipe_of_others(namespace)
    chosen = _read_set(namespace, recipe)
    good, bad = _usable(chosen.micrographs)
    require_writable(folder)
    _refuse_foreign(folder / RECORD_NAME)
    with join_processes(namespace.device) as place:
        views = _comparison(model, recipe, namespace, settings, place)
        method = Method(
            views, _sampling(good, recipe, settings.patch_px), settings.support_window, place.device
        )
        made_with = [
            model and model.digest(),
            recipe,
            method.sampling,
            settings.measuring,
            namespace.fit_scale,
        ]
        others = (
            None
            if model
            else denoised_halves(good, namespace.denoised_halves or [], namespace.denoised_suffix)
        )
        everything = subjects(good, folder, made_with, others)
        failed = _examine(everything, method, place)
        if not place.leads:
            return 0
        measured = [
            subject
            for subject in everything
            if subject.micrograph.row not in {row for row, _ in failed}
        ]
        if measured:
            record = _record(namespace, settings, recipe, model, method)
            names = [subject.micrograph.name for subject in measured]
            known = roles(names, model.training) if model else ["all"] * len(names)
            with Bar(len(measured), "micrographs", "comparing") as bar:
                record |= appraise(measured, known, method.sampling.axis, settings, bar.to)
            _write(folder, record)
    names = {micrograph.row: micrograph.name for micrograph in chosen.micrographs}
    return _report(bad + [(names[row], reason) for row, reason in failed], len(chosen.micrographs))


def _model(namespace: argparse.Namespace) -> Model | None:
    others = namespace.denoised_halves is not None or bool(namespace.denoised_suffix)
    if (namespace.model is not None) == others:
        raise UsageError(
            "both a model and denoised halves are given" if others else "nothing to evaluate",
            do="give a model with --model, or another program's images with --denoised_halves",
        )
    if namespace.denoised_halves and len(namespace.denoised_halves) > 2:
        found = f"{len(namespace.denoised_halves)} folders of denoised halves"
        raise UsageError(found, wanted="one for both, or one for each")
    if namespace.model is None:
        return None
    if namespace.fit_scale:
        raise UsageError(
            "--fit_scale is given with a model", wanted="a model keeps the scale", do="leave it out"
        )
    model = load_model(namespace.model)
    refuse_other_recipe(namespace, model.recipe, "the model")
    return model


def _recipe_of_others(namespace: argparse.Namespace) -> Recipe:
    """The recipe for another program's images, whose phases are not flipped unless it is said."""
    return replace(typed_recipe(namespace), phase_flip=bool(namespace.phaseflip))


def _read_set(namespace: argparse.Namespace, recipe: Recipe) -> MicrographSet:
    suffixes = parse_suffixes(namespace.even_odd_suffix) if namespace.even_odd_suffix else None
    needs = Needs(ctf=recipe.phase_flip, halves=True)
    return without_denoised(
        read_micrographs(namespace.input_micrographs, suffixes, namespace.pixel_size, needs)
    )


def _usable(micrographs: Sequence[Micrograph]) -> tuple[list[Micrograph], list[tuple[str, str]]]:
    """The micrographs whose halves can be read, and the names of the others with the reasons."""
    _, problems = check_files(micrographs, HALVES)
    reasons = {problem.micrograph.row: problem for problem in problems}
    good = [micrograph for micrograph in micrographs if micrograph.row not in reasons]
    if not good:
        raise UserError(
            f"none of the {len(micrographs)} micrographs can be evaluated",
            wanted=problems[0].message,
        )
    return good, [(problem.micrograph.name, problem.message) for problem in problems]


def _refuse_foreign(path: Path) -> None:
    if (
        path.exists()
        and '"restore"' not in path.read_text(encoding="utf-8", errors="replace")[:2000]
    ):
        raise UserError(
            "a file stands here that restore did not write",
            where=path,
            do="give another --output_directory",
        )


def _sampling(micrographs: Sequence[Micrograph], recipe: Recipe, patch_px: int) -> Sampling:
    return sampling_for([grid_of(each, recipe) for each in micrographs], recipe, patch_px)


def _comparison(
    model: Model | None,
    recipe: Recipe,
    namespace: argparse.Namespace,
    settings: EvaluationSettings,
    place: Place,
) -> Callable[[Halves, Halves | None, Micrograph], Views]:
    """What makes comparable views of one micrograph's halves."""
    if model is None:
        return partial(_views_of_others, recipe=recipe, fit=namespace.fit_scale)
    engine = engine_for(model.network, place.device, settings.precision)
    return lambda halves, _, micrograph: views_of_model(
        halves, micrograph, recipe, engine, settings.tile_px
    )


def _views_of_others(
    halves: Halves, denoised: Halves | None, micrograph: Micrograph, recipe: Recipe, fit: bool
) -> Views:
    assert denoised is not None
    views = views_of_images(halves, denoised, micrograph, recipe)
    return fitted(views) if fit else views


def _examine(everything: Sequence[Subject], method: Method, place: Place) -> list[tuple[int, str]]:
    """Measure what is missing or stale, this process its share; the rows that failed anywhere, and
    why.
    """
    # All processes share out one list, and none may change what another is still looking at.
    stale = set(
        place.gather([subject.micrograph.row for subject in everything if not subject.is_current()])
    )
    to_do = [subject for subject in everything if subject.micrograph.row in stale]
    if place.leads and len(to_do) < len(everything):
        log.info(
            "%d of %d micrographs are already measured",
            len(everything) - len(to_do),
            len(everything),
        )
    mine = to_do[place.rank :: place.world_size]
    if not mine:
        return place.gather([])
    if not place.leads:
        failed = examine(mine, method, lambda _: None)
    else:
        with Bar(len(mine), "micrographs", "measuring") as bar:
            failed = examine(mine, method, bar.to)
    return place.gather([(subject.micrograph.row, reason) for subject, reason in failed])


def _record(
    namespace: argparse.Namespace,
    settings: EvaluationSettings,
    recipe: Recipe,
    model: Model | None,
    method: Method,
) -> dict[str, Any]:
    """The part of the evaluation that says how it was made."""
    inputs = {
        "micrographs": namespace.input_micrographs, "model": namespace.model, "denoised": namespace.denoised_halves,
        "denoised_suffix": namespace.denoised_suffix, "fit_scale": namespace.fit_scale,
    }  # fmt: skip
    return {
        "format_version": FORMAT_VERSION,
        "provenance": provenance(settings, inputs),
        "recipe": recipe.card(),
        "model": _model_record(namespace.model, model) if model else None,
        "method": {
            "patch_px": method.sampling.patch_px, "rings": method.sampling.axis.count, "window": "Hann",
            "confidence": settings.confidence, "resamples": settings.resamples,
            "support_window_A": settings.support_window,
        },
    }  # fmt: skip


def _model_record(path: Path, model: Model) -> dict[str, Any]:
    parameters = sum(each.numel() for each in model.network.parameters())
    return {
        "name": path.name,
        "parameters": parameters,
        "training": dict(model.training),
        "provenance": dict(model.provenance),
    }


def _write(folder: Path, record: dict[str, Any]) -> None:
    """The tables and figures, and last the record that the report reads; the summary goes to
    standard output.
    """
    write_star(folder / "micrographs.star", as_star(record["micrographs"]))
    write_text(folder / "micrographs.csv", as_csv(record["micrographs"]))
    figures: dict[str, Callable[[dict[str, Any]], Any]] = {
        "errors.png": error_curves,
        "shares.png": shares,
    }
    for name, draw in figures.items():
        try:
            save_png(draw(record), folder / name)
        except UserError as error:
            log.warning("%s", error)
    write_text(folder / RECORD_NAME, as_json(record) + "\n")
    for sentence in record["warnings"]:
        print(f"Warning: {sentence}", file=sys.stderr)
    print("\n".join(record["summary"]))
    print(folder / RECORD_NAME)


def _report(failed: Sequence[tuple[str, str]], total: int) -> int:
    if not failed:
        return 0
    print(f"{len(failed)} of {total} micrographs were not evaluated:", file=sys.stderr)
    for name, reason in failed:
        print(f"  {name}: {reason}", file=sys.stderr)
    return 1
