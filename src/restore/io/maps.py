"""MRC maps and stacks: volumes, and images one behind the other."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import ending_of
from restore.io.mrc import HEADER_BYTES, extra_bytes, labels_of, pixel_type, raw_header, read_pixels

_log = logging.getLogger(__name__)

Kind = Literal["auto", "stack", "volume"]
"""What the sections of a file are: images of their own, or slices of one volume; "auto" is what the file says."""


@dataclass(frozen=True)
class MapHeader:
    """What the header of a map or stack says, checked against the size of the file.

    ``shape`` is (n, z, y, x): a volume has n = 1, a stack of images z = 1, a single image both.
    ``voxel_size_zyx_A`` is None where the header has zero, a negative number or NaN in an axis that counts; that of
    z is the mean of the others where z = 1.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    offset_bytes: int
    voxel_size_zyx_A: tuple[float, float, float] | None
    labels: tuple[str, ...]
    extra_bytes: int


def read_map_header(path: Path, kind: Kind = "auto") -> MapHeader:
    """Read and check the header of an MRC map or stack, either byte order, without its voxels.

    With ``kind`` "auto" a file is a stack if its name ends in ``.mrcs``, or if its header has both ISPG = 0 and
    MZ = 1, as the MRC2014 standard has it for stacks. ISPG = 0 alone says nothing: RELION writes it into its half maps.

    Raises
    ------
    UserError
        The file is missing or unreadable, no MRC file, cut short, of a mode other than 0, 1, 2, 6 and 12, or holds
        several volumes.
    """
    header, size = raw_header(path)
    _refuse_volume_stack(header, path)
    dtype = pixel_type(header, path)
    z, y, x = (int(header[name]) for name in ("nz", "ny", "nx"))
    stack = _is_stack(header, path) if kind == "auto" else kind == "stack"
    offset = HEADER_BYTES + int(header["nsymbt"])
    extra = extra_bytes(path, size, offset + z * y * x * dtype.itemsize, f"{x} x {y} x {z} voxels")
    shape = (z, 1, y, x) if stack else (1, z, y, x)
    return MapHeader(path, shape, dtype, offset, _voxel_size_zyx_A(header, shape[1]), labels_of(header), extra)


def read_map(header: MapHeader) -> NDArray[np.float32]:
    """The voxels (n, z, y, x) of the file that this header is of, as float32.

    Raises
    ------
    UserError
        The file cannot be read, or its voxels are all the same, or some are NaN or infinite.
    """
    path = header.path
    if header.extra_bytes:
        _log.warning("%s: there are %d bytes after the voxels; they are not used", path, header.extra_bytes)
    voxels = read_pixels(path, header.dtype, header.offset_bytes, int(np.prod(header.shape))).reshape(header.shape)
    lowest, highest = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        bad = ~np.isfinite(voxels)
        n, z, y, x = (int(each) for each in np.unravel_index(int(bad.argmax()), voxels.shape))
        section = z if header.shape[0] == 1 else n
        found = f"{np.count_nonzero(bad)} of its voxels are NaN or infinite, first in section {section} at row {y}, column {x}"
        raise UserError(found, where=path, wanted="Every voxel must be a number", do="make the file again")
    if lowest == highest:
        found = f"all of its voxels are {lowest:g}"
        raise UserError(
            found, where=path, wanted="There is nothing in a constant map", do="check that it is the right file"
        )
    return voxels


def _is_stack(header: np.void, path: Path) -> bool:
    if int(header["nz"]) == 1:
        return False
    return ending_of(path.name).startswith(".mrcs") or (int(header["ispg"]) == 0 and int(header["mz"]) == 1)


def _refuse_volume_stack(header: np.void, path: Path) -> None:
    if int(header["ispg"]) >= 401:
        raise UserError("it holds several volumes", where=path, wanted="One volume is needed", do="split the file")


def _voxel_size_zyx_A(header: np.void, z: int) -> tuple[float, float, float] | None:
    sides: list[float] = []
    for axis in "zyx":
        cell_A, samples = float(header["cella"][axis]), int(header[f"m{axis}"])
        sides.append(cell_A / samples if samples > 0 else 0.0)
    if z == 1:
        sides[0] = (sides[1] + sides[2]) / 2
    return (sides[0], sides[1], sides[2]) if all(np.isfinite(side) and side > 0 for side in sides) else None
