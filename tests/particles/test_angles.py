"""Angular distances: identities under every group, known angles, and the statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from restore.particles.angles import AngularDistances, angular_distances, chance_median_deg, summary
from restore.symmetry import point_group

# The largest angle that a rotation can keep from every element of the group. Dn: tan²(a/2) =
# tan²(π/2n) + 1/cos²(π/2n);
# T, O and I: the corners of the fundamental zone in Rodrigues space, an octahedron, a truncated
# cube and a dodecahedron.
FARTHEST_DEG = {
    "C1": 180.0,
    "C3": 180.0,
    "D2": 120.0,
    "D3": 104.478,
    "D4": 98.421,
    "D6": 93.841,
    "T": 90.0,
    "O": 62.799,
    "I1": 44.478,
    "I2": 44.478,
    "I3": 44.478,
    "I4": 44.478,
}
NAMES = st.sampled_from(sorted(FARTHEST_DEG))
ROTATIONS = st.integers(0, 2**32).map(lambda seed: random_rotations(5, seed))


def random_rotations(count, seed):
    return Rotation.from_quat(np.random.default_rng(seed).standard_normal((count, 4)))


def total(first, second, group):
    return angular_distances(first, second, group).total_deg


@given(NAMES, ROTATIONS, ROTATIONS)
def test_the_distance_is_the_least_over_all_copies_of_two_arccos_of_the_quaternions_product(
    name, first, second
):
    group = point_group(name)
    products = np.stack(
        [
            np.abs((first.as_quat() * (operation * second).as_quat()).sum(axis=1))
            for operation in group
        ]
    )
    expected = np.degrees(2 * np.arccos(np.clip(products, 0, 1))).min(axis=0)
    assert np.allclose(total(first, second, group), expected, atol=1e-5)


@given(NAMES, ROTATIONS)
def test_the_distance_along_the_symmetry_orbit_is_zero(name, some):
    group = point_group(name)
    for operation in group:
        assert total(some, operation * some, group).max() < 1e-5


@given(NAMES, ROTATIONS, ROTATIONS)
def test_the_distance_is_symmetric(name, first, second):
    group = point_group(name)
    assert np.allclose(total(first, second, group), total(second, first, group), atol=1e-9)


@given(NAMES, ROTATIONS, ROTATIONS, ROTATIONS)
def test_the_distance_does_not_change_when_all_images_are_turned_alike(name, first, second, third):
    group, turn = point_group(name), third[0]
    assert np.allclose(
        total(first * turn, second * turn, group), total(first, second, group), atol=1e-9
    )


def test_turning_the_specimen_does_change_the_distance_under_a_group():
    """Otherwise the group would stand on the wrong side, or on both."""
    first, second, turn = (
        random_rotations(50, 1),
        random_rotations(50, 2),
        random_rotations(1, 3)[0],
    )
    group = point_group("D7")
    assert np.abs(total(turn * first, turn * second, group) - total(first, second, group)).max() > 5


@given(NAMES, ROTATIONS, ROTATIONS, ROTATIONS)
def test_the_distance_obeys_the_triangle_inequality(name, first, second, third):
    group = point_group(name)
    way = total(first, second, group) + total(second, third, group)
    assert (total(first, third, group) <= way + 1e-9).all()


@pytest.mark.parametrize(("name", "farthest_deg"), FARTHEST_DEG.items())
def test_no_distance_exceeds_the_groups_covering_radius_and_some_come_near(name, farthest_deg):
    distances = total(random_rotations(20000, 4), random_rotations(20000, 5), point_group(name))
    assert farthest_deg * 0.9 < distances.max() <= farthest_deg + 1e-3


def test_a_known_turn_is_measured_to_the_last_digits():
    still = random_rotations(3, 6)
    turn_deg = np.array([1e-6, 0.5, 7.0])
    turned = Rotation.from_rotvec(np.radians(turn_deg)[:, None] * [[0.6, 0.0, 0.8]]) * still
    assert np.allclose(total(still, turned, point_group("O")), turn_deg, rtol=1e-6)


def test_a_turn_in_the_image_plane_is_all_in_plane_and_a_tilt_is_all_viewing():
    still = random_rotations(2, 7)
    turned = still * Rotation.from_euler("z", [[3.0], [170.0]], degrees=True)
    tilted = still * Rotation.from_euler("y", [[3.0], [170.0]], degrees=True)
    spun, seen = (
        angular_distances(still, orientations, point_group("C1"))
        for orientations in (turned, tilted)
    )
    assert np.allclose(spun.in_plane_deg, [3, 170]) and np.allclose(spun.viewing_deg, 0, atol=1e-5)
    assert np.allclose(seen.viewing_deg, [3, 170]) and np.allclose(seen.in_plane_deg, 0, atol=1e-5)


@given(NAMES, ROTATIONS, ROTATIONS)
def test_viewing_and_in_plane_distances_make_up_the_total(name, first, second):
    distances = angular_distances(first, second, point_group(name))
    total_, viewing, in_plane = (
        np.cos(np.radians(angle_deg) / 2)
        for angle_deg in (distances.total_deg, distances.viewing_deg, distances.in_plane_deg)
    )
    assert np.allclose(total_, viewing * in_plane, atol=1e-9)


@given(ROTATIONS, ROTATIONS)
def test_the_viewing_distance_is_the_angle_between_the_viewing_directions(first, second):
    directions = [rotation.apply([0, 0, 1]) for rotation in (first, second)]
    expected = np.degrees(np.arccos(np.clip((directions[0] * directions[1]).sum(axis=1), -1, 1)))
    assert np.allclose(
        angular_distances(first, second, point_group("C1")).viewing_deg, expected, atol=1e-5
    )


def test_many_particles_are_taken_in_portions_without_a_seam(monkeypatch):
    first, second, group = random_rotations(1000, 8), random_rotations(1000, 9), point_group("T")
    whole = total(first, second, group)
    monkeypatch.setattr("restore.particles.angles._AT_A_TIME", 7)
    assert np.array_equal(whole, total(first, second, group))


def test_sets_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="3 orientations and 2"):
        angular_distances(random_rotations(3, 1), random_rotations(2, 1), point_group("C1"))


def test_the_summary_counts_what_lies_below_one_two_and_five_degrees():
    total_deg = np.array([0.5, 1.5, 3.0, 8.0])
    numbers = summary(AngularDistances(total_deg, total_deg / 2, total_deg / 4), point_group("C1"))
    assert numbers.shares_below == (0.25, 0.5, 0.75)
    assert (numbers.count, numbers.median_deg, numbers.mean_deg, numbers.quartiles_deg) == (
        4,
        2.25,
        3.25,
        (1.25, 4.25),
    )
    assert (numbers.viewing_median_deg, numbers.in_plane_median_deg) == (1.125, 0.5625)


def test_chance_gives_the_median_that_theory_has_without_symmetry():
    """The angle of a random rotation has density (1 − cos a)/π: half lie below the root of a − sin
    a = π/2, 132.35°.
    """
    assert chance_median_deg(point_group("C1")) == pytest.approx(132.346, abs=0.6)
    assert chance_median_deg(point_group("D7")) == chance_median_deg(point_group("D7"))
