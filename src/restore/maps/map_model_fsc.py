"""The FSC of a map and the density of a model."""

import torch
from jaxtyping import Float
from torch import Tensor

from restore.maps.fsc import FSC, shell_correlation
from restore.maps.shells import ShellAxis, Voxel

COARSE_A = 15.0  # a fitted model agrees with its map in all shells coarser than this
_DOUBTFUL = 0.5
_GRID = (-3, -2, -1)


def map_model_fsc(
    volume: Float[Tensor, "z y x"],
    model: Float[Tensor, "z y x"],
    voxel_size_zyx_A: Voxel,
    mask: Float[Tensor, "z y x"] | None = None,
) -> FSC:
    """The FSC of a map and the density of a model on its grid; with a soft mask, also that of both
    under it.

    The mask multiplies both. Its contribution to the correlation is not corrected for: the model
    has no noise whose phases could be randomised.
    """
    axis = ShellAxis((volume.shape[0], volume.shape[1], volume.shape[2]), voxel_size_zyx_A)
    first, second = volume[None], model[None]
    unmasked = shell_correlation(first, second, axis)
    if mask is None:
        return FSC(axis.frequency_per_A, unmasked)
    masked = shell_correlation(
        first, second, axis, spectrum=lambda density: torch.fft.rfftn(density * mask, dim=_GRID)
    )
    return FSC(axis.frequency_per_A, unmasked, masked)


def coarse_agreement(fsc: FSC) -> float | None:
    """The mean correlation in the shells coarser than 15 Å, under the mask if there is one; None if
    there are fewer than three.

    It is about zero for a model that is not fitted into the map.
    """
    curve = fsc.unmasked if fsc.masked is None else fsc.masked
    coarse = curve[1:][fsc.frequency_per_A[1:] < 1 / COARSE_A]
    return float(coarse.mean()) if len(coarse) >= 3 else None


def looks_unfitted(fsc: FSC) -> bool:
    """Whether the map and the model disagree even at low resolution, where a fitted model always
    agrees.
    """
    agreement = coarse_agreement(fsc)
    return agreement is not None and agreement < _DOUBTFUL
