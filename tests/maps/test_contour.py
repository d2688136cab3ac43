"""Levels of surfaces: the volume that they enclose, whatever the scale of a map, and without its
dust.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.maps.contour import (
    ContourError,
    ContourSettings,
    contours,
    enclosed_volume_A3,
    level_at_sigma,
    level_enclosing,
    protein_volume_A3,
    usual_level,
    without_dust,
)

VOXEL_A = (1.5, 1.25, 1.0)
CUBE_A = (2.0, 2.0, 2.0)


def ball(side, radius, centre=None):
    """Falls linearly from the centre; at level 0 its surface has this radius, in voxels."""
    axes = [
        torch.arange(side) - (side // 2 if centre is None else centre[axis]) for axis in range(3)
    ]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return radius - (z**2 + y**2 + x**2).float().sqrt()


def noise(side, seed):
    return torch.randn(side, side, side, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 999), st.integers(0, 5))
def test_as_many_voxels_lie_above_the_level_as_fill_the_volume(count, seed):
    density, volume_A3 = noise(10, seed), count * math.prod(VOXEL_A)
    level = level_enclosing(density, volume_A3, VOXEL_A)
    assert enclosed_volume_A3(density, level, VOXEL_A) == pytest.approx(volume_A3)


def test_the_volume_inside_a_ball_is_that_of_the_ball():
    volume_A3 = enclosed_volume_A3(ball(64, 20.0), 0.0, CUBE_A)
    assert volume_A3 == pytest.approx(4 / 3 * math.pi * 40.0**3, rel=5e-3)
    assert level_enclosing(ball(64, 20.0), volume_A3, CUBE_A) == pytest.approx(0, abs=0.05)


def test_the_volume_of_protein_follows_from_its_partial_specific_volume():
    cm3_per_g, dalton_g, A3_per_cm3 = 0.73, 1.66054e-24, 1e24
    assert protein_volume_A3(700.0) == pytest.approx(
        700e3 * dalton_g * cm3_per_g * A3_per_cm3, rel=2e-3
    )


def test_maps_on_other_scales_get_the_same_surface():
    first = ball(40, 12.0).clamp(min=-2) + 0.2 * noise(40, 1)
    drawn = contours([(first, CUBE_A), (0.01 * first + 5.0, CUBE_A)], ContourSettings())
    assert torch.equal(drawn[0].density > drawn[0].level, drawn[1].density > drawn[1].level)
    assert drawn[0].volume_A3 == drawn[1].volume_A3


def test_maps_with_other_voxels_enclose_the_same_volume():
    coarse, fine = ball(32, 10.0), ball(64, 20.0)
    drawn = contours([(coarse, CUBE_A), (fine, (1.0, 1.0, 1.0))], ContourSettings())
    assert drawn[1].volume_A3 == pytest.approx(drawn[0].volume_A3, rel=1e-2)  # voxels tie


def test_a_mass_sets_the_volume_of_every_map():
    drawn = contours(
        [(ball(40, 12.0), CUBE_A), (ball(40, 5.0), CUBE_A)], ContourSettings(mass_kDa=20.0)
    )
    assert [contour.volume_A3 for contour in drawn] == pytest.approx(
        [24200.0] * 2, rel=3e-2
    )  # voxels tie


def test_dust_goes_and_large_pieces_stay_even_if_they_hang_on_by_a_corner():
    density = -torch.ones(20, 20, 20)
    density[2:8, 2:8, 2:8] = 1.0
    density[8:11, 8:11, 8:11] = 1.0  # touches the first at a corner
    density[15:17, 15:17, 15:17] = 1.0
    clean = without_dust(density, 0.5, 0.1)
    assert int((clean > 0.5).sum()) == 6**3 + 3**3
    assert torch.equal(clean[:12], density[:12]) and float(clean[15, 15, 15]) == 0.0
    assert torch.equal(without_dust(density, 0.5, 0.01), density)


def test_what_is_dust_does_not_count_as_volume():
    density = ball(48, 10.0).clamp(-1.0, 1.0) + 0.6 * noise(48, 2)
    wanted_A3 = 3000 * 8.0
    plain = level_enclosing(density, wanted_A3, CUBE_A)
    level = level_enclosing(density, wanted_A3, CUBE_A, dust=0.05)
    kept = [
        enclosed_volume_A3(without_dust(density, threshold, 0.05), threshold, CUBE_A)
        for threshold in (plain, level)
    ]
    assert kept[0] < 0.98 * wanted_A3
    assert kept[1] == pytest.approx(wanted_A3, rel=0.02)


def test_the_usual_level_stands_above_the_noise_and_inside_the_particle():
    density = 3.0 * (ball(64, 12.0).clamp(0.0, 1.0)) + 0.2 * noise(64, 3)
    level = usual_level(density)
    assert 5 * 0.2 * 0.95 < level < 2.5
    assert usual_level(10 * density + 4) == pytest.approx(10 * level + 4, rel=1e-4)
    assert (
        int((noise(32, 4) > usual_level(noise(32, 4))).sum()) > 0
    )  # noise alone has a surface too


def test_a_map_of_which_next_to_nothing_stands_out_has_a_level():
    density = torch.zeros(32, 32, 32)
    density[16, 16, 14:18] = 1.0
    assert 0 < usual_level(density) < 1


def test_sigma_counts_from_the_mean_of_the_whole_map():
    density = noise(24, 5)
    assert level_at_sigma(density, 2.0) == pytest.approx(
        float(density.mean() + 2 * density.std(correction=0)), rel=1e-5
    )
    assert contours([(density, CUBE_A)], ContourSettings(sigma=2.0))[0].level == level_at_sigma(
        density, 2.0
    )


def test_levels_that_were_given_are_taken_as_they_are():
    maps = [(ball(20, 6.0), CUBE_A)] * 2
    assert [contour.level for contour in contours(maps, ContourSettings(level=(1.0,)))] == [
        1.0,
        1.0,
    ]
    assert [contour.level for contour in contours(maps, ContourSettings(level=(1.0, 2.0)))] == [
        1.0,
        2.0,
    ]
    with pytest.raises(ValueError, match="3 levels for 2 maps"):
        contours(maps, ContourSettings(level=(1.0, 2.0, 3.0)))


def test_a_map_without_a_surface_is_named_by_its_place():
    maps = [(ball(20, 6.0), CUBE_A), (ball(20, 3.0), CUBE_A)]
    with pytest.raises(ContourError, match="nothing in it lies above the level 4") as caught:
        contours(maps, ContourSettings(level=(4.0,)))
    assert caught.value.number == 1
    with pytest.raises(ContourError, match="is no part of its"):
        contours(maps, ContourSettings(mass_kDa=1e6))
