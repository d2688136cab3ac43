"""MRC images: one micrograph per file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images.byte_stream import open_bytes
from restore.io.images.mrc_header import (
    HEADER_BYTES,
    Statistics,
    extra_bytes,
    header_bytes,
    labels_of,
    one_pixel_size_A,
    pixel_size_yx_A,
    pixel_type,
    raw_header,
    refuse_not_finite,
)

_log = logging.getLogger(__name__)

_STEPS_PER_DEVIATION = 50
_SAMPLED_PX = 1 << 20
_QUARTILES_APART = 1.349  # standard deviations between the quartiles of a normal distribution


@dataclass(frozen=True)
class MrcHeader:
    """The header of an MRC file, checked against the size of the file.

    ``pixel_size_yx_A`` is None if the header has zero, a negative number or NaN for either axis.
    ``extra_bytes`` is the number of bytes after the image; it is 0 for a compressed file, whose
    size is not known before it is read.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    offset_bytes: int
    pixel_size_yx_A: tuple[float, float] | None
    labels: tuple[str, ...]
    extra_bytes: int

    @property
    def pixel_size_A(self) -> float | None:
        """The pixel size: the mean of both axes if they agree within 1 %, else None."""
        return one_pixel_size_A(self.pixel_size_yx_A)


def read_mrc_header(path: Path) -> MrcHeader:
    """Read and check an MRC file's header, in either byte order, compressed or not, without its
    image.

    Raises
    ------
    UserError
        The file is missing or unreadable, is not an MRC file, is cut short, has a mode other than
        0, 1, 2, 6 and 12, or is a stack.
    """
    header, size = raw_header(path)
    shape, dtype = _shape(header, path), pixel_type(header, path)
    offset = HEADER_BYTES + int(header["nsymbt"])
    pixels = shape[0] * shape[1]
    needed = offset + pixels * dtype.itemsize
    extra = extra_bytes(path, size, needed, pixels, f"{shape[1]} x {shape[0]} pixels")
    return MrcHeader(path, shape, dtype, offset, pixel_size_yx_A(header), labels_of(header), extra)


def mrc_labels(path: Path) -> list[str]:
    """The labels in an MRC file's header. Raises as :func:`read_mrc_header`."""
    return list(read_mrc_header(path).labels)


def read_mrc(path: Path) -> tuple[NDArray[np.float32], float | None]:
    """The image (y, x) of an MRC file, and its pixel size in Å, None if the header has no plausible
    one.

    Extra bytes after the image are ignored, with a warning in the log.

    Raises
    ------
    UserError
        As :func:`read_mrc_header`.
    """
    header = read_mrc_header(path)
    if header.extra_bytes:
        _log.warning(
            "%s: there are %d bytes after the image; they are not used", path, header.extra_bytes
        )
    pixels = read_pixels(path, header.dtype, header.offset_bytes, header.shape[0] * header.shape[1])
    return pixels.reshape(header.shape), header.pixel_size_A


def read_pixels(
    path: Path, dtype: np.dtype[np.generic], offset_bytes: int, count: int
) -> NDArray[np.float32]:
    """``count`` pixels of this type from ``offset_bytes`` on, as float32. Raises UserError if they
    cannot be read.
    """
    with open_bytes(path) as file:
        file.skip(offset_bytes)
        pixels = file.array(dtype, count)
        if file.size_bytes is None and (extra := file.drain()):
            _log.warning("%s: there are %d bytes after the image; they are not used", path, extra)
    return pixels.astype(np.float32, copy=False)


def write_mrc(
    path: Path,
    data: NDArray[np.floating],
    pixel_size_A: float | tuple[float, float],
    labels: Sequence[str] = (),
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write an image (y, x) as MRC mode 2 (float32) or 12 (float16), completely or not at all.

    float16 has eleven binary digits, so an image whose mean is a thousand times its standard
    deviation would keep only a handful of grey values. If the step between neighbouring values
    would exceed a fiftieth of the image's standard deviation, float32 is written instead, with a
    warning in the log.

    The pixel size is one number, or one for each axis (y, x). There may be ten labels, which are
    cut at 80 characters; characters other than printable ASCII become "?". The header's minimum,
    maximum, mean and standard deviation are those of the image.

    Raises
    ------
    UserError
        The file cannot be written, or the image holds values that are not finite or too large for
        float16.
    ValueError
        The image is not two-dimensional, or there are more than ten labels.
    """
    if data.ndim != 2 or len(labels) > 10:
        raise ValueError(
            f"shape {data.shape}, {len(labels)} labels: one image and at most ten labels can be "
            "written"
        )
    dtype = _fine_enough(data, dtype, path)
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(data, dtype=np.dtype(dtype).newbyteorder("<"))
    refuse_not_finite(stored, path, dtype)
    y_A, x_A = pixel_size_A if isinstance(pixel_size_A, tuple) else (pixel_size_A, pixel_size_A)
    header = header_bytes((1, *data.shape), stored.dtype, (y_A, x_A), Statistics.of(stored), labels)
    with replacing(path) as partial, partial.open("wb") as stream:
        stream.write(header)
        stream.write(stored.data)


def _shape(header: np.void, path: Path) -> tuple[int, int]:
    if header["nz"] != 1:
        problem = f"it is a stack of {header['nz']} images"
        raise UserError(
            problem,
            where=path,
            wanted="One micrograph in a file is needed",
            do="sum or split the stack",
        )
    return int(header["ny"]), int(header["nx"])


def _fine_enough(
    data: NDArray[np.floating], dtype: Literal["float32", "float16"], path: Path
) -> Literal["float32", "float16"]:
    """The requested type, or float32 if float16 is too coarse for the image.

    Centre and spread are computed from the quartiles, so that a border or a few hot pixels have no
    effect.
    """
    if dtype == "float32" or data.size == 0 or not np.isfinite(data).all():
        return dtype
    sample = data.ravel()[:: max(1, data.size // _SAMPLED_PX)]
    low, middle, high = (float(value) for value in np.percentile(sample, (25, 50, 75)))
    deviation = (high - low) / _QUARTILES_APART or float(sample.std(dtype=np.float64))
    reach = abs(middle) + 3 * deviation
    if reach > float(np.finfo(np.float16).max):
        return dtype  # too large for it altogether, which is an error of its own
    step = float(np.spacing(np.float16(reach)))
    if step <= deviation / _STEPS_PER_DEVIATION:
        return dtype
    _log.warning(
        "%s: float32 is written, not float16, whose steps of %.3g are too coarse for an image of "
        "mean %.4g and standard deviation %.3g",
        path,
        step,
        middle,
        deviation,
    )
    return "float32"
