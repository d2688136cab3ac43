"""References for maps on their grid: a mask, the density of a model, the true map."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic_models import read_atoms
from restore.io.images.maps import cubic_voxel_size_A, read_map_header
from restore.maps.potential import model_map
from restore.maps.regridding import GridError, on_grid
from restore.postprocessing.map_files import box_mask, volume_of
from restore.postprocessing.model_fsc import MapBox, refuse_atoms_outside

__all__ = ["References", "box_mask", "model_density", "read_truth", "read_volume"]


@dataclass(frozen=True)
class References:
    """The references that maps are compared with, on the maps' grid, and the files they were read
    from, by role.
    """

    voxel_A: float
    mask: Float[Tensor, "z y x"] | None
    model: Float[Tensor, "z y x"] | None
    truth: Float[Tensor, "z y x"] | None
    files: Mapping[str, Path]

    @property
    def voxel_zyx_A(self) -> tuple[float, float, float]:
        """The voxel size along each axis."""
        return (self.voxel_A, self.voxel_A, self.voxel_A)


def read_volume(path: Path) -> Float[Tensor, "z y x"]:
    """The voxels of a map. Raises as :func:`restore.io.images.maps.read_map`."""
    return volume_of(read_map_header(path, "volume"))


def read_truth(path: Path, side: int, voxel_A: float) -> Float[Tensor, "z y x"]:
    """The true map on the maps' grid, with the same centre. Raises UserError if its voxels are not
    cubes, or do not fit.
    """
    header = read_map_header(path, "volume")
    true_voxel_A = cubic_voxel_size_A(header)
    try:
        return on_grid(volume_of(header), true_voxel_A, side, voxel_A)
    except GridError as error:
        wanted = "The true map is resampled to the maps' grid without interpolation"
        raise UserError(
            str(error), where=path, wanted=wanted, do="resample it, or choose another box"
        ) from None


def model_density(path: Path, side: int, voxel_A: float) -> Float[Tensor, "z y x"]:
    """The density of a model fitted into a map whose first voxel is at the origin.

    Raises
    ------
    UserError
        As :func:`read_atoms`; or atoms lie outside the box.
    """
    atoms = read_atoms(path)
    shape, voxel_zyx_A = (side, side, side), (voxel_A, voxel_A, voxel_A)
    refuse_atoms_outside(atoms, path, MapBox("the maps", shape, voxel_zyx_A))
    return model_map(atoms, shape, voxel_zyx_A)
