"""MRC stacks: the frames of a movie, optionally compressed by gzip or bzip2, or a series of
particle images.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    refuse_not_finite,
)

_log = logging.getLogger(__name__)

_HALF_BYTES = 101
"""The mode of IMOD and SerialEM for 4-bit pixels: two per byte, the first in the low half; each row
occupies whole bytes.
"""


@dataclass(frozen=True)
class StackHeader:
    """The header of an MRC movie, checked against the size of the file if that is known.

    Each row of a frame has ``stored_columns`` numbers of ``dtype``; with ``half_bytes`` each of
    them holds two pixels.
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
    """Read and check the header of an MRC movie, in either byte order.

    Raises
    ------
    UserError
        The file is missing, unreadable, not an MRC file or cut short, or has a mode other than 0,
        1, 2, 6, 12 and 101.
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


def has_half_bytes(path: Path) -> bool:
    """Whether an MRC file is a movie of 4-bit pixels (mode 101). Raises UserError if it is not an
    MRC file.
    """
    return int(raw_header(path)[0]["mode"]) == _HALF_BYTES


def read_stack(path: Path) -> Iterator[NDArray[np.generic]]:
    """Each frame (y, x) in the file's own type, in order, with rows as stored; one frame is in
    memory at a time.

    Raises
    ------
    UserError
        As :func:`read_stack_header`; or a compressed file ends too early.
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
    """Write images (n, y, x) as an MRC stack of mode 2 (float32), completely or not at all.

    Raises
    ------
    UserError
        The file cannot be written, or the images hold values that are not finite.
    """
    stack = StackFile(path, images.shape[0], images.shape[1:], pixel_size_A, tuple(labels))
    write_stack_parts(stack, [images])


@dataclass(frozen=True)
class StackFile:
    """A stack to be written: its path, the number and shape (y, x) of its images, and their pixel
    size.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    pixel_size_A: float
    labels: tuple[str, ...] = ()
    dtype: str = "float32"


def write_stack_parts(stack: StackFile, parts: Iterable[NDArray[np.floating]]) -> None:
    """Write a stack part by part, each of some images (n, y, x), completely or not at all; only one
    part is in memory.

    Raises
    ------
    UserError
        The file cannot be written, or some values are not finite in its type.
    ValueError
        The number of images in the parts differs from the one announced.
    """
    dtype = np.dtype({"float32": "<f4", "float16": "<f2"}[stack.dtype])
    shape = (stack.count, stack.shape[0], stack.shape[1])
    pixel_size_yx_A = (stack.pixel_size_A, stack.pixel_size_A)
    running = _RunningStatistics()
    with replacing(stack.path) as partial, partial.open("wb") as stream:
        stream.write(bytes(HEADER_BYTES))
        for part in parts:
            with np.errstate(over="ignore"):
                stored = np.ascontiguousarray(part, dtype=dtype)
            refuse_not_finite(stored, stack.path, stack.dtype)
            running.add(stored)
            stream.write(stored.data)
        if running.count != math.prod(shape):
            raise ValueError(f"{running.count} values for a stack of {shape}")
        # The header holds statistics of all images, so it is written last.
        stream.seek(0)
        statistics = running.statistics
        stream.write(header_bytes(shape, dtype, pixel_size_yx_A, statistics, stack.labels))


class _RunningStatistics:
    """Minimum, maximum, mean and standard deviation of values that arrive in parts (Chan, Golub &
    LeVeque 1983).
    """

    def __init__(self) -> None:
        self.count = 0
        self._least, self._most = math.inf, -math.inf
        self._mean = self._squares = 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        count, mean = values.size, float(values.mean(dtype=np.float64))
        apart, total = mean - self._mean, self.count + values.size
        self._squares += float(values.var(dtype=np.float64)) * count
        self._squares += apart**2 * self.count * count / total
        self._mean += apart * count / total
        self.count = total
        self._least = min(self._least, float(values.min()))
        self._most = max(self._most, float(values.max()))

    @property
    def statistics(self) -> Statistics:
        deviation = math.sqrt(self._squares / self.count)
        return Statistics(self._least, self._most, self._mean, deviation)


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
