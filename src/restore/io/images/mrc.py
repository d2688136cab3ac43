"""MRC images: one micrograph in one file."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import mrcfile.utils
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images.byte_stream import open_bytes

_log = logging.getLogger(__name__)

_READABLE = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
HEADER_BYTES = HEADER_DTYPE.itemsize
_IMOD_STAMP = 1146047817


@dataclass(frozen=True)
class MrcHeader:
    """What the header of an MRC file says, checked against the size of the file.

    ``pixel_size_yx_A`` is None where the header has zero, a negative number or NaN in either axis.
    ``extra_bytes`` counts what the file holds after its image; it is 0 for a packed file, whose
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
        """The pixel size, the mean of both axes where they agree within 1 %, else None (no one
        number is right).
        """
        return one_pixel_size_A(self.pixel_size_yx_A)


def one_pixel_size_A(pixel_size_yx_A: tuple[float, float] | None) -> float | None:
    """The mean of both axes where they agree within 1 %, else None.

    >>> one_pixel_size_A((1.0, 1.002)), one_pixel_size_A((1.0, 2.0))
    (1.001, None)
    """
    if pixel_size_yx_A is None:
        return None
    y, x = pixel_size_yx_A
    return (y + x) / 2 if abs(y - x) <= 0.01 * max(y, x) else None


def read_mrc_header(path: Path) -> MrcHeader:
    """Read and check an MRC file's header, either byte order, packed or not, without its image.

    Raises
    ------
    UserError
        The file is missing or unreadable, no MRC file, cut short, of a mode other than 0, 1, 2, 6
        and 12, or a stack.
    """
    header, size = raw_header(path)
    shape, dtype = _shape(header, path), pixel_type(header, path)
    offset = HEADER_BYTES + int(header["nsymbt"])
    needed = offset + shape[0] * shape[1] * dtype.itemsize
    extra = extra_bytes(path, size, needed, f"{shape[1]} x {shape[0]} pixels")
    return MrcHeader(path, shape, dtype, offset, pixel_size_yx_A(header), labels_of(header), extra)


def raw_header(path: Path) -> tuple[np.void, int | None]:
    """The fields of any MRC file's header, in the byte order that makes sense, and the size of the
    file in bytes.

    The size is None for a file that gzip or bzip2 packed; only its first bytes are inflated.

    Raises
    ------
    UserError
        The file is missing, unreadable or no MRC file.
    """
    with open_bytes(path) as file:
        start = file.stream.read(HEADER_BYTES)
    if len(start) < HEADER_BYTES:
        found = f"it has {len(start)} bytes"
        raise UserError(
            found, where=path, wanted=f"An MRC file has {HEADER_BYTES} and more", do="copy it again"
        )
    return _in_its_byte_order(np.frombuffer(start, HEADER_DTYPE)[0], path), file.size_bytes


def extra_bytes(path: Path, size: int | None, needed: int, content: str) -> int:
    """How many bytes a file has beyond those that its header speaks of, 0 for a packed one.
    UserError where it is short.
    """
    if size is None:
        return 0
    if size < needed:
        found = f"the file is cut short: it has {size} bytes of {needed}"
        raise UserError(found, where=path, wanted=f"Its header says {content}", do="copy it again")
    return size - needed


def mrc_shape(path: Path) -> tuple[int, int]:
    """Rows and columns of an MRC image, from its header. Raises as :func:`read_mrc_header`."""
    return read_mrc_header(path).shape


def mrc_labels(path: Path) -> list[str]:
    """The labels in an MRC file's header. Raises as :func:`read_mrc_header`."""
    return list(read_mrc_header(path).labels)


