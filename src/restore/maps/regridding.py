"""Resampling of a map: other voxels, another box, the same centre."""

import torch
from jaxtyping import Float
from torch import Tensor

_CLOSE = 2e-3
_GRID = (0, 1, 2)


class GridError(ValueError):
    """One grid cannot be converted to the other without interpolation."""


def on_grid(
    volume: Float[Tensor, "z y x"], voxel_A: float, side: int, new_voxel_A: float
) -> Float[Tensor, "side side side"]:
    """A map in a cubic box of ``side`` voxels of another size, with the same centre (voxel side //
    2).

    In real space it is cut, or padded with the mean of its edges, to the new extent, and in Fourier
    space to the new resolution, so that nothing is interpolated. Raises GridError if ``side`` is
    odd, or unless a whole, even number of old voxels (to two thousandths) fills the new box.
    """
    if side % 2:
        raise GridError(f"the new box has {side} voxels along a side, not an even number")
    extent_px = side * new_voxel_A / voxel_A
    old_side = 2 * round(extent_px / 2)
    if old_side < 2 or abs(old_side - extent_px) > _CLOSE * extent_px:
        raise GridError(
            f"{side} voxels of {new_voxel_A:g} Å are {extent_px:.2f} of {voxel_A:g} Å, not an "
            "even number"
        )
    box = _in_box(volume, old_side)
    if old_side == side:
        return box
    spectrum = torch.fft.fftshift(torch.fft.fftn(box, dim=_GRID, norm="forward"))
    if old_side > side:
        start = (old_side - side) // 2
        spectrum = spectrum[start : start + side, start : start + side, start : start + side]
    else:
        wider = torch.zeros((side,) * 3, dtype=spectrum.dtype)
        start = (side - old_side) // 2
        wider[start : start + old_side, start : start + old_side, start : start + old_side] = (
            spectrum
        )
        spectrum = wider
    return torch.fft.ifftn(torch.fft.ifftshift(spectrum), dim=_GRID, norm="forward").real


def _in_box(volume: Float[Tensor, "z y x"], side: int) -> Float[Tensor, "side side side"]:
    """The volume cut or padded to a cube, with the same centre."""
    edges = [volume.select(axis, end).mean() for axis in _GRID for end in (0, -1)]
    box = torch.full((side,) * 3, float(torch.stack(edges).mean()), dtype=volume.dtype)
    to: list[slice] = []
    out_of: list[slice] = []
    for old in volume.shape:
        start = side // 2 - old // 2
        to.append(slice(max(start, 0), min(start + old, side)))
        out_of.append(slice(max(-start, 0), max(-start, 0) + to[-1].stop - to[-1].start))
    box[tuple(to)] = volume[tuple(out_of)]
    return box
