"""Reading, checking and writing the header of an MRC file with one or more images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mrcfile.utils
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.images.byte_stream import open_bytes, require_plausible

HEADER_BYTES = HEADER_DTYPE.itemsize
_READABLE = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_UNSIGNED = {0: 127, 1: 32767}
"""The modes in which some programs write unsigned numbers, with the largest signed value
of each.
"""
_IMOD_STAMP = 1146047817


def one_pixel_size_A(pixel_size_yx_A: tuple[float, float] | None) -> float | None:
    """The mean of both axes if they agree within 1 %, else None.

    >>> one_pixel_size_A((1.0, 1.002)), one_pixel_size_A((1.0, 2.0))
    (1.001, None)
    """
    if pixel_size_yx_A is None:
        return None
    y, x = pixel_size_yx_A
    return (y + x) / 2 if abs(y - x) <= 0.01 * max(y, x) else None


def raw_header(path: Path) -> tuple[np.void, int | None]:
    """The fields of any MRC file's header, in the byte order that gives valid values, and the size
    of the file in bytes.

    The size is None for a file compressed by gzip or bzip2, of which only the first bytes are
    decompressed.

    Raises
    ------
    UserError
        The file is missing, unreadable, or not an MRC file.
    """
    with open_bytes(path) as file:
        start = file.stream.read(HEADER_BYTES)
    if len(start) < HEADER_BYTES:
        problem = f"it has {len(start)} bytes"
        raise UserError(
            problem,
            where=path,
            wanted=f"An MRC file has {HEADER_BYTES} and more",
            do="copy it again",
        )
    return _in_its_byte_order(np.frombuffer(start, HEADER_DTYPE)[0], path), file.size_bytes


def extra_bytes(path: Path, size: int | None, needed: int, pixels: int, content: str) -> int:
    """The number of bytes of a file beyond the ``needed`` ones that its header implies; 0 for a
    compressed file. ``content`` describes its ``pixels`` in errors: "128 x 96 pixels".

    Raises
    ------
    UserError
        The file is too short, or is compressed and too small to hold such an image.
    """
    if size is None:
        require_plausible(path, needed, pixels, path.stat().st_size)
        return 0
    if size < needed:
        problem = f"the file is cut short: it has {size} bytes of {needed}"
        raise UserError(
            problem, where=path, wanted=f"Its header says {content}", do="copy it again"
        )
    return size - needed


@dataclass(frozen=True)
class Statistics:
    """Minimum, maximum, mean and standard deviation of all pixels, as stated in the header."""

    least: float
    most: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, stored: NDArray[np.floating]) -> Self:
        """The statistics of an array, summed in double precision."""
        mean, deviation = stored.mean(dtype=np.float64), stored.std(dtype=np.float64)
        return cls(float(stored.min()), float(stored.max()), float(mean), float(deviation))


def header_bytes(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    pixel_size_yx_A: tuple[float, float],
    statistics: Statistics,
    labels: Sequence[str],
) -> bytes:
    """The header of an image or a stack of images: ``shape`` is (sections, y, x).

    mrcfile could write it too, but leaves the file open when a write fails.
    """
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    (sections, rows, columns), (y_A, x_A) = shape, pixel_size_yx_A
    fields = {
        "nx": columns, "ny": rows, "nz": sections, "mx": columns, "my": rows, "mz": 1,
        "mapc": 1, "mapr": 2, "maps": 3, "map": b"MAP ", "nversion": 20141,
        "mode": mrcfile.utils.mode_from_dtype(dtype),
        "machst": mrcfile.utils.machine_stamp_from_byte_order("<"),
        "cella": (columns * x_A, rows * y_A, x_A), "cellb": (90.0, 90.0, 90.0),
        "dmin": statistics.least, "dmax": statistics.most,
        "dmean": statistics.mean, "rms": statistics.deviation, "nlabl": len(labels),
    }  # fmt: skip
    for name, value in fields.items():
        header[name] = value
    for index, label in enumerate(labels):
        header["label"][index] = _printable_ascii(label).encode("ascii")
    return header.tobytes()


def _in_its_byte_order(header: np.void, path: Path) -> np.void:
    """The header in the byte order of its machine stamp, or in the other one if only that gives
    valid values.
    """
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(header["machst"])
    except ValueError:
        order = "<"
    for likelier_first in (order, "<" if order == ">" else ">"):
        view = np.frombuffer(header.tobytes(), HEADER_DTYPE.newbyteorder(likelier_first))[0]
        sides = [int(view[name]) for name in ("nx", "ny", "nz")]
        if (
            0 <= view["mode"] <= 1000
            and all(0 < side < 2**24 for side in sides)
            and view["nsymbt"] >= 0
        ):
            return view
    problem = "its header is not that of an MRC file"
    raise UserError(
        problem, where=path, wanted="A file in MRC format is needed", do="check the name"
    )


def pixel_type(header: np.void, path: Path) -> np.dtype[np.generic]:
    """The type of the file's pixels, in its byte order. Raises UserError if its mode is not
    supported.
    """
    mode = int(header["mode"])
    if mode not in _READABLE:
        wanted = f"Modes {', '.join(map(str, _READABLE))} are read"
        raise UserError(
            f"its pixels are of mode {mode}",
            where=path,
            wanted=wanted,
            do="convert it to mode 2 (float32)",
        )
    order = mrcfile.utils.normalise_byte_order(header.dtype["mode"].byteorder)
    kind = _READABLE[mode]
    if mode in _UNSIGNED and (
        (mode == 0 and _has_unsigned_bytes(header)) or _exceeds(header, _UNSIGNED[mode])
    ):
        kind = f"u{kind[1]}"
    return np.dtype(kind).newbyteorder(order)


def _exceeds(header: np.void, largest: int) -> bool:
    """Whether only an unsigned type can hold the header's minimum and maximum: some programs write
    unsigned numbers under a signed mode.
    """
    least, most = float(header["dmin"]), float(header["dmax"])
    return 0 <= least <= most and largest < most <= 2 * largest + 1


def _has_unsigned_bytes(header: np.void) -> bool:
    """Whether IMOD wrote the file and marked its mode 0 as unsigned (in the standard it
    is signed).
    """
    order = mrcfile.utils.normalise_byte_order(header.dtype["mode"].byteorder)
    stamp, flags = np.frombuffer(
        header.tobytes(), np.dtype("i4").newbyteorder(order), count=2, offset=152
    )
    return bool(stamp == _IMOD_STAMP and not flags & 1)


def pixel_size_yx_A(header: np.void) -> tuple[float, float] | None:
    """The header's pixel size in Å along y and x, or None if either is zero, negative or NaN."""
    sides = sampling_A(header, "yx")
    return (sides[0], sides[1]) if all(np.isfinite(side) and side > 0 for side in sides) else None


def sampling_A(header: np.void, axes: str) -> list[float]:
    """The header's cell over its samples along these axes, in Å; 0 without samples. The values are
    not checked.
    """
    samples = [int(header[f"m{axis}"]) for axis in axes]
    return [
        float(header["cella"][axis]) / count if count > 0 else 0.0
        for axis, count in zip(axes, samples, strict=True)
    ]


def labels_of(header: np.void) -> tuple[str, ...]:
    """The labels of a header, without their padding."""
    count = min(max(int(header["nlabl"]), 0), 10)
    return tuple(
        bytes(label).decode("ascii", "replace").rstrip("\0 ") for label in header["label"][:count]
    )


def refuse_not_finite(stored: NDArray[np.floating], path: Path, dtype: str) -> None:
    """Raise UserError if values that are about to be written are NaN or infinite."""
    count = stored.size - int(np.count_nonzero(np.isfinite(stored)))
    if count:
        problem = (
            f"{count} of the {stored.size} values to be written are not finite numbers in {dtype}"
        )
        do = "write float32" if dtype == "float16" else ""
        raise UserError(problem, where=path, wanted="The file was not written", do=do)


def _printable_ascii(label: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in label)[:80]
