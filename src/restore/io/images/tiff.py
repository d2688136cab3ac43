"""TIFF files: pages of grey pixels, one image or the frames of a movie.

Orientation: TIFF counts rows from the top, MRC from the bottom. RELION, IMOD and MotionCor2
therefore turn TIFF pages upside down when they read them and leave MRC and EER as stored, so that y
means the same in coordinates, gain references and shifts. This module does so too: the first row of
an image is the last one of the page.
"""

import importlib
import math
import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.images.byte_stream import require_plausible
from restore.io.reading import reading

_MOST_PIXELS = 2**30


@dataclass(frozen=True)
class TiffHeader:
    """The number of pages of a TIFF file, and rows, columns and pixel type of the first page."""

    path: Path
    pages: int
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]


def read_tiff_header(path: Path) -> TiffHeader:
    """Pages, shape and pixel type of a TIFF file, without its pixels; thousands of pages take
    milliseconds.

    Raises
    ------
    UserError
        The file is missing, unreadable, not a TIFF file or cut short, its pixels are not single
        real numbers, or tifffile is not installed.
    """
    pages = len(page_offsets(path))
    with open_tiff(path) as file:
        shape, dtype = _grey(file.pages.first, path)
    return TiffHeader(path, pages, shape, dtype)


def read_pages(path: Path) -> Iterator[NDArray[np.generic]]:
    """Each page (y, x) in its own type, in order, turned upside down as described above; one page
    is in memory at a time.

    Raises
    ------
    UserError
        As :func:`read_tiff_header`; or a page is cut short, damaged, or differs from the first in
        shape or type.
    """
    header = read_tiff_header(path)
    with open_tiff(path) as file:
        for index in range(header.pages):
            page = file.pages[index]
            where = f"{path}, page {index + 1}"
            if _grey(page, where) != (header.shape, header.dtype):
                problem = (
                    f"it has {page.imagewidth} x {page.imagelength} pixels of type {page.dtype}"
                )
                rows, columns = header.shape
                wanted = f"The first page has {columns} x {rows} of type {header.dtype}"
                raise UserError(problem, where=where, wanted=wanted, do="write the file again")
            require_whole(page, path, where)
            yield page.asarray()[::-1]


def read_page(path: Path) -> NDArray[np.float32]:
    """The image (y, x) of a TIFF file that has one page, turned upside down as described above.

    Raises
    ------
    UserError
        As :func:`read_pages`; or there are more pages.
    """
    pages = read_tiff_header(path).pages
    if pages != 1:
        raise UserError(
            f"it has {pages} pages",
            where=path,
            wanted="A file of one image is needed",
            do="check the name",
        )
    return next(read_pages(path)).astype(np.float32)


def page_offsets(path: Path) -> list[int]:
    """The offset of each page's directory in the file, in order, found by following the links from
    one to the next.

    Raises
    ------
    UserError
        The file is missing, unreadable or not a TIFF file, or a link points beyond its end, which
        means that it is cut short.
    """
    with reading(path, "A TIFF or EER file is needed"), path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        version = struct.unpack(f"{order}H", start[2:4])[0] if order and len(start) == 16 else 0
        if version not in (42, 43):
            raise UserError(
                "it is not a TIFF file",
                where=path,
                wanted="A TIFF file is needed",
                do="check the name",
            )
        count_type, entry_bytes, link_type = ("Q", 20, "Q") if version == 43 else ("H", 12, "I")
        at = struct.unpack_from(f"{order}{link_type}", start, 8 if version == 43 else 4)[0]
        offsets: dict[int, None] = {}
        while at:
            if at in offsets:
                raise ValueError(f"page {len(offsets)} is followed by an earlier one")
            offsets[at] = None
            stream.seek(at)
            count = struct.unpack(
                f"{order}{count_type}", _exactly(stream.read(struct.calcsize(count_type)))
            )[0]
            stream.seek(at + struct.calcsize(count_type) + entry_bytes * min(count, size))
            at = struct.unpack(
                f"{order}{link_type}", _exactly(stream.read(struct.calcsize(link_type)))
            )[0]
    if not offsets:
        raise UserError(
            "there is no page in it",
            where=path,
            wanted="A TIFF file must hold at least one image",
            do="write the file again",
        )
    return list(offsets)


@contextmanager
def open_tiff(path: Path) -> Generator[Any]:
    """An open tifffile.TiffFile. What it raises about a damaged file inside the block becomes a
    UserError.
    """
    tifffile = require_module("tifffile", path)
    with reading(path, "A TIFF or EER file is needed"), tifffile.TiffFile(path) as file:
        yield file


def require_module(name: str, path: Path) -> Any:
    """The module tifffile or imagecodecs. Raises UserError, with advice, if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        wanted = f"{name} reads TIFF and EER files"
        do = "run: pip install tifffile imagecodecs"
        raise UserError(f"{name} is not installed", where=path, wanted=wanted, do=do) from error


def page_shape(page: Any, where: object) -> tuple[int, int]:
    """Rows and columns of a page. Raises UserError if there are more than any camera has, which is
    the sign of a damaged byte.
    """
    rows, columns = int(page.imagelength), int(page.imagewidth)
    if not 0 < rows * columns <= _MOST_PIXELS:
        problem, wanted = f"it says that it has {columns} x {rows} pixels", "The file is damaged"
        raise UserError(problem, where=where, wanted=wanted, do="copy it again")
    return rows, columns


def require_whole(page: Any, path: Path, where: object) -> None:
    """Raise UserError if the file ends before the pixels of this page, or claims more pixels than
    its bytes can hold.
    """
    size = path.stat().st_size
    pixels = math.prod(page_shape(page, where))
    require_plausible(path, pixels * page.bitspersample // 8, pixels, sum(page.databytecounts))
    if any(
        start + count > size or count == 0
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise UserError(
            "the file ends before its pixels do",
            where=where,
            wanted="The file has been cut short",
            do="copy it again",
        )


def _exactly(content: bytes) -> bytes:
    if not content:
        raise EOFError("a page lies beyond its end")
    return content


def _grey(page: Any, where: object) -> tuple[tuple[int, int], np.dtype[np.generic]]:
    """Shape and type of a page. Raises UserError if its pixels are colours, complex numbers or
    bits.
    """
    dtype = page.dtype
    if len(page.shape) != 2 or dtype is None or dtype.kind not in "iuf":
        problem = f"its pixels are colours or not numbers (shape {page.shape}, type {dtype})"
        raise UserError(
            problem,
            where=where,
            wanted="Grey images of real numbers are read",
            do="convert it to MRC",
        )
    return page_shape(page, where), dtype
