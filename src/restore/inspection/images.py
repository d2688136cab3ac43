"""Files of single images, and the distinction from stacks, maps and movies."""

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.blank_pixels import find_blank_pixels
from restore.errors import UserError
from restore.inspection.commands import (
    CTF_IS_MISSING,
    MODEL_IS_MISSING,
    PIXEL_SIZE_IS_DOUBTFUL,
    PIXEL_SIZE_IS_MISSING,
    denoise_image,
    suits_general_model,
    thin,
)
from restore.inspection.findings import Findings, number
from restore.inspection.movies import inspect_movie, pixel_words, value_words
from restore.inspection.sections import inspect_sections, is_stack_by_name
from restore.io.denoised_mark import is_denoised_image
from restore.io.endings import COMPRESSED_MRC_ENDINGS, MRC_ENDINGS, ending_of, split_ending
from restore.io.file_checks import may_be_unset
from restore.io.images.image import ImageHeader, read_image, read_image_header
from restore.io.images.maps import read_map_header
from restore.io.images.movies import is_movie
from restore.io.images.mrc import mrc_labels
from restore.io.images.mrc_stack import has_half_bytes
from restore.movies.thinning import Counts, counts_of
from restore.preprocessing import Recipe, completed, cropped_grid

_OTHER_PICTURES = (
    (re.compile(r"_(PS|ps|diag|avrot)$|_power(_spectrum)?$|\.ctf$"), "a power spectrum"),
    (re.compile(r"(?<![a-z])gain(_?ref(erence)?)?(?![a-z])", re.IGNORECASE), "a gain reference"),
)
"""Parts of the names of single images that are not micrographs."""


def inspect_image(path: Path, recipe: Recipe) -> Findings:
    """A file whose name is that of an image: one image, or a stack, a movie or a volume. Raises
    UserError.
    """
    if ending_of(path.name) in (*MRC_ENDINGS, *COMPRESSED_MRC_ENDINGS):
        if has_half_bytes(path):
            return inspect_movie(path)
        header = read_map_header(path)
        if max(header.shape[:2]) > 1 or is_stack_by_name(path, header):
            return inspect_sections(path, header)
    elif is_movie(path):
        return inspect_movie(path)
    return _inspect_one(path, recipe)


def _inspect_one(path: Path, recipe: Recipe) -> Findings:
    header = read_image_header(path)
    size = f"{header.shape[1]} × {header.shape[0]} pixels, {path.stat().st_size / 1e6:.3g} MB"
    facts = [("size", size), ("pixel size", pixel_words(header.pixel_size_A))]
    stem = split_ending(path.name)[0]
    for pattern, what in _OTHER_PICTURES:
        if pattern.search(stem):
            return Findings(what, tuple(facts))
    try:
        image = read_image(path).data
    except UserError as error:
        return Findings("an image", tuple(facts), problems=(str(error),))
    counts = _counts(image)
    facts += _content_facts(image, counts, recipe)
    if ending_of(path.name) in (*MRC_ENDINGS, *COMPRESSED_MRC_ENDINGS):
        facts += [("label", label) for label in mrc_labels(path) if label]
    if is_denoised_image(path):
        return Findings("an image that restore has denoised", tuple(facts))
    return _with_next_steps(path, header, tuple(facts), counts is not None, recipe)


def _content_facts(
    image: NDArray[np.float32], counts: Counts | None, recipe: Recipe
) -> list[tuple[str, str]]:
    """Grey values, hot pixels, pixels without data, and electrons where they can be counted."""
    blank = find_blank_pixels(torch.from_numpy(image))
    clean, hot_pixels = completed(torch.from_numpy(image), blank, recipe)
    facts = [
        ("values", value_words(image)),
        ("hot pixels", f"{hot_pixels} would be replaced" if hot_pixels else "none"),
        ("without data", blank_words(blank)),
    ]
    if counts is not None:
        electrons = number(float(clean.mean()) / counts.unit)
        facts.append(("counts", f"electrons, {electrons} per pixel, {number(counts.unit)} each"))
    return facts


def _with_next_steps(
    path: Path,
    header: ImageHeader,
    facts: tuple[tuple[str, str], ...],
    is_counted: bool,
    recipe: Recipe,
) -> Findings:
    """The image, the commands for it, and what is missing for others."""
    pixel_A = header.pixel_size_A
    if pixel_A is None:
        return Findings("an image", facts, needs=(PIXEL_SIZE_IS_MISSING,))
    words, problem = crop_words(header.shape, pixel_A, recipe)
    is_doubtful = may_be_unset(pixel_A)
    thinning = (thin(path, pixel_A),) if is_counted and not is_doubtful else ()
    needs = (PIXEL_SIZE_IS_DOUBTFUL,) if is_doubtful else ()
    if problem:
        return Findings("an image", facts, thinning, (problem,), needs)
    facts = (*facts, ("network sees", words))
    if not suits_general_model(recipe):
        return Findings("an image", facts, thinning, needs=(*needs, MODEL_IS_MISSING))
    needs += (CTF_IS_MISSING,) if recipe.phase_flip else ()
    return Findings("an image", facts, (denoise_image(path, recipe), *thinning), needs=needs)


def blank_words(blank: Tensor | None) -> str:
    """The number of pixels without data, and the sides at which they are."""
    if blank is None:
        return "none"
    count = int(blank.sum())
    sides = {
        "top": blank[0],
        "bottom": blank[-1],
        "left": blank[:, 0],
        "right": blank[:, -1],
    }
    at = [side for side, line in sides.items() if float(line.float().mean()) > 0.5]
    where = f", at the {', '.join(at)}" if at else ""
    pixels = "1 pixel" if count == 1 else f"{count} pixels"
    return f"{pixels} ({number(100 * count / blank.numel())} %{where}), which are left out"


def crop_words(shape: tuple[int, int], pixel_size_A: float, recipe: Recipe) -> tuple[str, str]:
    """The size of an image after cropping for the network, and the objection if it cannot be
    cropped (one of the two is empty).
    """
    try:
        grid = cropped_grid(shape, pixel_size_A, recipe.max_resolution_A)
    except UserError as error:
        return "", str(error)
    sides = f"{grid.shape[1]} × {grid.shape[0]} pixels of {number(grid.pixel_size_yx_A[0])} Å"
    return f"{sides} at -r {recipe.max_resolution_A:g}", ""


def _counts(image: NDArray[np.float32]) -> Counts | None:
    try:
        return counts_of(image)
    except UserError:
        return None
