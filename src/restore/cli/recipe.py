"""The options that prepare and train share: which micrographs, and how they are prepared."""

import argparse
from dataclasses import replace
from pathlib import Path

from restore.cli.job import PATCHES
from restore.cli.options import add_pixel_size_option
from restore.cli.progress import Bar
from restore.denoising.batch import without_denoised
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.images.image import image_shape
from restore.io.micrographs import (
    MicrographSet,
    Needs,
    parse_suffixes,
    read_micrographs,
    require_files,
)
from restore.micrograph import Micrograph
from restore.preprocessing import Grid, Recipe, cropped_grid
from restore.provenance import provenance
from restore.training.patches import Pair, refuse_smaller
from restore.training.preparation import Destination, is_made_of, prepare_patches


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Where the training micrographs are."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--training_mics",
        "-m",
        "--in_mics",
        metavar="STAR",
        help="RELION STAR, cryoSPARC .cs or .csg, or images as a quoted pattern",
    )
    group.add_argument(
        "--even_odd_suffix",
        "-s",
        metavar="FULL,EVEN,ODD",
        help="how the names of a full sum and its halves differ, where the STAR has no rlnMicrographNameEven/Odd "
        "(default: DW,EVN,ODD)",
    )
    add_pixel_size_option(group)
    group.add_argument(
        "--training_filename",
        "-f",
        type=Path,
        default=PATCHES,
        metavar="PATH",
        help=f"patch file to write (default: {PATCHES})",
    )
    group.add_argument(
        "--patch_dtype",
        choices=("float16", "float32"),
        default="float16",
        help="of the patch file (default: float16)",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """How micrographs are prepared for the network."""
    group = parser.add_argument_group("recipe")
    group.add_argument(
        "--max_resolution",
        "-r",
        type=float,
        metavar="X",
        help=f"finest resolution that the network sees, Å (default: {Recipe.max_resolution_A})",
    )
    add_phaseflip_options(group)


def add_phaseflip_options(
    group: "argparse._ArgumentGroup",  # pyright: ignore[reportPrivateUsage]
    words: str = "correct the CTF's sign (default)",
) -> None:
    """``--phaseflip`` and its opposite; None where neither is typed."""
    group.add_argument(
        "--phaseflip", action="store_true", default=None, dest="phaseflip", help=words
    )
    group.add_argument(
        "--dont_phaseflip",
        action="store_false",
        default=None,
        dest="phaseflip",
        help="leave the CTF's sign alone",
    )


def typed_recipe(namespace: argparse.Namespace) -> Recipe:
    """The recipe that was typed, defaults elsewhere."""
    recipe = Recipe()
    if namespace.max_resolution is not None:
        recipe = replace(recipe, max_resolution_A=namespace.max_resolution)
    if namespace.phaseflip is not None:
        recipe = replace(recipe, phase_flip=namespace.phaseflip)
    return recipe


def refuse_other_recipe(namespace: argparse.Namespace, recipe: Recipe, owner: str) -> None:
    """UserError where ``-r`` or ``--[dont_]phaseflip`` was typed and is not what ``recipe``, the
    owner's, says.
    """
    said = namespace.max_resolution
    if said is not None and abs(said - recipe.max_resolution_A) > 1e-6:
        raise UserError(
            f"--max_resolution is {said:g} Å, and {owner} was made for {recipe.max_resolution_A:g} Å",
            do="leave the option out, or train for the other resolution",
        )
    flip = namespace.phaseflip
    if flip is not None and flip != recipe.phase_flip:
        words = {True: "--phaseflip", False: "--dont_phaseflip"}
        raise UserError(
            f"{words[flip]} is given, and {owner} was made with {words[recipe.phase_flip]}",
            do="leave the option out, or train with the other",
        )


def read_training_set(namespace: argparse.Namespace, recipe: Recipe) -> MicrographSet:
    """The micrographs to train on, checked: halves there and alike, and fine enough for the recipe."""
    suffixes = parse_suffixes(namespace.even_odd_suffix) if namespace.even_odd_suffix else None
    needs = Needs(ctf=recipe.phase_flip, halves=True)
    chosen = without_denoised(
        read_micrographs(namespace.training_mics, suffixes, namespace.pixel_size, needs)
    )
    require_files(chosen.micrographs)
    return chosen


def _pairs_to_be(chosen: MicrographSet, recipe: Recipe) -> list[Pair]:
    """What the patch file will hold, from the images' headers; UserError where an image is not fine
    enough.
    """
    pairs: list[Pair] = []
    for micrograph in chosen.micrographs:
        grid = grid_of(micrograph, recipe)
        pairs.append(Pair(micrograph.name, grid.shape, grid.pixel_size_yx_A))
    return pairs


def grid_of(micrograph: Micrograph, recipe: Recipe) -> Grid:
    """The sampling of a micrograph's halves, from a header; UserError naming it where it does not
    suit the recipe.
    """
    shape = image_shape(micrograph.even or micrograph.image)
    try:
        return cropped_grid(shape, micrograph.pixel_size_A, recipe.max_resolution_A)
    except UserError as error:
        raise UserError(
            error.found, where=micrograph.name, wanted=error.wanted, do=error.do
        ) from None


def _refuse_to_replace_input(path: Path, chosen: MicrographSet) -> None:
    images = (
        image for each in chosen.micrographs for image in (each.image, each.even, each.odd) if image
    )
    if path.resolve() in {Path(chosen.source).resolve(), *(image.resolve() for image in images)}:
        raise UserError(
            "the patch file would replace an input",
            where=path,
            do="give another --training_filename",
        )


def make_patch_file(namespace: argparse.Namespace, recipe: Recipe, patch_px: int = 0) -> Path:
    """Write the patch file that was asked for, or take the one that is there if it is the same.

    Images that have not room for a patch of ``patch_px`` are refused before anything is written.
    """
    path, chosen = namespace.training_filename, read_training_set(namespace, recipe)
    pairs = _pairs_to_be(chosen, recipe)
    refuse_smaller(pairs, patch_px)
    _refuse_to_replace_input(path, chosen)
    if path.exists() and not namespace.overwrite:
        if is_made_of(path, chosen.micrographs, recipe, namespace.patch_dtype):
            return path
        raise UserError(
            "the patch file that is there was made of other micrographs, or with another recipe or CTF",
            where=path,
            do="give another --training_filename, or --overwrite",
        )
    pixel_bytes = 4 if namespace.patch_dtype == "float32" else 2
    require_writable(
        path.parent, sum(2 * pixel_bytes * pair.shape[0] * pair.shape[1] for pair in pairs)
    )
    made = provenance(recipe, {"micrographs": chosen.source, "count": len(chosen.micrographs)})
    destination = Destination(path, namespace.patch_dtype, made)
    with Bar(len(chosen.micrographs), "micrographs", "preparing") as bar:
        done = iter(range(1, len(chosen.micrographs) + 1))
        prepare_patches(chosen.micrographs, recipe, destination, lambda _: bar.to(next(done)))
    return path
