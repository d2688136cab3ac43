"""What maps are compared with, on their grid: a mask, the density of a model, the true map."""

import logging
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic_models import read_atoms
from restore.io.images.maps import read_map, read_map_header, read_mask
from restore.maps.potential import model_map
from restore.maps.regridding import GridError, on_grid

log = logging.getLogger(__name__)


def read_volume(path: Path) -> Float[Tensor, "z y x"]:
    """The voxels of a map. Raises as :func:`restore.io.images.maps.read_map`."""
    return torch.from_numpy(read_map(read_map_header(path, "volume")))[0]


def box_mask(path: Path | None, side: int) -> Float[Tensor, "z y x"] | None:
    """The mask, if there is one, for maps of ``side`` voxels. Raises as
    :func:`restore.io.images.maps.read_mask`.
    """
    return (
        None
        if path is None
        else torch.from_numpy(read_mask(path, (side, side, side), "each of the maps"))
    )


def read_truth(path: Path, side: int, voxel_A: float) -> Float[Tensor, "z y x"]:
    """The true map on the maps' grid, its middle in the middle. UserError where its voxels do not
    fit.
    """
    header = read_map_header(path, "volume")
    sizes_A = header.voxel_size_zyx_A
    if sizes_A is None:
        raise UserError("its header has no voxel size", where=path, do="write one into it")
    try:
        return on_grid(torch.from_numpy(read_map(header))[0], sizes_A[-1], side, voxel_A)
    except GridError as error:
        wanted = "The true map is brought to the maps' grid without interpolation"
        raise UserError(
            str(error), where=path, wanted=wanted, do="resample it, or choose another box"
        ) from None


def model_density(path: Path, side: int, voxel_A: float) -> Float[Tensor, "z y x"]:
    """The density of a model that lies in a map whose first voxel is at the origin.

    Raises
    ------
    UserError
        As :func:`read_atoms`; atoms lie outside the box.
    """
    atoms = read_atoms(path)
    end_A = (side - 1) * voxel_A
    outside = ((atoms.position_A < -voxel_A) | (atoms.position_A > end_A + voxel_A)).any(axis=1)
    if outside.any():
        low, high = (
            np.round(each).astype(int).tolist()
            for each in (atoms.position_A.min(0), atoms.position_A.max(0))
        )
        found = (
            f"{outside.sum()} of its {len(atoms.elements)} atoms lie outside the maps: they go "
            f"from {low} to {high} Å"
        )
        wanted = f"The maps go from 0 to {end_A:.0f} Å along each axis"
        raise UserError(
            found,
            where=path,
            wanted=wanted,
            do="fit it into a map of this refinement and save it relative to it",
        )
    return model_map(atoms, (side, side, side), (voxel_A, voxel_A, voxel_A))
