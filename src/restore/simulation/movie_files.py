"""Movies on disk, frame by frame: MRC stacks, and TIFF as the microscopes' programs write it."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Integer

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images.mrc_header import HEADER_BYTES, Statistics, header_bytes

Frames = Iterable[Integer[np.ndarray, "y x"]]

_LARGEST_CLASSIC_TIFF_BYTES = 2**32 - 2**26
_TIFF_CODECS = {"lzw": "lzw", "deflate": "adobe_deflate"}


def tiff_program() -> ModuleType:
    """``tifffile``, which writes TIFF. Raises UserError, with advice, if it or its codecs are not
    installed.
    """
    try:
        import_module("imagecodecs")
        return import_module("tifffile")
    except ImportError as error:
        do = "run: pip install tifffile imagecodecs (or write MRC movies)"
        raise UserError(
            f"{error.name} is not installed", wanted="TIFF movies need it", do=do
        ) from error


def write_mrc_movie(path: Path, frames: Frames, pixel_size_A: float, label: str) -> None:
    """Write frames as an MRC image stack of their own integer type (mode 0, 1 or 6), completely or
    not at all.

    One frame is held at a time; the header, with the statistics of all counts, is written when they
    are known.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    count, total, squares, least, most = 0, 0, 0, np.inf, -np.inf
    frame = np.empty((0, 0), np.int8)
    with replacing(path) as partial, partial.open("wb") as stream:
        stream.write(bytes(HEADER_BYTES))
        for frame in frames:
            stream.write(np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).data)
            count, total = count + 1, total + int(frame.sum(dtype=np.int64))
            squares += int(np.vdot(frame, frame.astype(np.int64)))
            least, most = min(least, float(frame.min())), max(most, float(frame.max()))
        mean = total / (count * frame.size)
        deviation = float(np.sqrt(max(squares / (count * frame.size) - mean**2, 0)))
        stream.seek(0)
        shape, statistics = (
            (count, frame.shape[0], frame.shape[1]),
            Statistics(least, most, mean, deviation),
        )
        stream.write(
            header_bytes(shape, frame.dtype, (pixel_size_A, pixel_size_A), statistics, (label,))
        )


def write_tiff_movie(
    path: Path, frames: Frames, size_bytes: int, compression: str, pixel_size_A: float
) -> None:
    """Write frames as the pages of a TIFF file, compressed by ``compression`` (lzw or deflate),
    completely or not at all. The last row of a frame comes first, as IMOD and RELION have it: their
    y runs upwards, TIFF's downwards. A movie that may grow too large for a classic TIFF
    (``size_bytes`` before compression) becomes a BigTIFF.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    options: dict[str, Any] = {
        "photometric": "minisblack",
        "compression": _TIFF_CODECS[compression],
        "resolution": (1e8 / pixel_size_A, 1e8 / pixel_size_A),
        "resolutionunit": "CENTIMETER",
        "contiguous": False,
        "metadata": None,
        "software": "restore",
    }
    is_large, open_writer = size_bytes > _LARGEST_CLASSIC_TIFF_BYTES, tiff_program().TiffWriter
    with replacing(path) as partial, open_writer(partial, bigtiff=is_large) as writer:
        for frame in frames:
            writer.write(frame[::-1], **options)
