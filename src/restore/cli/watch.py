"""``restore watch``: denoise a session while it is collected."""

import argparse
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from restore.cli.model import chosen_model
from restore.cli.options import (
    add_device_option,
    add_model_option,
    add_output_directory_option,
    add_pixel_size_option,
    add_settings,
    add_suffix_option,
    given,
    refuse_inapplicable,
    settings_from,
)
from restore.cli.progress import Bar, LateBar
from restore.cli.recipe import RECIPE_OF_MODEL, add_recipe_options
from restore.cli.results import report_failures
from restore.cli.train import show_training
from restore.denoising.settings import DenoisingSettings
from restore.io.micrographs import is_table
from restore.live.session import watch
from restore.live.settings import WatchSettings
from restore.runtime.memory import tune_malloc
from restore.training.watchers import TrainingProgress


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore watch``."""
    group = parser.add_argument_group("input and output")
    group.add_argument(
        "source",
        metavar="FOLDER|STAR",
        help="folder in which images appear, or RELION STAR or cryoSPARC .cs or .csg file that "
        "grows",
    )
    add_output_directory_option(
        group, "folder for all output, in which the input's folders are repeated"
    )
    add_model_option(group, ", until one is trained on the session; one given here is kept")
    add_suffix_option(group, "suffixes of the full sum and its halves", "-s")
    add_pixel_size_option(group)
    add_device_option(group)
    add_settings(parser, "session", WatchSettings)
    add_recipe_options(
        parser,
        RECIPE_OF_MODEL,
        "finest resolution, Å",
        "correct the CTF's sign (not in a folder, which holds no CTF)",
    )
    add_settings(parser, "denoising", DenoisingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Follow the session; returns the exit status if it ends by itself."""
    settings = settings_from(namespace, WatchSettings)
    if namespace.model is not None:
        _refuse_options_of_training(namespace)
        settings = replace(settings, train_after=0)
    tune_malloc()
    chosen = chosen_model(namespace, is_table(namespace.source))
    session = watch(
        namespace.source,
        namespace.output_directory,
        chosen.model,
        model_name=chosen.name,
        settings=settings,
        denoising=settings_from(namespace, DenoisingSettings),
        suffixes=namespace.even_odd_suffix,
        pixel_size_A=namespace.pixel_size,
        device=namespace.device,
        bars=Bar,
        show_training=_training_bar,
    )
    if session.table is not None:
        print(session.table)
    return report_failures(session.failed.items(), session.total, "denoised")


def _refuse_options_of_training(namespace: argparse.Namespace) -> None:
    """Raise UsageError if options ask for a training, although a model is given."""
    typed = given(namespace, WatchSettings)
    refuse_inapplicable(
        [name for name in ("train_after", "minutes") if typed.get(name)],
        "a session with --model",
        "that model is kept, and none is trained",
    )


@contextmanager
def _training_bar() -> Generator[Callable[[TrainingProgress], None]]:
    """The progress bar of the training, like that of ``restore train``."""
    with LateBar("", "training") as bar:
        yield partial(show_training, bar)
