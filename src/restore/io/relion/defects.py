"""The defective pixels of a camera, in the file that MotionCorr was given: rectangles, or a map."""

import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import MRC_ENDINGS, TIFF_ENDINGS, ending_of
from restore.io.images.mrc import read_mrc
from restore.io.images.tiff import read_page
from restore.io.reading import reading

_log = logging.getLogger(__name__)

_SERIAL_EM = re.compile(r"^\s*(CameraSize|Bad|K2Type|RotationAndFlip)", re.MULTILINE)
_WANTED = "Each rectangle of defective pixels is four whole numbers, x y width height"
_GIVE = "give a text file of rectangles or a defect map to MotionCorr, and run it again"


def read_defects(path: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "y x"]:
    """The bad pixels of a movie whose frames have this ``shape`` (y, x).

    The file is a text file of rectangles, "x y width height" in pixels counted from zero, or a map
    (MRC or TIFF) of the size of a frame, in which bad pixels are not zero. Rows are in RELION's
    order: those of an MRC file as stored, those of a TIFF file upside down. Rectangles may reach
    beyond the frame. SerialEM's own text files are ignored, with a warning.

    Raises
    ------
    UserError
        The file is missing or unreadable, its text is not of rectangles, or the map has another
        size.
    """
    ending = ending_of(path.name)
    if ending in TIFF_ENDINGS:
        return _as_bad(read_page(path), path, shape)
    if ending.startswith(MRC_ENDINGS):
        return _as_bad(read_mrc(path)[0], path, shape)
    with reading(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    bad = np.zeros(shape, bool)
    if _SERIAL_EM.search(text):
        _warn_of_serial_em(path)
        return bad
    for x, y, width, height in _rectangles(text, path):
        bad[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return bad


def _as_bad(
    values: NDArray[np.float32], path: Path, shape: tuple[int, int]
) -> Bool[np.ndarray, "y x"]:
    if values.shape != shape:
        raise UserError(
            f"it has {values.shape[1]} x {values.shape[0]} pixels",
            where=path,
            wanted=f"A map of the defects of a movie with {shape[1]} x {shape[0]} is needed",
            do=_GIVE,
        )
    return values != 0


def _rectangles(text: str, path: Path) -> Iterator[tuple[int, ...]]:
    """Every four numbers of the text; what follows a "#" in a line is a comment."""
    numbers: list[int] = []
    for row, line in enumerate(text.splitlines(), 1):
        try:
            numbers += [int(word) for word in line.partition("#")[0].split()]
        except ValueError:
            raise UserError(
                f'it is "{line.strip()[:40]}"',
                where=f"{path}, line {row}",
                wanted=_WANTED,
                do=_GIVE,
            ) from None
    if len(numbers) % 4:
        raise UserError(f"it holds {len(numbers)} numbers", where=path, wanted=_WANTED, do=_GIVE)
    return zip(*[iter(numbers)] * 4, strict=True)


@cache
def _warn_of_serial_em(path: Path) -> None:
    """Warn once of a file that is named by each of many micrographs."""
    _log.warning(
        "%s: this file of defects was written by SerialEM, and is not read: pixels that it lists "
        "stay as they are in both halves, and are taken for signal",
        path,
    )
