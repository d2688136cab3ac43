"""Options that prepare and train share: the micrographs, and their preparation."""

import argparse
from dataclasses import replace
from pathlib import Path

from restore.cli.job import PATCHES
from restore.cli.options import add_pixel_size_option, add_suffix_option
from restore.errors import UserError
from restore.preprocessing import Recipe

SUFFIXES_OF_TRAINING = (
    "suffixes of the full sum and its halves, if the STAR file has no rlnMicrographNameEven/Odd"
)

RECIPE_OF_MODEL = "recipe (default: the model's own; the general model uses the one that is given)"


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the training micrographs."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--training_mics",
        "-m",
        "--in_mics",
        metavar="STAR",
        help="RELION STAR, cryoSPARC .cs or .csg, or images as a quoted pattern",
    )
    add_suffix_option(group, SUFFIXES_OF_TRAINING, "-s")
    add_pixel_size_option(group)
    group.add_argument(
        "--training_filename",
        "-f",
        type=Path,
        metavar="PATH",
        help=f"patch file to write (default: {PATCHES})",
    )
    group.add_argument(
        "--patch_dtype",
        choices=("float16", "float32"),
        help="number format in the patch file (default: float16, or that of an existing file)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace existing files")


def add_recipe_options(
    parser: argparse.ArgumentParser,
    title: str = "recipe",
    resolution: str = "finest resolution that the network sees, Å "
    f"(default: {Recipe.max_resolution_A})",
    phaseflip: str = "correct the CTF's sign (default)",
) -> None:
    """Add the options for the preparation of micrographs, under this title and with these help
    texts; they are None unless typed.
    """
    group = parser.add_argument_group(title)
    group.add_argument("--max_resolution", "-r", type=float, metavar="X", help=resolution)
    group.add_argument("--phaseflip", action="store_true", default=None, help=phaseflip)
    group.add_argument(
        "--dont_phaseflip",
        action="store_false",
        default=None,
        dest="phaseflip",
        help="leave the CTF's sign alone",
    )


def typed_recipe(namespace: argparse.Namespace) -> Recipe:
    """The recipe in the options, with defaults for the others."""
    recipe = Recipe()
    if namespace.max_resolution is not None:
        recipe = replace(recipe, max_resolution_A=namespace.max_resolution)
    if namespace.phaseflip is not None:
        recipe = replace(recipe, phase_flip=namespace.phaseflip)
    return recipe


def refuse_other_recipe(namespace: argparse.Namespace, recipe: Recipe, owner: str) -> None:
    """Raise UserError if ``-r`` or ``--[dont_]phaseflip`` was given and differs from ``recipe``,
    that of the owner.
    """
    wanted_A = namespace.max_resolution
    if wanted_A is not None and abs(wanted_A - recipe.max_resolution_A) > 1e-6:
        raise UserError(
            f"--max_resolution is {wanted_A:g} Å, "
            f"and {owner} was made for {recipe.max_resolution_A:g} Å",
            do="leave the option out, or train for the other resolution",
        )
    flip = namespace.phaseflip
    if flip is not None and flip != recipe.phase_flip:
        words = {True: "--phaseflip", False: "--dont_phaseflip"}
        raise UserError(
            f"{words[flip]} is given, and {owner} was made with {words[recipe.phase_flip]}",
            do="leave the option out, or train with the other",
        )
