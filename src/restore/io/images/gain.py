"""Gain references: the factors by which a camera's pixels are multiplied."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import MRC_ENDINGS, TIFF_ENDINGS, ending_of
from restore.io.images.mrc import read_mrc
from restore.io.images.tiff import read_page

_EER_GAIN = ".gain"
"""Ending of the gain file (in TIFF format) that comes with EER movies."""


@dataclass(frozen=True)
class Gain:
    """The factors (y, x) of a gain reference, and its file."""

    factors: NDArray[np.float32]
    path: Path

    def turned(self, rotation: int, flip: int) -> "Gain":
        """The gain rotated clockwise by ``rotation`` times 90°, then flipped: 1 upside down, 2 left
        to right. Raises UserError for other values.
        """
        if rotation not in range(4) or flip not in range(3):
            problem = f"it is to be rotated {rotation} times and flipped by {flip}"
            wanted = (
                "Rotations are 0 to 3 times 90°, flips 0 (none), 1 (upside down) or 2 (left to "
                "right)"
            )
            raise UserError(problem, where=self.path, wanted=wanted)
        factors = np.rot90(self.factors, -rotation)
        flipped = {0: factors, 1: factors[::-1], 2: factors[:, ::-1]}[flip]
        return replace(self, factors=np.ascontiguousarray(flipped))

    def for_electrons(self, shape: tuple[int, int]) -> "Gain":
        """The gain for EER frames of this shape: repeated or averaged to their shape and, unless
        it is a ``.gain`` file, inverted, as RELION does it: the mean of all pixels, zeros included,
        over the value of each; zeros stay.
        """
        factors = self.factors
        rows, columns = factors.shape
        if (2 * rows, 2 * columns) == shape:
            factors = factors.repeat(2, axis=0).repeat(2, axis=1)
        elif (rows, columns) == (2 * shape[0], 2 * shape[1]):
            factors = factors.reshape(shape[0], 2, shape[1], 2).mean((1, 3), dtype=np.float32)
        if ending_of(self.path.name) != _EER_GAIN:
            mean = factors.mean(dtype=np.float64)
            factors = np.divide(
                mean, factors, out=np.zeros_like(factors), where=factors != 0, casting="same_kind"
            )
        return replace(self, factors=factors)


def read_gain_file(path: Path) -> Gain:
    """The values of a gain reference, with rows in RELION's order (a ``.gain`` file's as stored, a
    TIFF file's upside down).

    Raises
    ------
    UserError
        The file cannot be read, has an unsupported format, or holds NaN, infinity or only zeros.
    """
    ending = ending_of(path.name)
    if ending in TIFF_ENDINGS:
        factors = read_page(path)
    elif ending == _EER_GAIN:
        factors = read_page(path)[::-1]
    elif ending.startswith(MRC_ENDINGS):
        factors = read_mrc(path)[0]
    else:
        wanted = "Gain references are read as MRC (.mrc), TIFF (.tif, .tiff) and .gain"
        raise UserError(
            f'"{ending}" is not the ending of a gain reference',
            where=path,
            wanted=wanted,
            do="convert it to MRC",
        )
    bad = np.count_nonzero(~np.isfinite(factors))
    if bad or not factors.any():
        problem = (
            f"{bad} of its {factors.size} pixels are NaN or infinite"
            if bad
            else "all of its pixels are zero"
        )
        raise UserError(
            problem, where=path, wanted="A gain reference is needed", do="make it again"
        )
    return Gain(np.ascontiguousarray(factors), path)
