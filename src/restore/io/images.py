"""The door for one image: whatever the format, what comes back is an :class:`Image`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.mrc import read_mrc, read_mrc_header, write_mrc

MRC_SUFFIXES = (".mrc", ".mrcs", ".map")


@dataclass(frozen=True)
class Image:
    """One image as float32 (y, x), its header's pixel size in Å (None where there is none), and its file."""

    data: NDArray[np.float32]
    pixel_size_A: float | None
    path: Path


@dataclass(frozen=True)
class ImageHeader:
    """Rows and columns of an image, and its header's pixel size in Å (None where there is none)."""

    shape: tuple[int, int]
    pixel_size_A: float | None


def read_image(path: Path) -> Image:
    """Read one image.

    Raises
    ------
    UserError
        The file is missing, cut short or of a format that is not read, or the image is constant or holds NaN or
        infinity.
    """
    _refuse_other_formats(path, "read")
    data, pixel_size_A = read_mrc(path)
    _refuse_useless(data, path)
    return Image(data, pixel_size_A, path)


def read_image_header(path: Path) -> ImageHeader:
    """Shape and pixel size of one image, without reading its pixels. Raises UserError as :func:`read_image`."""
    _refuse_other_formats(path, "read")
    header = read_mrc_header(path)
    return ImageHeader(header.shape, header.pixel_size_A)


def image_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of one image, without reading its pixels. Raises UserError as :func:`read_image`."""
    return read_image_header(path).shape


def write_image(
    path: Path,
    data: NDArray[np.floating],
    pixel_size_A: float | tuple[float, float],
    labels: Sequence[str] = (),
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write one image (y, x), whole or not at all; the pixel size in Å is one number or (y, x).

    Raises
    ------
    UserError
        The file cannot be written, its suffix is of no format that is written, or the image holds values that are
        not finite.
    """
    _refuse_other_formats(path, "written")
    write_mrc(path, data, pixel_size_A, labels, dtype)


def _refuse_other_formats(path: Path, verb: str) -> None:
    if path.suffix.lower() not in MRC_SUFFIXES:
        wanted = f"MRC images ({', '.join(MRC_SUFFIXES)}) are {verb}"
        raise UserError(f'"{path.suffix}" is no suffix of an image', where=path, wanted=wanted, do="convert it to MRC")


def _refuse_useless(data: NDArray[np.float32], path: Path) -> None:
    lowest, highest = float(data.min()), float(data.max())
    if not np.isfinite(highest - lowest):
        bad = ~np.isfinite(data)
        row, column = np.unravel_index(int(bad.argmax()), data.shape)
        found = f"{np.count_nonzero(bad)} of its {data.size} pixels are NaN or infinite, first at row {row}, column {column}"
        raise UserError(found, where=path, wanted="Every pixel must be a number", do="make the image again")
    if lowest == highest:
        found = f"all of its pixels are {lowest:g}"
        raise UserError(
            found, where=path, wanted="There is nothing in a constant image", do="make it again or leave it out"
        )
