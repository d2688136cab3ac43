"""Map files that are compared: their grids, voxel sizes and masks, and warnings about them."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UsageError, UserError
from restore.io.denoised_mark import is_denoised
from restore.io.images.maps import MapHeader, read_map, read_map_header, read_mask
from restore.io.paths import resolved
from restore.maps.fsc import FSC, Voxel

log = logging.getLogger(__name__)

_SAME_SIZE = 0.01  # relative difference up to which two voxel sizes count as one
_SAME_PLACE_VOXELS = 0.5
_NEARLY_ONE, _ONE = 0.999, 0.99999
_COARSEST_SHELLS, _OPPOSITE = slice(1, 6), -0.5


def volume_header(path: Path) -> MapHeader:
    """The header of a map, which must be a volume. Raises UserError if it is an image."""
    header = read_map_header(path, "volume")
    if header.shape[1] == 1:
        raise UserError("it is an image", where=path, wanted="A volume is needed")
    return header


def volume_of(header: MapHeader) -> Float[Tensor, "z y x"]:
    """The voxels of a volume. Raises as :func:`restore.io.images.maps.read_map`."""
    return torch.from_numpy(read_map(header))[0]


def describe_shape(header: MapHeader) -> str:
    """The shape of a map in words, such as "64 x 64 x 64 voxels"."""
    n, z, y, x = header.shape
    if n > 1:
        return f"{n} images of {x} x {y} pixels"
    return f"{x} x {y} pixels" if z == 1 else f"{x} x {y} x {z} voxels"


def describe_voxel(voxel_size_zyx_A: Voxel) -> str:
    """A voxel size (Å) in words: one number if the axes agree, else x, y and z."""
    smallest, largest = min(voxel_size_zyx_A), max(voxel_size_zyx_A)
    if largest - smallest < 1e-3 * largest:
        return f"{largest:.5g}"
    return " x ".join(f"{side_A:.5g}" for side_A in reversed(voxel_size_zyx_A))


def refuse_pixel_size(pixel_size_A: float | None) -> None:
    """Raise UsageError if a pixel size is given that no image can have."""
    if pixel_size_A is not None and not 0 < pixel_size_A < math.inf:
        raise UsageError(
            f"pixel_size_A is {pixel_size_A:g}",
            field="pixel_size_A",
            wanted="A voxel size is above 0 Å",
        )


def refuse_other_shape(first: MapHeader, other: MapHeader) -> None:
    """Raise UserError if two maps differ in shape."""
    if first.shape != other.shape:
        problem = f"it has {describe_shape(other)}, and {first.path} has {describe_shape(first)}"
        raise UserError(
            problem, where=other.path, wanted="Both must have the same shape", do="check the names"
        )


def voxel_size_of(headers: Sequence[MapHeader], pixel_size_A: float | None) -> Voxel:
    """The voxel size (z, y, x; Å) to compute with.

    It is the one given, else that of the first header that has one; a warning is logged if the
    headers differ by more than one per cent.

    Raises
    ------
    UserError
        No voxel size is given, and no header has one.
    """
    if pixel_size_A is not None:
        return (pixel_size_A, pixel_size_A, pixel_size_A)
    known = [(header, size) for header in headers if (size := header.voxel_size_zyx_A) is not None]
    if not known:
        raise UserError(
            "its header has no voxel size", where=headers[0].path, do="give `pixel_size_A`"
        )
    (first, size_A), (last, last_size_A) = known[0], known[-1]
    if _differ(size_A, last_size_A):
        log.warning(
            "the header of %s has voxels of %s Å, that of %s voxels of %s Å; the first is used "
            "(`pixel_size_A` overrules both)",
            first.path,
            describe_voxel(size_A),
            last.path,
            describe_voxel(last_size_A),
        )
    return size_A


def mask_for(
    path: Path | None, header: MapHeader, pixel_size_A: float | None = None
) -> Float[Tensor, "z y x"] | None:
    """The mask (0 to 1), if there is one, for a map with this header.

    Its voxel size is not compared with the map's if a pixel size is given, which overrides headers.

    Raises
    ------
    UserError
        As :func:`restore.io.images.maps.read_mask`; or the voxel size or origin in the mask's
        header differs from the map's.
    """
    if path is None:
        return None
    mask = torch.from_numpy(read_mask(path, header.shape[1:], str(header.path)))
    _refuse_other_grid(read_map_header(path, "volume"), header, pixel_size_A)
    return mask


def box_mask(path: Path | None, side: int, voxel_A: float) -> Float[Tensor, "z y x"] | None:
    """The mask, if there is one, for cubic maps of ``side`` voxels of ``voxel_A``.

    Raises
    ------
    UserError
        As :func:`restore.io.images.maps.read_mask`; or the voxel size in the mask's header differs
        from the maps'.
    """
    if path is None:
        return None
    mask = torch.from_numpy(read_mask(path, (side, side, side), "each of the maps"))
    mask_A = read_map_header(path, "volume").voxel_size_zyx_A
    if mask_A is not None and _differ((voxel_A, voxel_A, voxel_A), mask_A):
        raise UserError(
            f"its voxels measure {describe_voxel(mask_A)} Å, and those of the maps {voxel_A:.5g} Å",
            where=path,
            wanted="A mask must lie on the grid of the maps",
            do="resample the mask, or correct the voxel size in its header if that is wrong",
        )
    return mask


def _refuse_other_grid(mask: MapHeader, header: MapHeader, pixel_size_A: float | None) -> None:
    mask_A, voxel_A = mask.voxel_size_zyx_A, header.voxel_size_zyx_A
    if pixel_size_A is None and mask_A and voxel_A and _differ(voxel_A, mask_A):
        raise UserError(
            f"its voxels measure {describe_voxel(mask_A)} Å, and those of {header.path} "
            f"{describe_voxel(voxel_A)} Å",
            where=mask.path,
            wanted="A mask must lie on the grid of the map",
            do="resample the mask, or give `pixel_size_A` if the headers are wrong",
        )
    steps = zip(
        mask.origin_zyx_A, header.origin_zyx_A, voxel_A or mask_A or (1.0,) * 3, strict=True
    )
    if all(
        abs(first_A - second_A) <= _SAME_PLACE_VOXELS * side for first_A, second_A, side in steps
    ):
        return
    places = [
        ", ".join(f"{place_A:g}" for place_A in reversed(origin_A))
        for origin_A in (mask.origin_zyx_A, header.origin_zyx_A)
    ]
    problem = f"its origin is ({places[0]}) Å, and that of {header.path} ({places[1]}) Å"
    if any(mask.origin_zyx_A) and any(header.origin_zyx_A):
        raise UserError(
            problem,
            where=mask.path,
            wanted="A mask must lie on the grid of the map",
            do="resample the mask onto the map's grid",
        )
    # Many programs leave the origin at zero, so a difference from zero proves nothing.
    log.warning("%s: %s. The mask is applied voxel by voxel", mask.path, problem)


def _differ(first_A: Voxel, other_A: Voxel) -> bool:
    pairs = zip(first_A, other_A, strict=True)
    return any(abs(first_A - second_A) > _SAME_SIZE * first_A for first_A, second_A in pairs)


def warn_of_shared_content(headers: Sequence[MapHeader]) -> None:
    """Warn if the agreement of two half maps would prove nothing, because they are one file, or
    denoised.
    """
    if resolved(headers[0].path) == resolved(headers[1].path):
        log.warning(
            "both halves are the same file, %s: its correlation with itself says nothing",
            headers[0].path,
        )
    for header in headers:
        if is_denoised(header.labels):
            log.warning(
                "%s was denoised by restore. What the network hallucinates can be common to both "
                "halves, so that their correlation may be too high (see the bias in "
                "docs/evaluation.md)",
                header.path,
            )
            return


def warn_of_copies(fsc: FSC, headers: Sequence[MapHeader]) -> None:
    """Warn if two different files agree so well that they cannot be independent halves, or if their
    contrast is opposite.
    """
    if resolved(headers[0].path) == resolved(headers[1].path):
        return
    first, second = headers[0].path, headers[1].path
    lowest, highest = float(fsc.unmasked[1:].min()), float(fsc.unmasked[1:].max())
    if lowest > _ONE:
        words = "%s and %s are copies of the same map on different grey scales or offsets"
    elif highest < -_ONE:
        words = "%s and %s are copies of the same map with opposite contrast"
    elif lowest > _NEARLY_ONE:
        words = "the FSC of %s and %s is above 0.999 at every resolution: they are hardly "
        words += "independent halves"
    else:
        coarse = float(fsc.unmasked[_COARSEST_SHELLS].mean())
        if coarse < _OPPOSITE:
            log.warning(
                "%s and %s have opposite contrast: their FSC is %.2f in the coarsest shells. "
                "Multiply one of them by -1",
                first, second, coarse,
            )  # fmt: skip
        return
    log.warning(f"{words}; their correlation says nothing about resolution", first, second)
