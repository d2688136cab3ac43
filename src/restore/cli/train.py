"""``restore train``: train a model on halves or a patch file."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from restore.cli.job import MODELS, add_job_options, apply_job_options, is_main
from restore.cli.options import add_device_option, add_settings, given, refuse_inapplicable
from restore.cli.patches import make_patch_file
from restore.cli.progress import LateBar
from restore.cli.recipe import (
    add_input_options,
    add_recipe_options,
    refuse_other_recipe,
    typed_recipe,
)
from restore.errors import UsageError
from restore.runtime.memory import tune_malloc
from restore.training.run import train
from restore.training.run_files import RunFiles
from restore.training.settings import PRESETS, TrainingSettings
from restore.training.watchers import TrainingProgress


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore train``."""
    add_input_options(parser)
    group = parser.add_argument_group("other starting points, and the run's files")
    group.add_argument(
        "--training_data", "-t", type=Path, metavar="HDF", help="existing patch file to train on"
    )
    group.add_argument(
        "--initial_model", "-i", type=Path, metavar="MODEL", help="trained model to start from"
    )
    group.add_argument(
        "--model_directory",
        "-d",
        type=Path,
        default=MODELS,
        metavar="DIR",
        help=f"folder of the run's files (default: {MODELS})",
    )
    group.add_argument(
        "--model_prefix",
        "-x",
        default="model",
        metavar="NAME",
        help="name of the run (default: model)",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue the run of this name from where it stopped; start from the beginning if "
        "there is no training state",
    )
    add_device_option(group)
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help=(
            "defaults of the training options: for the device (cpu, gpu), or the paper's "
            "(default: for the device in use)"
        ),
    )
    add_job_options(group)
    add_recipe_options(parser)
    add_settings(parser, "training", TrainingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Train and write the model; returns the exit status."""
    _refuse_unused(namespace)
    apply_job_options(namespace)
    tune_malloc()
    with LateBar("", "training") as bar:
        train(
            _patches(namespace),
            given(namespace, TrainingSettings),
            preset=namespace.preset,
            model_directory=namespace.model_directory,
            model_prefix=namespace.model_prefix,
            initial_model=namespace.initial_model,
            resume=namespace.resume,
            overwrite=namespace.overwrite,
            device=namespace.device,
            check_recipe=lambda data: refuse_other_recipe(namespace, data.recipe, str(data.path)),
            progress=partial(show_training, bar),
        )
    if is_main(os.environ):
        print(RunFiles(namespace.model_directory, namespace.model_prefix).model)
    return 0


_OF_MICROGRAPHS = ("even_odd_suffix", "pixel_size", "training_filename", "patch_dtype")
"""Options that do not apply to an existing patch file."""


def _refuse_unused(namespace: argparse.Namespace) -> None:
    """Raise UsageError if options describe how a patch file is made, but there is one already."""
    is_made = namespace.training_data is not None or namespace.resume
    if namespace.training_mics is not None or not is_made:
        return
    refuse_inapplicable(
        [name for name in _OF_MICROGRAPHS if getattr(namespace, name) is not None],
        "an existing patch file",
        "such options are for making one from the micrographs of --training_mics",
    )


def _patches(namespace: argparse.Namespace) -> Path | Callable[[int], Path] | None:
    """The patch file, or a function that makes it; None for that of the run to resume."""
    if namespace.training_data is not None and namespace.training_mics is not None:
        raise UsageError(
            "both --training_mics and --training_data are given", do="give one of them"
        )
    if namespace.training_data is not None:
        return namespace.training_data
    if namespace.training_mics is not None:
        return partial(make_patch_file, namespace, typed_recipe(namespace))
    if namespace.resume:
        return None
    raise UsageError(
        "there is nothing to train on",
        do="name a STAR file with --training_mics, or a patch file with -t",
    )


def show_training(bar: LateBar, progress: TrainingProgress) -> None:
    """Update the bar, which counts steps, or minutes if they bound the run."""
    steps, seconds = progress.budget.steps, progress.budget.seconds
    total = steps if steps is not None else round((seconds or 0) / 6) / 10
    shown = None if progress.budget.open_ended else total
    rate = progress.patches / max(progress.seconds, 1e-3)
    bar.to(
        round(progress.fraction * total) if steps is not None else progress.fraction * total,
        shown,
        unit="steps" if steps is not None else "minutes",
        words=f"{rate:.3g} patches/s",
    )
