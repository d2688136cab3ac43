"""The full and the cropped sampling of a micrograph."""

import math
from dataclasses import dataclass

from restore.background import BLOCK_PX
from restore.errors import UserError
from restore.fourier import Shape


@dataclass(frozen=True)
class Grid:
    """The full and the cropped sampling of one micrograph: shapes (y, x) in pixels, pixel sizes (y,
    x) in Å.
    """

    full_shape: Shape
    full_pixel_size_A: float
    shape: Shape
    pixel_size_yx_A: tuple[float, float]


_COARSEST_PIXEL_A = 20.0
"""The largest plausible pixel size of a micrograph, in Å."""

_FINEST_PIXEL_A = 0.05
"""The smallest plausible pixel size of a micrograph, in Å."""

_WHERE_IT_COMES_FROM = "check the pixel size where it comes from (the STAR file, or `pixel_size_A`)"


def _pixel_size_advice(pixel_size_A: float) -> str:
    if pixel_size_A <= _COARSEST_PIXEL_A:
        return ""
    return f"a pixel size of {pixel_size_A:.4g} Å is too large for a micrograph"


def _coarser_resolution(pixel_size_A: float) -> str:
    if pixel_size_A > _COARSEST_PIXEL_A:
        return _WHERE_IT_COMES_FROM
    return f"give `max_resolution_A` {math.ceil(20 * pixel_size_A) / 10:g} or more"


def _small_pixel_advice(pixel_size_A: float) -> str:
    if pixel_size_A >= _FINEST_PIXEL_A:
        return ""
    return f"a pixel size of {pixel_size_A:.4g} Å is too small for a micrograph"


def _finer_resolution(pixel_size_A: float) -> str:
    if pixel_size_A < _FINEST_PIXEL_A:
        return _WHERE_IT_COMES_FROM
    return "check the pixel size, or use a finer `max_resolution_A`"


def cropped_grid(full_shape: Shape, pixel_size_A: float, max_resolution_A: float) -> Grid:
    """The grid whose Nyquist frequency is 1/``max_resolution_A``, with even sides.

    Raises UserError if the image itself does not reach that resolution, or is too small after
    cropping.
    """
    if 2 * pixel_size_A > max_resolution_A * (1 + 1e-6):
        raise UserError(
            f"max_resolution {max_resolution_A:g} Å is finer than the image's Nyquist limit, "
            f"{2 * pixel_size_A:.4g} Å",
            wanted=_pixel_size_advice(pixel_size_A),
            do=_coarser_resolution(pixel_size_A),
        )
    factor = 2 * pixel_size_A / max_resolution_A
    height, width = (min(2 * round(side * factor / 2), side // 2 * 2) for side in full_shape)
    if min(height, width) < 2 * BLOCK_PX:
        raise UserError(
            f"an image of {full_shape[0]}×{full_shape[1]} pixels has only {height}×{width} "
            f"left at {max_resolution_A:g} Å",
            wanted=_small_pixel_advice(pixel_size_A) or f"at least {2 * BLOCK_PX} pixels a side",
            do=_finer_resolution(pixel_size_A),
        )
    pixel_size_yx_A = (pixel_size_A * full_shape[0] / height, pixel_size_A * full_shape[1] / width)
    return Grid(full_shape, pixel_size_A, (height, width), pixel_size_yx_A)
