"""What the commands that take maps share: checks of shapes, voxels and masks, and words for them."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UsageError, UserError
from restore.io.denoised_mark import is_denoised
from restore.io.images.maps import MapHeader, read_map_header, read_mask
from restore.maps.fsc import FSC, Voxel

log = logging.getLogger(__name__)


def refuse_voxel(given_A: float | None) -> None:
    """UsageError where the voxel size that was typed can be none."""
    if given_A is not None and not 0 < given_A < math.inf:
        raise UsageError(f"--pixel_size is {given_A:g}", wanted="A voxel has a size above 0 Å")


def refuse_other_shape(first: MapHeader, other: MapHeader) -> None:
    """UserError where two maps have not one shape."""
    if first.shape != other.shape:
        found = f"it has {sides(other)}, and {first.path} has {sides(first)}"
        raise UserError(
            found, where=other.path, wanted="Both must have one shape", do="check the names"
        )


def volume_header(path: Path) -> MapHeader:
    """The header of a map that must be a volume. UserError where it is an image."""
    header = read_map_header(path, "volume")
    if header.shape[1] == 1:
        raise UserError(
            "it is an image", where=path, wanted="A volume is needed", do="check the name"
        )
    return header


def sides(header: MapHeader) -> str:
    """The shape of a map in words."""
    n, z, y, x = header.shape
    if n > 1:
        return f"{n} images of {x} x {y} pixels"
    return f"{x} x {y} pixels" if z == 1 else f"{x} x {y} x {z} voxels"


def voxel_size_zyx_A(headers: Sequence[MapHeader], given_A: float | None) -> Voxel:
    """The voxel size to compute with: the one given, else that of the headers, the first's where
    they differ.
    """
    if given_A is not None:
        return (given_A, given_A, given_A)
    known = [header for header in headers if header.voxel_size_zyx_A]
    sizes = [header.voxel_size_zyx_A for header in known if header.voxel_size_zyx_A]
    if not known:
        raise UserError(
            "its header has no voxel size", where=headers[0].path, do="give --pixel_size in Å"
        )
    if any(abs(one - other) > 0.01 * one for one, other in zip(sizes[0], sizes[-1], strict=True)):
        words = (
            "%s has voxels of %s Å and %s of %s Å in their headers; the first is taken "
            "(--pixel_size overrules both)"
        )
        log.warning(
            words, known[0].path, voxel_words(sizes[0]), known[-1].path, voxel_words(sizes[-1])
        )
    return sizes[0]


def voxel_words(voxel_zyx_A: Voxel) -> str:
    """One number where the axes agree, else x, y and z."""
    smallest, largest = min(voxel_zyx_A), max(voxel_zyx_A)
    same = largest - smallest < 1e-3 * largest
    return f"{largest:.5g}" if same else " x ".join(f"{each:.5g}" for each in reversed(voxel_zyx_A))


def mask_for(path: Path | None, header: MapHeader) -> Float[Tensor, "z y x"] | None:
    """The mask, if there is one, for a map of this header."""
    if path is None:
        return None
    return torch.from_numpy(read_mask(path, header.shape[1:], str(header.path)))


def warn_of_what_halves_share(headers: list[MapHeader]) -> None:
    """Say where an agreement of the two would prove nothing."""
    if headers[0].path.resolve() == headers[1].path.resolve():
        log.warning(
            "both are one file, %s: that it agrees with itself says nothing", headers[0].path
        )
    for header in headers:
        if is_denoised(header.labels):
            words = (
                "%s was denoised by restore. What the network adds can be common to both halves: "
                "their correlation may be too high (see the bias in docs/evaluation.md)"
            )
            log.warning(words, header.path)
            return


def crossing_words(fsc: FSC, name: str, threshold: float) -> str:
    """Where a curve falls under a threshold, in words for a table."""
    crossing_A = fsc.crossing_A(fsc.curves[name], threshold)
    if crossing_A is None:
        return "nowhere"
    return "at once" if math.isinf(crossing_A) else f"{crossing_A:.2f} Å"
