"""MRC stacks: the frames of a movie, packed by gzip or bzip2 or not, and particle images, one
behind the other.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images.byte_stream import ByteStream, open_bytes
from restore.io.images.mrc_header import (
    HEADER_BYTES,
    Statistics,
    extra_bytes,
    header_bytes,
    pixel_size_yx_A,
    pixel_type,
    raw_header,
)

_log = logging.getLogger(__name__)

_HALF_BYTES = 101
"""The mode of IMOD and SerialEM for pixels of 4 bits, two in a byte, the first in the low half;
rows are whole bytes.
"""


@dataclass(frozen=True)
class StackHeader:
    """What the header of an MRC movie says, checked against the size of the file where that is
    known.

    Each frame has rows of ``stored_columns`` numbers of ``dtype``, which for ``half_bytes`` hold
    two pixels each.
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
        The file is missing, unreadable, no MRC file, cut short, or of a mode other than 0, 1, 2, 6,
        12 and 101.
    """
    header, size = raw_header(path)
    half_bytes = int(header["mode"]) == _HALF_BYTES
    dtype = np.dtype("u1") if half_bytes else pixel_type(header, path)
    frames, rows, columns = (int(header[name]) for name in ("nz", "ny", "nx"))
    offset = HEADER_BYTES + int(header["nsymbt"])
    stack = StackHeader(
        path, frames, (rows, columns), dtype, offset, pixel_size_yx_A(header), half_bytes
    )
    needed = offset + frames * rows * stack.stored_columns * dtype.itemsize
    content = f"{frames} frames of {columns} x {rows} pixels"
    extra_bytes(path, size, needed, rows * columns, content)
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
            _log.warning(
                "%s: there are %d bytes after the last frame; they are not used", path, extra
            )


def write_stack(
    path: Path, images: NDArray[np.floating], pixel_size_A: float, labels: Sequence[str] = ()
) -> None:
    """Write images (n, y, x) as an MRC stack of mode 2 (float32), whole or not at all.

    Raises
    ------
    UserError
        The file cannot be written, or the images hold values that are not finite.
    """
    stored = np.ascontiguousarray(images, dtype="<f4")
    least, most = float(stored.min()), float(stored.max())
    if not np.isfinite(most - least):
        found = "some of the values to be written are not finite numbers"
        raise UserError(found, where=path, wanted="The file was not written")
    mean, deviation = stored.mean(dtype=np.float64), stored.std(dtype=np.float64)
    statistics = Statistics(least, most, float(mean), float(deviation))
    shape = (stored.shape[0], stored.shape[1], stored.shape[2])
    header = header_bytes(shape, stored.dtype, (pixel_size_A, pixel_size_A), statistics, labels)
    with replacing(path) as partial, partial.open("wb") as stream:
        stream.write(header)
        stream.write(stored.data)


def _frame(file: ByteStream, header: StackHeader) -> NDArray[np.generic]:
    rows, columns = header.shape
    numbers = file.array(header.dtype, rows * header.stored_columns).reshape(
        rows, header.stored_columns
    )
    if not header.half_bytes:
        return numbers
    stored = numbers.view(np.uint8)
    pixels = np.empty((rows, 2 * header.stored_columns), np.uint8)
    pixels[:, 0::2], pixels[:, 1::2] = stored & 15, stored >> 4
    return pixels[:, :columns]
