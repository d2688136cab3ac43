"""A map on another grid is the same map: its blobs stay where they were."""

import pytest
import torch

from restore.maps.regridding import GridError, on_grid


def blob(side, voxel_A, place_A=(4.0, -6.0, 8.0), width_A=5.0):
    """A Gaussian at a place from the middle."""
    axis = (torch.arange(side, dtype=torch.float64) - side // 2) * voxel_A
    z, y, x = torch.meshgrid(axis - place_A[0], axis - place_A[1], axis - place_A[2], indexing="ij")
    return torch.exp(-(z**2 + y**2 + x**2) / 2 / width_A**2)


@pytest.mark.parametrize(
    ("side", "voxel_A", "new_side", "new_voxel_A"),
    [
        (48, 2.0, 48, 2.0),
        (48, 2.0, 64, 1.5),
        (64, 1.5, 48, 2.0),
        (33, 2.0, 48, 2.0),
        (60, 2.0, 40, 2.0),
        (37, 1.5, 36, 2.0),
    ],
)
def test_a_blob_stays_where_it_is(side, voxel_A, new_side, new_voxel_A):
    density = on_grid(blob(side, voxel_A), voxel_A, new_side, new_voxel_A)
    assert (density - blob(new_side, new_voxel_A)).abs().max() < 0.02


def test_a_map_that_is_no_cube_is_put_in_the_middle():
    density = on_grid(blob(48, 2.0)[8:40, :, 4:44], 2.0, 48, 2.0)
    assert (density - blob(48, 2.0)).abs().max() < 0.05


def test_voxels_that_do_not_fit_are_refused():
    with pytest.raises(GridError, match=r"48 voxels of 2 Å are 32\.99 of 2\.91 Å"):
        on_grid(blob(33, 2.91), 2.91, 48, 2.0)


@pytest.mark.parametrize("side", [31, 33, 49])
def test_a_new_box_of_odd_side_is_refused(side):
    """It spans 48 old voxels, but has no voxel at their centre."""
    with pytest.raises(GridError, match=rf"the new box has {side} voxels .* not an even number"):
        on_grid(blob(48, 2.0), 2.0, side, 96.0 / side)