def read_mrc(path: Path) -> tuple[NDArray[np.float32], float | None]:
    """The image (y, x) of an MRC file, and its pixel size in Å, None where the header has none that
    can be right.

    Extra bytes after the image are left alone, with a warning in the log.

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
    """So many pixels of this type from ``offset_bytes`` on, as float32. UserError where they cannot
    be read.
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
    """Write an image (y, x) as MRC mode 2 (float32) or 12 (float16), whole or not at all.

    The pixel size is one number, or one for each axis (y, x). Labels, at most ten, are cut at 80
    characters, and any that is not printable ASCII becomes "?". The header's minimum, maximum, mean
    and deviation are those of the image.

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
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(data, dtype=np.dtype(dtype).newbyteorder("<"))
    refuse_not_finite(stored, path, dtype)
    y_A, x_A = pixel_size_A if isinstance(pixel_size_A, tuple) else (pixel_size_A, pixel_size_A)
    mean, deviation = stored.mean(dtype=np.float64), stored.std(dtype=np.float64)
    statistics = Statistics(float(stored.min()), float(stored.max()), float(mean), float(deviation))
    header = header_bytes((1, *data.shape), stored.dtype, (y_A, x_A), statistics, labels)
    with replacing(path) as partial, partial.open("wb") as stream:
        stream.write(header)
        stream.write(stored.data)


@dataclass(frozen=True)
class Statistics:
    """Least, most, mean and standard deviation of all pixels of a file, as its header tells them."""

    least: float
    most: float
    mean: float
    deviation: float


def header_bytes(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    pixel_size_yx_A: tuple[float, float],
    statistics: Statistics,
    labels: Sequence[str],
) -> bytes:
    """The header of an image, or of a stack of them: ``shape`` is (sections, y, x).

    mrcfile would write it too, but leaves the file open where a write fails.
    """
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    (sections, rows, columns), (y_A, x_A) = shape, pixel_size_yx_A
    fields = {
        "nx": columns, "ny": rows, "nz": sections, "mx": columns, "my": rows, "mz": 1, "mapc": 1, "mapr": 2, "maps": 3,
        "mode": mrcfile.utils.mode_from_dtype(dtype), "nversion": 20141, "map": b"MAP ", "nlabl": len(labels),
        "dmin": statistics.least, "dmax": statistics.most, "dmean": statistics.mean, "rms": statistics.deviation,
        "cella": (columns * x_A, rows * y_A, x_A), "cellb": (90.0, 90.0, 90.0),
        "machst": mrcfile.utils.machine_stamp_from_byte_order("<"),
    }  # fmt: skip
    for name, value in fields.items():
        header[name] = value
    for index, label in enumerate(labels):
        header["label"][index] = _printable_ascii(label).encode("ascii")
    return header.tobytes()


def _in_its_byte_order(header: np.void, path: Path) -> np.void:
    """The header in the byte order that its machine stamp names, or in the other where only that
    makes sense.
    """
    try:
        order = mrcfile.utils.byte_order_from_machine_stamp(header["machst"])
    except ValueError:
        order = "<"
    for each in (order, "<" if order == ">" else ">"):
        view = np.frombuffer(header.tobytes(), HEADER_DTYPE.newbyteorder(each))[0]
        sides = [int(view[name]) for name in ("nx", "ny", "nz")]
        if (
            0 <= view["mode"] <= 1000
            and all(0 < side < 2**24 for side in sides)
            and view["nsymbt"] >= 0
        ):
            return view
    found = "its header is not that of an MRC file"
    raise UserError(found, where=path, wanted="A file in MRC format is needed", do="check the name")


def _shape(header: np.void, path: Path) -> tuple[int, int]:
    if header["nz"] != 1:
        found = f"it is a stack of {header['nz']} images"
        raise UserError(
            found,
            where=path,
            wanted="One micrograph in a file is needed",
            do="sum or split the stack",
        )
    return int(header["ny"]), int(header["nx"])


def pixel_type(header: np.void, path: Path) -> np.dtype[np.generic]:
    """The type of the file's pixels, in its byte order. UserError where its mode is none that is
    read.
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
    return np.dtype(
        "u1" if mode == 0 and _has_unsigned_bytes(header) else _READABLE[mode]
    ).newbyteorder(order)


def _has_unsigned_bytes(header: np.void) -> bool:
    """Whether IMOD wrote the file and says that its mode 0 is unsigned (the standard says signed)."""
    order = mrcfile.utils.normalise_byte_order(header.dtype["mode"].byteorder)
    stamp, flags = np.frombuffer(
        header.tobytes(), np.dtype("i4").newbyteorder(order), count=2, offset=152
    )
    return bool(stamp == _IMOD_STAMP and not flags & 1)


def pixel_size_yx_A(header: np.void) -> tuple[float, float] | None:
    """The header's pixel size in Å along y and x, None where it has zero, a negative number or NaN
    in either.
    """
    sides = []
    for axis in "yx":
        cell_A, samples = float(header["cella"][axis]), int(header[f"m{axis}"])
        sides.append(cell_A / samples if samples > 0 else 0.0)
    return (sides[0], sides[1]) if all(np.isfinite(side) and side > 0 for side in sides) else None


def labels_of(header: np.void) -> tuple[str, ...]:
    """The labels of a header, without what pads them."""
    count = min(max(int(header["nlabl"]), 0), 10)
    return tuple(
        bytes(label).decode("ascii", "replace").rstrip("\0 ") for label in header["label"][:count]
    )


def refuse_not_finite(stored: NDArray[np.floating], path: Path, dtype: str) -> None:
    """UserError where values that are about to be written are NaN or infinite."""
    count = stored.size - int(np.count_nonzero(np.isfinite(stored)))
    if count:
        found = (
            f"{count} of the {stored.size} values to be written are not finite numbers in {dtype}"
        )
        do = "write float32" if dtype == "float16" else ""
        raise UserError(found, where=path, wanted="The file was not written", do=do)


def _printable_ascii(label: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in label)[:80]
