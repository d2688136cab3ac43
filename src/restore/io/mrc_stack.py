"""MRC movies: frames one behind the other in one file, packed by gzip or bzip2 or not."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.io.byte_stream import ByteStream, open_bytes
from restore.io.mrc import HEADER_BYTES, extra_bytes, pixel_size_yx_A, pixel_type, raw_header

_log = logging.getLogger(__name__)

_HALF_BYTES = 101
"""The mode of IMOD and SerialEM for pixels of 4 bits, two in a byte, the first in the low half; rows are whole bytes."""


@dataclass(frozen=True)
class StackHeader:
    """What the header of an MRC movie says, checked against the size of the file where that is known.

    Each frame has rows of ``stored_columns`` numbers of ``dtype``, which for ``half_bytes`` hold two pixels each.
    """

    path: Path
    frames: int
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    offset_bytes: int
    pixel_size_yx_A: tuple[float, float] | None
    half_bytes: bool

    @property
    def stored_columns(self) -> int:
        """Numbers in a row, as stored."""
        return (self.shape[1] + 1) // 2 if self.half_bytes else self.shape[1]


def read_stack_header(path: Path) -> StackHeader:
    """Read and check the header of an MRC movie, either byte order.

    Raises
    ------
    UserError
        The file is missing, unreadable, no MRC file, cut short, or of a mode other than 0, 1, 2, 6, 12 and 101.
    """
    header, size = raw_header(path)
    half_bytes = int(header["mode"]) == _HALF_BYTES
    dtype = np.dtype("u1") if half_bytes else pixel_type(header, path)
    frames, rows, columns = (int(header[name]) for name in ("nz", "ny", "nx"))
    offset = HEADER_BYTES + int(header["nsymbt"])
    stack = StackHeader(path, frames, (rows, columns), dtype, offset, pixel_size_yx_A(header), half_bytes)
    needed = offset + frames * rows * stack.stored_columns * dtype.itemsize
    extra_bytes(path, size, needed, f"{frames} frames of {columns} x {rows} pixels")
    return stack


def read_stack(path: Path) -> Iterator[NDArray[np.generic]]:
    """Each frame (y, x) in its own type, in order, rows as stored; one is in memory at a time.

    Raises
    ------
    UserError
        As :func:`read_stack_header`, or a packed file ends too early.
    """
    header = read_stack_header(path)
    with open_bytes(path) as file:
        file.skip(header.offset_bytes)
        for _ in range(header.frames):
            yield _frame(file, header)
        if extra := file.drain():
            _log.warning("%s: there are %d bytes after the last frame; they are not used", path, extra)


def _frame(file: ByteStream, header: StackHeader) -> NDArray[np.generic]:
    rows, columns = header.shape
    numbers = file.array(header.dtype, rows * header.stored_columns).reshape(rows, header.stored_columns)
    if not header.half_bytes:
        return numbers
    stored = numbers.view(np.uint8)
    pixels = np.empty((rows, 2 * header.stored_columns), np.uint8)
    pixels[:, 0::2], pixels[:, 1::2] = stored & 15, stored >> 4
    return pixels[:, :columns]
