"""``restore denoise``: denoise every micrograph of a set with a trained model."""

import argparse
import os
from pathlib import Path

from restore.cli.ctf import add_ctf_options, typed_ctf
from restore.cli.job import add_job_options, apply_job_options, is_main
from restore.cli.model import chosen_model
from restore.cli.options import (
    add_device_option,
    add_model_option,
    add_pixel_size_option,
    add_settings,
    add_suffix_option,
    given,
    refuse_inapplicable,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.recipe import RECIPE_OF_MODEL, add_recipe_options
from restore.cli.results import report_failures
from restore.denoising.batch import denoise_set
from restore.denoising.settings import DenoisingSettings, ParticleSettings
from restore.denoising.targets import OutputSettings
from restore.errors import UsageError
from restore.io.micrographs import is_table
from restore.io.particle_listings import lists_particles
from restore.io.relion.job import MICROGRAPH_KINDS, PARTICLE_KINDS, write_output_node
from restore.model.checkpoint import NamedModel
from restore.runtime.jobs import SetResults
from restore.runtime.memory import tune_malloc


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
        "--in_parts",
        metavar="STAR",
        help="RELION STAR or cryoSPARC .cs or .csg, of micrographs or of particles; or images as a "
        "quoted pattern",
    )
    add_model_option(group)
    add_pixel_size_option(group)
    add_suffix_option(
        group, "suffixes of the full sum and its halves, for the calibration and --average_halves"
    )
    add_device_option(group)
    add_job_options(group)
    add_recipe_options(
        parser,
        RECIPE_OF_MODEL,
        "finest resolution, Å",
        "correct the CTF's sign",
    )
    add_ctf_options(parser)
    add_settings(parser, "output", OutputSettings, leave_out=("within_job",))
    add_settings(parser, "denoising", DenoisingSettings)
    add_settings(parser, "particles (where a table of particle images is given)", ParticleSettings)


def run(namespace: argparse.Namespace) -> int:
    """Denoise what is missing or outdated, and write the table; returns the exit status."""
    apply_job_options(namespace)
    tune_malloc()
    sources = _sources(namespace)
    of_particles = len(sources) == 1 and lists_particles(Path(sources[0]))
    if of_particles:
        _refuse_options_of_micrographs(namespace)
    else:
        refuse_inapplicable(
            given(namespace, ParticleSettings),
            "micrographs",
            "only a table of particles has such settings",
        )
    ctf = typed_ctf(namespace)
    chosen = chosen_model(namespace, ctf is not None or is_table(sources))
    results = (
        _particles(namespace, sources[0], chosen)
        if of_particles
        else denoise_set(
            sources,
            chosen.model,
            output=settings_from(namespace, OutputSettings),
            settings=settings_from(namespace, DenoisingSettings),
            suffixes=namespace.even_odd_suffix,
            pixel_size_A=namespace.pixel_size,
            ctf=ctf,
            device=namespace.device,
            model_name=chosen.name,
            bars=Bar,
        )
    )
    if not is_main(os.environ):
        return 0
    if results.table is not None:
        if namespace.job_folder is not None:
            kinds = PARTICLE_KINDS if of_particles else MICROGRAPH_KINDS
            write_output_node(namespace.job_folder, results.table, sources[0], kinds)
        print(results.table)
    for path in results.images if results.table is None else ():
        print(path)
    unit = "stacks of particles" if of_particles else "micrographs"
    return report_failures(results.failed.items(), results.total, "denoised", unit)


_OF_MICROGRAPHS = (
    "pixel_size",
    "even_odd_suffix",
    "defocus",
    "voltage",
    "spherical_aberration",
    "amplitude_contrast",
    "phase_shift",
)
"""Options that do not apply to a table of particles."""


def _refuse_options_of_micrographs(namespace: argparse.Namespace) -> None:
    refuse_inapplicable(
        [name for name in _OF_MICROGRAPHS if getattr(namespace, name) is not None],
        "particles",
        "their pixel sizes and CTFs are those of the table, and they have no halves",
    )


def _particles(namespace: argparse.Namespace, table: str, chosen: NamedModel) -> SetResults:
    """Denoise the particle images of a table."""
    # Half a second, which micrographs need not wait for.
    from restore.denoising.particles import denoise_particles

    return denoise_particles(
        table,
        chosen.model,
        output=settings_from(namespace, OutputSettings),
        settings=settings_from(namespace, DenoisingSettings),
        particles=settings_from(namespace, ParticleSettings),
        device=namespace.device,
        model_name=chosen.name,
        bars=Bar,
    )


def _sources(namespace: argparse.Namespace) -> list[str]:
    """The inputs, given as arguments or with ``-m``."""
    if namespace.images and namespace.input_micrographs is not None:
        raise UsageError(
            "inputs are given both with and without -m", do="give them either way, not both"
        )
    if namespace.images:
        return list(namespace.images)
    if namespace.input_micrographs is None:
        raise UsageError(
            "there is no input", do="give a STAR file or images: restore denoise image.mrc"
        )
    return [namespace.input_micrographs]
