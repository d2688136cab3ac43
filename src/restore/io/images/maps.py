"""MRC maps and stacks: volumes, and series of images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.endings import ending_of
from restore.io.images.mrc import read_pixels
from restore.io.images.mrc_header import (
    HEADER_BYTES,
    Statistics,
    extra_bytes,
    header_bytes,
    labels_of,
    pixel_type,
    raw_header,
    refuse_not_finite,
    sampling_A,
)

_log = logging.getLogger(__name__)

_CUBIC = 1e-3  # relative difference up to which the sides of a voxel count as equal

Kind = Literal["auto", "stack", "volume"]
"""What the sections of a file are: separate images, or slices of one volume; "auto" follows the
file.
"""


@dataclass(frozen=True)
class MapHeader:
    """The header of a map or stack, checked against the size of the file.

    ``shape`` is (n, z, y, x): a volume has n = 1, a stack of images z = 1, a single image both.
    ``voxel_size_zyx_A`` is None if the header has zero, a negative number or NaN for a relevant
    axis; if z = 1, the size along z is the mean of the others.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[np.generic]
    offset_bytes: int
    voxel_size_zyx_A: tuple[float, float, float] | None
    labels: tuple[str, ...]
    extra_bytes: int
    origin_zyx_A: tuple[float, float, float] = (0.0, 0.0, 0.0)


def read_map_header(path: Path, kind: Kind = "auto") -> MapHeader:
    """Read and check the header of an MRC map or stack, in either byte order, without its voxels.

    With ``kind`` "auto" a file is a stack if its name ends in ``.mrcs``, or if its header has both
    ISPG = 0 and MZ = 1, as the MRC2014 standard has it for stacks. ISPG = 0 alone says nothing:
    RELION writes it into its half maps.

    Raises
    ------
    UserError
        The file is missing or unreadable, is not an MRC file, is cut short, has a mode other than
        0, 1, 2, 6 and 12, holds several volumes, or has columns, rows and sections that do not run
        along x, y and z.
    """
    header, size = raw_header(path)
    _refuse_volume_stack(header, path)
    dtype = pixel_type(header, path)
    z, y, x = (int(header[name]) for name in ("nz", "ny", "nx"))
    stack = _is_stack(header, path) if kind == "auto" else kind == "stack"
    if not stack:
        _refuse_turned_axes(header, path)
    offset = HEADER_BYTES + int(header["nsymbt"])
    needed = offset + z * y * x * dtype.itemsize
    extra = extra_bytes(path, size, needed, z * y * x, f"{x} x {y} x {z} voxels")
    shape = (z, 1, y, x) if stack else (1, z, y, x)
    voxel_A = _voxel_size_zyx_A(header, shape[1])
    return MapHeader(
        path,
        shape,
        dtype,
        offset,
        voxel_A,
        labels_of(header),
        extra,
        _origin_zyx_A(header, voxel_A),
    )


def cubic_voxel_size_A(header: MapHeader) -> float:
    """The side (Å) of the voxels of a map that must be cubes, to a thousandth.

    Raises
    ------
    UserError
        The header has no voxel size, or its sizes along x, y and z differ.
    """
    sizes_A = header.voxel_size_zyx_A
    if sizes_A is None:
        raise UserError(
            "its header has no voxel size",
            where=header.path,
            wanted="Å per voxel",
            do="set it in the header",
        )
    if max(sizes_A) - min(sizes_A) > _CUBIC * min(sizes_A):
        z_A, y_A, x_A = sizes_A
        raise UserError(
            f"its voxels measure {x_A:.5g} x {y_A:.5g} x {z_A:.5g} Å along x, y and z",
            where=header.path,
            wanted="Voxels must be cubes",
            do="resample the map, or correct its header if that is wrong",
        )
    return sizes_A[2]


def read_map(header: MapHeader) -> NDArray[np.float32]:
    """The voxels (n, z, y, x) of the file with this header, as float32.

    Raises
    ------
    UserError
        The file cannot be read, all its voxels are equal, or some are NaN or infinite.
    """
    path = header.path
    if header.extra_bytes:
        _log.warning(
            "%s: there are %d bytes after the voxels; they are not used", path, header.extra_bytes
        )
    voxels = read_pixels(
        path, header.dtype, header.offset_bytes, int(np.prod(header.shape))
    ).reshape(header.shape)
    lowest, highest = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        bad = ~np.isfinite(voxels)
        n, z, y, x = (int(index) for index in np.unravel_index(int(bad.argmax()), voxels.shape))
        section = z if header.shape[0] == 1 else n
        problem = (
            f"{np.count_nonzero(bad)} of its voxels are NaN or infinite, first in section "
            f"{section} at row {y}, column {x}"
        )
        raise UserError(
            problem, where=path, wanted="Every voxel must be a number", do="make the file again"
        )
    if lowest == highest:
        problem = f"all of its voxels are {lowest:g}"
        raise UserError(
            problem,
            where=path,
            wanted="A map whose voxels are all equal holds no density",
            do="check that it is the right file",
        )
    return voxels


