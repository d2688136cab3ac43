"""``restore denoise``: every micrograph of a set, with a trained model."""

import argparse
import logging
import os
from pathlib import Path

from restore.cli.ctf import add_ctf_options, typed_ctf
from restore.cli.job import add_job_options, leads, settle
from restore.cli.options import (
    add_device_option,
    add_pixel_size_option,
    add_settings,
    add_suffix_option,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.recipe import add_recipe_options, refuse_other_recipe, typed_recipe
from restore.cli.results import report_failures
from restore.denoising.batch import denoise_set
from restore.denoising.denoise import DenoisingSettings
from restore.denoising.targets import OutputSettings
from restore.errors import UsageError
from restore.io.relion.job import write_output_node
from restore.model.checkpoint import Model, load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore denoise``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "images",
        nargs="*",
        metavar="INPUT",
        help="images, patterns, or one table, instead of -m",
    )
    group.add_argument(
        "--input_micrographs",
        "-m",
        "--in_mics",
        metavar="STAR",
        help="RELION STAR, cryoSPARC .cs or .csg, or images as a quoted pattern",
    )
    group.add_argument(
        "--model",
        "-p",
        type=Path,
        metavar="MODEL",
        help=(
            "model file written by restore train (default: the general model that comes with "
            "restore)"
        ),
    )
    add_pixel_size_option(group)
    add_suffix_option(group, "suffixes of the full sum and its halves, for --average_halves")
    add_device_option(group)
    add_job_options(group)
    add_recipe_options(
        parser,
        "recipe (default: the model's own; the general model uses the one that is given)",
        "finest resolution, Å",
        "correct the CTF's sign",
    )
    add_ctf_options(parser)
    add_settings(parser, "output", OutputSettings, leave_out=("within_job",))
    add_settings(parser, "denoising", DenoisingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Denoise what is missing or stale, list it; the exit status comes back."""
    settle(namespace)
    keep_heap()
    sources = _sources(namespace)
    ctf = typed_ctf(namespace)
    model = _model(namespace)
    results = denoise_set(
        sources,
        model,
        output=settings_from(namespace, OutputSettings),
        settings=settings_from(namespace, DenoisingSettings),
        suffixes=namespace.even_odd_suffix,
        pixel_size_A=namespace.pixel_size,
        ctf=ctf,
        device=namespace.device,
        model_name=namespace.model or GENERAL_MODEL_PATH.name,
        bars=Bar,
    )
    if not leads(os.environ):
        return 0
    if results.table is not None:
        if namespace.job_folder is not None:
            write_output_node(namespace.job_folder, results.table, sources[0])
        print(results.table)
    for path in results.images if results.table is None else ():
        print(path)
    return report_failures(results.failed.items(), results.total, "denoised")


def _sources(namespace: argparse.Namespace) -> list[str]:
    """The inputs, which stand alone or after ``-m``."""
    if namespace.images and namespace.input_micrographs is not None:
        raise UsageError(
            "inputs are given both with and without -m", do=("give them either way, not both")
        )
    if namespace.images:
        return list(namespace.images)
    if namespace.input_micrographs is None:
        raise UsageError(
            "there is no input", do="give a STAR file or images: restore denoise image.mrc"
        )
    return [namespace.input_micrographs]


def _model(namespace: argparse.Namespace) -> Model:
    """The model that was named, or the general one for the recipe that was typed."""
    if namespace.model is None:
        log.info(
            "no model is given: the general model is used, which was not trained on these images"
        )
        return load_general_model(typed_recipe(namespace))
    model = load_model(namespace.model)
    refuse_other_recipe(namespace, model.recipe, "the model")
    return model
