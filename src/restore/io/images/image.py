"""One image of any supported format, read as an :class:`Image`.

MRC, optionally compressed by gzip or bzip2, and TIFF are read; MRC is written. Rows are in RELION's
order: as stored in MRC, upside down in TIFF (:mod:`restore.io.images.tiff` says why).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import IMAGE_ENDINGS, MRC_ENDINGS, TIFF_ENDINGS, ending_of
from restore.io.images.mrc import read_mrc, read_mrc_header, write_mrc
from restore.io.images.mrc_header import one_pixel_size_A
from restore.io.images.tiff import read_pages, read_tiff_header


@dataclass(frozen=True)
class Image:
    """One image, as `read_image` returns it.

    Attributes
    ----------
    data
        Grey values as float32, (y, x): rows and columns in RELION's order.
    pixel_size_A
        Pixel size in the file's header, in Å; None if the header has none.
    path
        The file.
    """

    data: NDArray[np.float32]
    pixel_size_A: float | None
    path: Path


@dataclass(frozen=True)
class ImageHeader:
    """Rows and columns of an image, and its header's pixel size in Å along y and x (None if there
    is none).
    """

    shape: tuple[int, int]
    pixel_size_yx_A: tuple[float, float] | None

    @property
    def pixel_size_A(self) -> float | None:
        """The pixel size: the mean of both axes if they agree within 1 %, else None."""
        return one_pixel_size_A(self.pixel_size_yx_A)


def read_image(path: Path) -> Image:
    """Read one image.

    Raises
    ------
    UserError
        The file is missing, cut short or of a format that is not read, holds several images, or the
        image is constant or holds NaN or infinity; or it is TIFF, and what reads it is not
        installed.
    """
    _refuse_other_formats(path, IMAGE_ENDINGS, "read")
    data, pixel_size_A = (_only_page(path), None) if _is_tiff(path) else read_mrc(path)
    _refuse_useless(data, path)
    return Image(data, pixel_size_A, path)


def read_image_header(path: Path) -> ImageHeader:
    """Shape and pixel size of one image, without reading its pixels (of a compressed file, the
    first bytes are decompressed).

    Raises UserError as :func:`read_image`; whether a compressed file is complete is known only once
    it is read.
    """
    _refuse_other_formats(path, IMAGE_ENDINGS, "read")
    if _is_tiff(path):
        return ImageHeader(_one_image(path), None)
    header = read_mrc_header(path)
    return ImageHeader(header.shape, header.pixel_size_yx_A)


def write_image(
    path: Path,
    data: NDArray[np.floating],
    pixel_size_A: float | tuple[float, float],
    labels: Sequence[str] = (),
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write one image (y, x) as MRC, completely or not at all; the pixel size in Å is one number or
    (y, x).

    Raises
    ------
    UserError
        The file cannot be written, its ending is not that of a format that is written, or the image
        holds values that are not finite.
    """
    _refuse_other_formats(path, MRC_ENDINGS, "written")
    write_mrc(path, data, pixel_size_A, labels, dtype)


def _refuse_other_formats(path: Path, endings: Sequence[str], verb: str) -> None:
    if (ending := ending_of(path.name)) not in endings:
        formats = "MRC" if endings == MRC_ENDINGS else "MRC and TIFF"
        wanted = f"{formats} images ({', '.join(endings)}) are {verb}"
        do = "convert it to MRC" if verb == "read" else "choose a name with one of these endings"
        raise UserError(
            f'"{ending}" is not the ending of an image', where=path, wanted=wanted, do=do
        )


def _is_tiff(path: Path) -> bool:
    return ending_of(path.name) in TIFF_ENDINGS


def _one_image(path: Path) -> tuple[int, int]:
    """Rows and columns of the only page of a TIFF file. Raises UserError if there are
    more pages.
    """
    header = read_tiff_header(path)
    if header.pages != 1:
        problem = f"it is a stack of {header.pages} images"
        raise UserError(
            problem,
            where=path,
            wanted="One micrograph in a file is needed",
            do="sum or split the stack",
        )
    return header.shape


def _only_page(path: Path) -> NDArray[np.float32]:
    _one_image(path)
    return np.ascontiguousarray(next(read_pages(path)), np.float32)


def _refuse_useless(data: NDArray[np.float32], path: Path) -> None:
    lowest, highest = float(data.min()), float(data.max())
    if not np.isfinite(highest - lowest):
        bad = ~np.isfinite(data)
        row, column = np.unravel_index(int(bad.argmax()), data.shape)
        problem = (
            f"{np.count_nonzero(bad)} of its {data.size} pixels are NaN or infinite, first at row "
            f"{row}, column {column}"
        )
        raise UserError(
            problem, where=path, wanted="Every pixel must be a number", do="make the image again"
        )
    if lowest == highest:
        problem = f"all of its pixels are {lowest:g}"
        raise UserError(
            problem,
            where=path,
            wanted="An image whose pixels are all equal holds no signal",
            do="make it again or leave it out",
        )
