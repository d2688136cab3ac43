"""Images, stacks, maps and movies."""

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.blank_pixels import find_blank_pixels
from restore.errors import UserError
from restore.inspection.findings import Findings, number
from restore.io.endings import COMPRESSED_MRC_ENDINGS, MRC_ENDINGS, ending_of
from restore.io.images.image import read_image, read_image_header
from restore.io.images.maps import MapHeader, read_map_header
from restore.io.images.movies import MovieHeader, read_frames, read_movie_header
from restore.io.images.mrc import mrc_labels
from restore.movies.thinning import Counts, counts_of
from restore.preprocessing import Recipe, completed, cropped_grid

_FRAMES_LOOKED_AT = 3
_LARGEST_PARTICLE_PX = 1024
"""A larger square stack is a movie rather than particles."""


def inspect_image(path: Path, recipe: Recipe) -> Findings:
    """A file whose name is that of an image: one image, or a stack, a movie or a volume. Raises
    UserError.
    """
    if ending_of(path.name) in MRC_ENDINGS:
        header = read_map_header(path)
        if header.shape[0] > 1 or header.shape[1] > 1:
            return _inspect_sections(path, header)
    elif ending_of(path.name) not in COMPRESSED_MRC_ENDINGS and _is_movie(path):
        return inspect_movie(path)
    return _inspect_one(path, recipe)


def _is_movie(path: Path) -> bool:
    try:
        return read_movie_header(path).frames > 1
    except UserError:
        return False


def _inspect_one(path: Path, recipe: Recipe) -> Findings:
    header = read_image_header(path)
    size = f"{header.shape[1]} × {header.shape[0]} pixels, {path.stat().st_size / 1e6:.3g} MB"
    facts = [("size", size), ("pixel size", _pixel_words(header.pixel_size_A))]
    try:
        image = read_image(path).data
    except UserError as error:
        return Findings("an image", tuple(facts), problems=(str(error),))
    blank = find_blank_pixels(torch.from_numpy(image))
    clean, hot_pixels = completed(torch.from_numpy(image), blank, recipe)
    facts.append(("values", _value_words(image)))
    facts.append(("hot pixels", f"{hot_pixels} would be replaced" if hot_pixels else "none"))
    facts.append(("without data", blank_words(blank)))
    counts = _counts(image)
    if counts is not None:
        facts.append(
            (
                "counts",
                f"electrons, {number(float(clean.mean()) / counts.unit)} per pixel, "
                f"{number(counts.unit)} each",
            )
        )
    if ending_of(path.name) in (*MRC_ENDINGS, *COMPRESSED_MRC_ENDINGS):
        facts += [("label", label) for label in mrc_labels(path) if label]
    pixel_A, name = header.pixel_size_A, shlex.quote(str(path))
    size = number(pixel_A) if pixel_A else "X"
    thinning = (
        (f"restore halves --thin -m {name} --pixel_size {size}",) if counts is not None else ()
    )
    if pixel_A is None:
        return Findings(
            "an image",
            tuple(facts),
            (f"restore denoise {name} --dont_phaseflip --pixel_size X", *thinning),
        )
    words, problem = crop_words(header.shape, pixel_A, recipe)
    facts += [("network sees", words)] if words else []
    command = f"restore denoise {name} --dont_phaseflip"
    return Findings("an image", tuple(facts), (command, *thinning), (problem,) if problem else ())


def blank_words(blank: Tensor | None) -> str:
    """How many pixels hold no data, and at which sides."""
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
    """What is left of an image once it is cropped for the network, and what stands against it (one
    of the two is empty).
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


def _inspect_sections(path: Path, header: MapHeader) -> Findings:
    """A stack of images (a movie, particles) or a volume."""
    n, z, y, x = header.shape
    pixel_A = header.voxel_size_zyx_A[2] if header.voxel_size_zyx_A else None
    facts = [("pixel size", _pixel_words(pixel_A)), ("stored as", _type_words(header.dtype))]
    if z > 1:
        size = [("size", f"{x} × {y} × {z} voxels")]
        return Findings("a volume", tuple(size + facts), (f"restore fsc {path} OTHER_HALF_MAP",))
    if n > 1 and x == y <= _LARGEST_PARTICLE_PX and path.suffix.lower() == ".mrcs":
        what = "class averages" if "_classes" in path.name else "a stack of particles"
        return Findings(what, (("size", f"{n} images of {x} × {y} pixels"), *facts))
    movie = inspect_movie(path)
    if path.suffix.lower() == ".mrcs" and n > 1:
        return Findings(
            "a stack of images: a movie, or particles", movie.facts, movie.commands, movie.problems
        )
    return movie


def inspect_movie(path: Path) -> Findings:
    """A movie, by its header and its first frames. Raises UserError."""
    header = read_movie_header(path)
    facts = [
        ("size", f"{header.frames} frames of {header.shape[1]} × {header.shape[0]} pixels"),
        ("pixel size", _pixel_words(header.pixel_size_A)),
        ("stored as", f"{header.format}, {_type_words(header.dtype)}"),
        (
            "first frames",
            _value_words(np.stack(list(islice(read_frames(path), _FRAMES_LOOKED_AT)))),
        ),
    ]
    return Findings(
        f"a movie ({header.format})", tuple(facts), tuple(_movie_commands(path, header))
    )


def _movie_commands(path: Path, header: MovieHeader) -> Sequence[str]:
    unknown = "" if header.format != "EER" else " --fraction_frames N"
    return (
        f"restore halves -m MotionCorr/jobNNN/corrected_micrographs.star{unknown}, if RELION has "
        "aligned the movie",
        f"restore halves -m {path} --pixel_size X{unknown}, if its frames are already aligned",
    )


def _pixel_words(pixel_size_A: float | None) -> str:
    return f"{number(pixel_size_A)} Å" if pixel_size_A else "not in the file"


def _type_words(dtype: np.dtype[np.generic]) -> str:
    return dtype.newbyteorder("=").name + (", big-endian" if dtype.byteorder == ">" else "")


def _value_words(image: NDArray[np.float32]) -> str:
    ends = f"{number(float(image.min()))} to {number(float(image.max()))}"
    deviation = float(image.std(dtype=np.float64))
    return (
        f"{ends}, mean {number(float(image.mean(dtype=np.float64)))}, standard deviation "
        f"{number(deviation)}"
    )