def write_map(
    path: Path,
    volume: NDArray[np.floating],
    voxel_size_zyx_A: float | tuple[float, float, float],
    origin_zyx_A: tuple[float, float, float] = (0.0, 0.0, 0.0),
    labels: Sequence[str] = (),
) -> None:
    """Write a volume (z, y, x) as MRC mode 2 (float32), completely or not at all, with the centre
    of its first voxel at the origin.

    Labels are those of :func:`restore.io.images.mrc.write_mrc`.

    Raises
    ------
    UserError
        The file cannot be written, or the volume holds values that are not finite.
    ValueError
        The volume is not three-dimensional, or there are more than ten labels.
    """
    if volume.ndim != 3 or len(labels) > 10:
        raise ValueError(
            f"shape {volume.shape}, {len(labels)} labels: one volume and at most ten labels can "
            "be written"
        )
    stored = np.ascontiguousarray(volume, dtype="<f4")
    refuse_not_finite(stored, path, "float32")
    z_A, y_A, x_A = (
        voxel_size_zyx_A if isinstance(voxel_size_zyx_A, tuple) else (voxel_size_zyx_A,) * 3
    )
    plane = header_bytes(stored.shape, stored.dtype, (y_A, x_A), Statistics.of(stored), labels)
    header = np.frombuffer(plane, HEADER_DTYPE.newbyteorder("<")).copy()
    header["mz"], header["ispg"], header["cella"]["z"] = stored.shape[0], 1, stored.shape[0] * z_A
    for axis, place_A in zip("zyx", origin_zyx_A, strict=True):
        header["origin"][axis] = place_A
    with replacing(path) as partial, partial.open("wb") as stream:
        stream.write(header.tobytes())
        stream.write(stored.data)


def read_mask(path: Path, shape: tuple[int, int, int], masked: str) -> NDArray[np.float32]:
    """A mask (z, y, x) for maps of this shape; ``masked`` names them in errors ("a.mrc", "each of
    the maps").

    Raises
    ------
    UserError
        As :func:`read_map`; or the mask has another shape, or values outside 0 to 1.
    """
    header = read_map_header(path, "volume")
    if header.shape[1:] != shape:
        problem = f"the mask has {_voxels(header.shape[1:])}, and {masked} has {_voxels(shape)}"
        raise UserError(
            problem,
            where=path,
            wanted="A mask must have the shape of what it masks",
            do="resample it",
        )
    mask = read_map(header)[0]
    lowest, highest = float(mask.min()), float(mask.max())
    if lowest < -1e-4 or highest > 1 + 1e-4:
        problem = f"its values go from {lowest:g} to {highest:g}"
        raise UserError(
            problem,
            where=path,
            wanted="A mask lies between 0 and 1",
            do="make it with relion_mask_create",
        )
    return mask


def _voxels(shape: tuple[int, ...]) -> str:
    z, y, x = shape
    return f"{x} x {y} pixels" if z == 1 else f"{x} x {y} x {z} voxels"


def _is_stack(header: np.void, path: Path) -> bool:
    if int(header["nz"]) == 1:
        return False
    return ending_of(path.name).startswith(".mrcs") or (
        int(header["ispg"]) == 0 and int(header["mz"]) == 1
    )


def _refuse_volume_stack(header: np.void, path: Path) -> None:
    if int(header["ispg"]) >= 401:
        raise UserError(
            "it holds several volumes",
            where=path,
            wanted="One volume is needed",
            do="split the file",
        )


def _refuse_turned_axes(header: np.void, path: Path) -> None:
    """Raise UserError if the axes are in another order, as some crystallography programs store
    them. Zeros, as in old files, are ignored.
    """
    axes = tuple(int(header[f"map{name}"]) for name in "crs")
    if axes != (1, 2, 3) and set(axes) == {1, 2, 3} and int(header["nz"]) > 1:
        names = ", ".join("xyz"[axis - 1] for axis in axes)
        raise UserError(
            f"its columns, rows and sections run along {names}",
            where=path,
            wanted="Maps are read only if these run along x, y, z",
            do="write it again in that order, for example with ChimeraX or gemmi",
        )


def _voxel_size_zyx_A(header: np.void, z: int) -> tuple[float, float, float] | None:
    sides = sampling_A(header, "zyx")
    if z == 1:
        sides[0] = (sides[1] + sides[2]) / 2
    return (
        (sides[0], sides[1], sides[2])
        if all(np.isfinite(side) and side > 0 for side in sides)
        else None
    )


def _origin_zyx_A(
    header: np.void, voxel_size_zyx_A: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    z, y, x = (float(header["origin"][axis]) for axis in "zyx")
    if (z, y, x) != (0.0, 0.0, 0.0) and np.isfinite([z, y, x]).all():
        return z, y, x
    starts = (float(header[f"n{axis}start"]) for axis in "zyx")
    z, y, x = (
        start * voxel_A
        for start, voxel_A in zip(starts, voxel_size_zyx_A or (0.0,) * 3, strict=True)
    )
    return z, y, x
