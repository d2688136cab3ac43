"""Movies, judged by their header and their first frames."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.inspection.commands import (
    DOSE_IS_MISSING,
    FRAMES_MUST_BE_ALIGNED,
    PIXEL_SIZE_IS_DOUBTFUL,
    PIXEL_SIZE_IS_MISSING,
    sum_halves,
)
from restore.inspection.findings import Findings, number
from restore.io.file_checks import may_be_unset
from restore.io.images.eer import EERSettings, read_eer_header
from restore.io.images.movies import MovieHeader, read_frames, read_movie_header
from restore.io.images.mrc_stack import has_half_bytes

_FRAMES_LOOKED_AT = 3
_EER = EERSettings()


def inspect_movie(path: Path) -> Findings:
    """A movie. Raises UserError."""
    header = read_movie_header(path)
    first = np.stack(list(islice(read_frames(path), _FRAMES_LOOKED_AT)))
    facts = (
        ("size", f"{_frame_words(header)} of {header.shape[1]} × {header.shape[0]} pixels"),
        ("pixel size", pixel_words(header.pixel_size_A)),
        ("stored as", f"{header.format}, {_pixel_type_words(header)}"),
        ("first frames", value_words(first)),
    )
    what, pixel_A = f"a movie ({header.format})", header.pixel_size_A
    if pixel_A is None:
        return Findings(what, facts, needs=(FRAMES_MUST_BE_ALIGNED, PIXEL_SIZE_IS_MISSING))
    if may_be_unset(pixel_A):
        return Findings(what, facts, needs=(FRAMES_MUST_BE_ALIGNED, PIXEL_SIZE_IS_DOUBTFUL))
    needs = (FRAMES_MUST_BE_ALIGNED, DOSE_IS_MISSING)
    return Findings(what, facts, (sum_halves(path, pixel_A),), needs=needs)


def _frame_words(header: MovieHeader) -> str:
    """The number of frames; for EER that of its hardware frames, and the groups that are read."""
    if header.format != "EER":
        return f"{header.frames} frames"
    hardware = read_eer_header(header.path).hardware_frames
    return f"{hardware} hardware frames ({header.frames} groups of {_EER.fraction_frames})"


def _pixel_type_words(header: MovieHeader) -> str:
    is_half = header.format == "MRC" and has_half_bytes(header.path)
    return "4-bit integers" if is_half else type_words(header.dtype)


def pixel_words(pixel_size_A: float | None) -> str:
    """A pixel size in words, also if there is none.

    >>> pixel_words(0.885), pixel_words(None)
    ('0.885 Å', 'not in the file')
    """
    return f"{number(pixel_size_A)} Å" if pixel_size_A else "not in the file"


def type_words(dtype: np.dtype[np.generic]) -> str:
    """The type of pixels, and their byte order if it is unusual."""
    return dtype.newbyteorder("=").name + (", big-endian" if dtype.byteorder == ">" else "")


def value_words(image: NDArray[np.float32]) -> str:
    """The range, mean and standard deviation of grey values."""
    ends = f"{number(float(image.min()))} to {number(float(image.max()))}"
    deviation = float(image.std(dtype=np.float64))
    return (
        f"{ends}, mean {number(float(image.mean(dtype=np.float64)))}, standard deviation "
        f"{number(deviation)}"
    )
