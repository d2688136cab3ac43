"""Point groups and Euler angles, against identities and against RELION itself."""

import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from restore.io.particles import read_particles
from restore.particles.angles import angular_distances
from restore.symmetry import from_euler_deg, point_group

ORDERS = {
    "C1": 1,
    "C2": 2,
    "C5": 5,
    "D1": 2,
    "D2": 4,
    "D3": 6,
    "D7": 14,
    "DY7": 14,
    "T": 12,
    "O": 24,
} | dict.fromkeys(("I", "I1", "I2", "I3", "I4"), 60)
HEAD = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
_rlnImageSize #4
_rlnImageDimensionality #5
_rlnVoltage #6
_rlnSphericalAberration #7
_rlnAmplitudeContrast #8
1 one 1.0 64 2 300 2.7 0.1

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
_rlnOpticsGroup #7
"""


def apart(first, second):
    """The angle (degrees) from each of some rotations to the nearest of some others."""
    return np.degrees([(rotation.inv() * second).magnitude().min() for rotation in first])


def leaves(group, axis, angle_deg):
    """Whether the turn by this angle about this axis is in the group."""
    turn = Rotation.from_rotvec(np.radians(angle_deg) * np.array([axis]) / np.linalg.norm(axis))
    return apart(turn, group).max() < 1e-6


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_a_point_group_is_a_group_of_its_order(name, order):
    group = point_group(name)
    assert len(group) == order
    assert (
        len({tuple(row) for row in (group.as_matrix().reshape(-1, 9).round(6) + 0.0).tolist()})
        == order
    )
    for rotation in group:
        assert apart(rotation * group, group).max() < 1e-6


def test_the_axes_are_where_relion_has_them():
    assert leaves(point_group("C5"), [0, 0, 1], 72)
    assert leaves(point_group("D7"), [1, 0, 0], 180) and not leaves(
        point_group("D7"), [0, 1, 0], 180
    )
    assert leaves(point_group("DY7"), [0, 1, 0], 180) and not leaves(
        point_group("DY7"), [1, 0, 0], 180
    )
    assert leaves(point_group("T"), [0, 0, 1], 120) and leaves(point_group("O"), [0, 0, 1], 90)
    golden = (1 + 5**0.5) / 2
    assert leaves(point_group("I1"), [golden, 0, 1], 72) and leaves(
        point_group("I2"), [1, 0, golden], 72
    )
    for name in ("I3", "I4"):
        assert leaves(point_group(name), [0, 0, 1], 72) and leaves(
            point_group(name), [0, 1, 0], 180
        )
    assert not leaves(point_group("I3"), [2, 0, 1], 72) and leaves(point_group("I4"), [2, 0, 1], 72)


def test_names_of_groups_are_read_in_any_case():
    assert len(point_group(" d07 ")) == len(point_group("dy7")) == 14
    assert apart(point_group("i"), point_group("I2")).max() < 1e-9


@pytest.mark.parametrize(
    "name", ["", "C", "C0", "D0", "C-2", "C2.5", "I5", "T2", "C4V", "OH", "CI", "S4", "E8", "D1001"]
)
def test_a_group_that_is_none_of_rotations_is_refused_with_those_known(name):
    with pytest.raises(ValueError, match="those known are C1"):
        point_group(name)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_euler_angles_are_those_of_the_matrix_in_relions_definition(euler_deg):
    """RELION's matrix takes specimen axes into image axes (Heymann et al. 2005): it is the inverse
    of ours.
    """
    a, b, c = np.radians(euler_deg)
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    relion = [
        [cc * cb * ca - sc * sa, cc * cb * sa + sc * ca, -cc * sb],
        [-sc * cb * ca - cc * sa, -sc * cb * sa + cc * ca, sc * sb],
        [sb * ca, sb * sa, cb],
    ]
    assert np.allclose(
        from_euler_deg(np.array([euler_deg])).as_matrix()[0], np.transpose(relion), atol=1e-9
    )


@pytest.mark.skipif(
    not shutil.which("relion_particle_symmetry_expand"), reason="RELION is not installed"
)
@pytest.mark.parametrize(
    "name", [name for name in ORDERS if name not in ("C1", "DY7", "D1")] + ["d7"]
)
def test_every_copy_that_relion_makes_by_symmetry_expansion_is_at_distance_zero(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    angles = rng.uniform([-180, 0, -180], [180, 180, 180], (8, 3)).round(4)
    rows = "".join(
        f"{n}@a.mrcs {rot} {tilt} {psi} 0 0 1\n" for n, (rot, tilt, psi) in enumerate(angles, 1)
    )
    (tmp_path / "x.star").write_text(HEAD + rows)
    command = ["relion_particle_symmetry_expand", "--i", "x.star", "--o", "y.star", "--sym", name]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    original, copies = read_particles(tmp_path / "x.star"), read_particles(tmp_path / "y.star")
    group = point_group(name)
    assert len(copies) == len(original) * len(group)
    row = np.array([int(image_name.partition("@")[0]) - 1 for image_name in copies.image_names])
    assert (
        angular_distances(original.rotations_of(row), copies.rotations, group).total_deg.max()
        < 1e-3
    )
    assert (
        angular_distances(
            original.rotations_of(row), copies.rotations, point_group("C1")
        ).total_deg.max()
        > 30
    )
    mirrored = point_group({"I3": "I4", "I4": "I3", "I1": "I2"}.get(name, "I1"))
    if not name.upper().startswith(("C2", "D2", "T", "O")):
        assert (
            angular_distances(
                original.rotations_of(row), copies.rotations, mirrored
            ).total_deg.max()
            > 1
        )
