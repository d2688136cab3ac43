"""``restore evaluate``: measure how much noise was removed, how much signal was kept, and how much
was hallucinated.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from restore.cli.job import is_main
from restore.cli.model import chosen_model
from restore.cli.options import (
    add_device_option,
    add_model_option,
    add_output_directory_option,
    add_pixel_size_option,
    add_settings,
    add_suffix_option,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.recipe import SUFFIXES_OF_TRAINING, add_recipe_options, typed_recipe
from restore.cli.results import report_failures
from restore.errors import UsageError
from restore.evaluation.aggregate import EvaluationSettings
from restore.evaluation.source import DenoisedHalves
from restore.face.evaluation import EvaluatedSet, evaluate
from restore.model.checkpoint import NamedModel
from restore.preprocessing import Recipe
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore evaluate``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        required=True,
        metavar="STAR",
        help=(
            "RELION STAR or cryoSPARC .cs or .csg file of micrographs with halves, or images "
            "(MRC, TIFF) as a quoted pattern"
        ),
    )
    add_model_option(group)
    add_suffix_option(group, SUFFIXES_OF_TRAINING, "-s")
    add_pixel_size_option(group)
    add_device_option(group)
    add_output_directory_option(
        group,
        "folder of the results (default: evaluation); a rerun measures only what is missing or "
        "outdated",
        Path("evaluation"),
    )
    _add_options_of_others(parser)
    add_recipe_options(
        parser,
        "recipe (default: the model's own; the general model takes this one; for "
        "--denoised_halves, theirs)",
        f"finest resolution, Å (default: {Recipe.max_resolution_A})",
        "the denoised images are phase-flipped (with --denoised_halves, not the default)",
    )
    add_settings(parser, "evaluation", EvaluationSettings)


def _add_options_of_others(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("images of another program, instead of a model")
    group.add_argument(
        "--denoised_halves",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help=(
            "folder of another program's denoised halves, which have the raw halves' names (one "
            "folder, or one for the even and one for the odd halves)"
        ),
    )
    group.add_argument(
        "--denoised_suffix",
        default="",
        metavar="TEXT",
        help=(
            "suffix that follows the raw half's name in the name of its denoised half (default: "
            "none)"
        ),
    )
    group.add_argument(
        "--fit_scale",
        action="store_true",
        help="fit the grey scale of the denoised halves, for programs that change it",
    )


def run(namespace: argparse.Namespace) -> int:
    """Measure what is missing or outdated, and write the evaluation; returns the exit status."""
    tune_malloc()
    subject = _subject(namespace)
    named = isinstance(subject, NamedModel)
    evaluated = evaluate(
        namespace.input_micrographs,
        subject.model if named else subject,
        model_name=subject.name if named else None,
        output_directory=namespace.output_directory,
        settings=settings_from(namespace, EvaluationSettings),
        suffixes=namespace.even_odd_suffix,
        pixel_size_A=namespace.pixel_size,
        device=namespace.device,
        bars=Bar,
    )
    if not is_main(os.environ):
        return 0
    print_evaluation(evaluated)
    return report_failures(evaluated.failed, evaluated.total, "evaluated")


def print_evaluation(evaluated: EvaluatedSet) -> None:
    """Print the warnings of an evaluation, its summary, and its path."""
    if evaluated.evaluation is None:
        return
    for sentence in evaluated.evaluation.warnings:
        print(f"Warning: {sentence}", file=sys.stderr)
    print("\n".join(evaluated.evaluation.summary))
    print(evaluated.file)


def _subject(namespace: argparse.Namespace) -> NamedModel | DenoisedHalves:
    """The object of the evaluation: a model, or another program's images."""
    from_other_program = namespace.denoised_halves is not None or bool(namespace.denoised_suffix)
    if not from_other_program:
        if namespace.fit_scale:
            raise UsageError(
                "--fit_scale is given with a model",
                wanted="a model keeps the grey scale",
                do="leave it out",
            )
        return chosen_model(namespace)
    if namespace.model is not None:
        raise UsageError(
            "both a model and denoised halves are given",
            do="give a model with --model, or the images of another program with --denoised_halves",
        )
    # Another program's phases are not flipped unless the option says so.
    recipe = replace(typed_recipe(namespace), phase_flip=bool(namespace.phaseflip))
    folders = tuple(namespace.denoised_halves or ())
    return DenoisedHalves(folders, namespace.denoised_suffix, recipe, namespace.fit_scale)
