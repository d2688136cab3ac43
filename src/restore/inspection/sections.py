"""MRC files of several sections: stacks of images and volumes, distinguished by shape and name."""

import re
from pathlib import Path

import numpy as np

from restore.commands import CommandLine
from restore.errors import UserError
from restore.inspection.commands import OTHER_HALF, compare_halves
from restore.inspection.findings import Findings, number
from restore.inspection.movies import inspect_movie, pixel_words, type_words
from restore.io.endings import split_ending
from restore.io.images.maps import MapHeader
from restore.io.images.mrc_header import raw_header

_LARGEST_PARTICLE_PX = 1024
"""A larger square stack is a movie rather than particles."""
_SMALLEST_MOVIE_PX = 1024
_MOST_FRAMES = 400
_STACKS = (
    (re.compile(r"class(es|_averages)|templates", re.IGNORECASE), "class averages"),
    (re.compile(r"(?<![a-z])(re)?proj", re.IGNORECASE), "projections of a map"),
    (re.compile(r"(?<![a-z])(ps|power)(?![a-z])", re.IGNORECASE), "power spectra"),
)
_MASK = re.compile(r"mask(?!ed)", re.IGNORECASE)
_HALF = re.compile(r"half([_-]?(?:map)?[_-]?)([12AB])(?![0-9a-zA-Z])")
_OTHER = {"1": "2", "2": "1", "A": "B", "B": "A"}


def is_stack_by_name(path: Path, header: MapHeader) -> bool:
    """Whether a file of one section is nevertheless a stack: of one small image, with a name ending
    in .mrcs.
    """
    n, z, y, x = header.shape
    is_small = x == y <= _LARGEST_PARTICLE_PX
    return (n, z) == (1, 1) and is_small and split_ending(path.name)[1].lower().startswith(".mrcs")


def inspect_sections(path: Path, header: MapHeader) -> Findings:
    """A stack of images (a movie, particles, class averages …) or a volume. Raises UserError."""
    return _inspect_volume(path, header) if header.shape[1] > 1 else _inspect_stack(path, header)


def _inspect_stack(path: Path, header: MapHeader) -> Findings:
    n, _, y, x = header.shape
    stem, ending = split_ending(path.name)
    is_mrcs = ending.lower().startswith(".mrcs")
    images = "1 image" if n == 1 else f"{n} images"
    facts = (("size", f"{images} of {x} × {y} pixels"), *_storage(header))
    for pattern, what in _STACKS:
        if pattern.search(stem) and x == y:
            return Findings(what, facts)
    if x == y <= _LARGEST_PARTICLE_PX:
        is_known = is_mrcs or "particles" in stem
        return Findings(
            "a stack of particles"
            if is_known
            else "a stack of small images: particles, class averages or projections",
            facts,
        )
    if split_ending(path.name)[1].lower().endswith((".gz", ".bz2")):
        return Findings(
            "a packed stack of images", facts, problems=("Unpack it to see what is in it.",)
        )
    movie = inspect_movie(path)
    if is_mrcs:
        return Findings(
            "a stack of images: a movie, or particles",
            movie.facts,
            movie.commands,
            movie.problems,
            movie.needs,
        )
    return movie


def _inspect_volume(path: Path, header: MapHeader) -> Findings:
    _, z, y, x = header.shape
    facts = (("size", f"{x} × {y} × {z} voxels"), *_storage(header))
    if _is_mask(path):
        note = ("note", "restore fsc takes it as the mask of two half maps")
        return Findings("a mask", (*facts, note))
    if x == y == z:
        return _inspect_map(path, header, facts)
    if min(x, y) >= _SMALLEST_MOVIE_PX and z <= _MOST_FRAMES:
        note = "its header says a volume, as those of some cameras' movies do as well"
        return Findings("a tomogram or a movie", (*facts, ("note", note)))
    return Findings("a volume", facts)


def _inspect_map(path: Path, header: MapHeader, facts: tuple[tuple[str, str], ...]) -> Findings:
    """A cube of voxels: a half map, judged by its name, or another map."""
    half = _HALF.search(path.name)
    if half is None:
        known = header.voxel_size_zyx_A is not None
        return Findings("a volume", facts, (CommandLine("amplitudes", path),) if known else ())
    place = half.start(2)
    other = path.with_name(f"{path.name[:place]}{_OTHER[half[2]]}{path.name[place + 1 :]}")
    if other.is_file():
        return Findings("a half map", facts, (compare_halves(path, other),))
    return Findings("a half map", facts, needs=(OTHER_HALF,))


def _is_mask(path: Path) -> bool:
    """Whether a map is a mask, judged by its name or a range of values from 0 to 1."""
    if _MASK.search(path.name):
        return True
    try:
        header, _ = raw_header(path)
    except UserError:
        return False
    ends = np.array([header["dmin"], header["dmax"]], dtype=np.float64)
    return bool(np.allclose(ends, [0, 1], atol=1e-4))


def _storage(header: MapHeader) -> tuple[tuple[str, str], ...]:
    voxel_A = header.voxel_size_zyx_A
    words = pixel_words(voxel_A[2] if voxel_A else None)
    if voxel_A and header.shape[1] > 1 and not np.allclose(voxel_A, voxel_A[2], rtol=1e-3):
        words = " × ".join(number(side) for side in reversed(voxel_A)) + " Å"
    return ("pixel size", words), ("stored as", type_words(header.dtype))
