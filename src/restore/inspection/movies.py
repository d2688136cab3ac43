"""Movies, judged by their header and their first frames."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.inspection.commands import (
    DOSE_IS_MISSING,
    FRAMES_MUST_BE_ALIGNED,
    PIXEL_SIZE_IS_MISSING,
    sum_halves,
)
from restore.inspection.findings import Findings, number
from restore.io.images.movies import read_frames, read_movie_header

_FRAMES_LOOKED_AT = 3


def inspect_movie(path: Path) -> Findings:
    """A movie. Raises UserError."""
    header = read_movie_header(path)
    first = np.stack(list(islice(read_frames(path), _FRAMES_LOOKED_AT)))
    facts = (
        ("size", f"{header.frames} frames of {header.shape[1]} × {header.shape[0]} pixels"),
        ("pixel size", pixel_words(header.pixel_size_A)),
        ("stored as", f"{header.format}, {type_words(header.dtype)}"),
        ("first frames", value_words(first)),
    )
    pixel_A, frames = header.pixel_size_A, header.frames if header.format == "EER" else None
    return Findings(
        f"a movie ({header.format})",
        facts,
        (sum_halves(path, pixel_A, frames),) if pixel_A else (),
        needs=(FRAMES_MUST_BE_ALIGNED, DOSE_IS_MISSING if pixel_A else PIXEL_SIZE_IS_MISSING),
    )


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
