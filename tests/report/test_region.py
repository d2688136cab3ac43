"""Residues as sticks in their density: bonds, depths, the view, and which density is theirs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from small_model import write_density, write_model

from restore.io.images.maps import read_map, read_map_header
from restore.io.residues import Stretch, read_residues
from restore.report.frame import Frame
from restore.report.rays import Solid
from restore.report.region import ZONE_A, region_frame, region_picture
from restore.report.sticks import CARBON, RADIUS_A, Stick, bonds, stick_hits, sticks
from restore.report.surface import BLUE

NOWHERE_A = np.zeros(3)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The helix of the small model and its density."""
    folder = tmp_path_factory.mktemp("region")
    model = write_model(folder / "model.pdb")
    header = read_map_header(write_density(folder / "map.mrc", model), "volume")
    density = torch.from_numpy(read_map(header))[0]
    (residues,) = read_residues(model, [Stretch("A", 6, 14)])
    return Solid(density, header.voxel_size_zyx_A, 0.25 * float(density.max())), residues


def view(pixels=80, pixel_size_A=0.06):
    return Frame(np.eye(3), NOWHERE_A, (pixels, pixels), pixel_size_A)


# Sticks


def test_bonds_are_pairs_less_than_1_9_A_apart():
    places = np.array([[0, 0, 0], [1.5, 0, 0], [1.5, 1.89, 0], [1.5, 0, 1.91]])
    assert {tuple(sorted(pair)) for pair in bonds(places).tolist()} == {(0, 1), (1, 2)}
    assert bonds(places[:1]).shape == (0, 2)


@pytest.mark.parametrize(
    "end", [(2.0, 0.3, 0.0), (1.0, -1.5, 1.2), (0.1, 0.05, -1.5), (0, 0, 2.0), (-1.2, 1.2, -0.4)]
)
def test_a_stick_is_the_front_of_all_balls_along_it(end):
    start, end = np.array([-0.5, 0.2, 0.1]), np.array(end, float)
    hits, colour = stick_hits([Stick(start, end, (0.1, 0.2, 0.3))], view())
    right, up = view().right_A[None, :, None], view().up_A[:, None, None]
    along = start + np.linspace(0, 1, 1001)[:, None] * (end - start)
    inside = RADIUS_A**2 - (right - along[:, 0]) ** 2 - (up - along[:, 1]) ** 2
    brute_A = np.where(inside > 0, along[:, 2] + np.sqrt(inside.clip(0)), -np.inf).max(-1)
    there = np.isfinite(brute_A)
    assert (there == hits.there).mean() > 0.999 and there.sum() > 10
    both = there & hits.there
    np.testing.assert_allclose(hits.depth_A[both], brute_A[both], atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(hits.normal[both], axis=-1), 1, atol=1e-3)
    assert np.allclose(colour[hits.there], (0.1, 0.2, 0.3)) and (colour[~hits.there] == 1).all()


def test_the_nearer_of_two_sticks_is_seen():
    low = Stick(np.array([-2.0, 0, 0]), np.array([2.0, 0, 0]), (1, 0, 0))
    high = Stick(np.array([0, -2.0, 1]), np.array([0, 2.0, 1]), (0, 0, 1))
    for drawn in ([low, high], [high, low]):
        _, colour = stick_hits(drawn, view())
        assert tuple(colour[40, 40]) == (0, 0, 1) and tuple(colour[40, 60]) == (1, 0, 0)


def test_each_half_of_a_bond_has_the_colour_of_its_atom():
    drawn = sticks(("C", "O"), np.array([[0, 0, 0], [1.2, 0, 0.0]]))
    assert [each.colour for each in drawn] == [CARBON, (0.93, 0.16, 0.12)]
    assert [tuple(each.end_A) for each in drawn] == [(0.6, 0, 0)] * 2


# The view


@pytest.mark.parametrize("seed", range(5))
def test_the_view_shows_atoms_at_their_widest_and_unmirrored(seed):
    flat = np.random.default_rng(seed).standard_normal((60, 3)) * (9, 4, 1.5)
    turn = Rotation.random(rng=seed).as_matrix()
    position_A = flat @ turn.T + 40
    frame = region_frame(position_A, 600, 500)
    np.testing.assert_allclose(np.abs(frame.axes @ turn), np.eye(3), atol=0.25)
    assert np.linalg.det(frame.axes) == pytest.approx(1)
    seen = frame.seen(position_A)
    assert seen[-1, 0] > seen[0, 0] and frame.axes[1, 2] >= 0
    low, high = seen.min(0) - ZONE_A, seen.max(0) + ZONE_A
    assert frame.right_A[0] < low[0] and high[0] < frame.right_A[-1]
    assert frame.up_A[-1] < low[1] and high[1] < frame.up_A[0]
    np.testing.assert_allclose(low + high, 0, atol=1e-6)


# The picture


def is_near(pixel, colour, within):
    return np.abs(pixel.astype(int) - 255 * np.array(colour)).max() < within


def test_atoms_are_seen_where_the_frame_puts_them_in_density(world):
    solid, residues = world
    frame = region_frame(residues.position_A, 240, 240)
    picture = region_picture(solid, residues, NOWHERE_A, frame, BLUE)
    assert picture.shape == (*frame.shape, 3)
    seen = frame.seen(residues.position_A)
    drawn = (picture != 255).any(-1)
    rows, columns = (
        np.abs(axis[:, None] - each).argmin(0)
        for axis, each in ((frame.up_A, seen[:, 1]), (frame.right_A, seen[:, 0]))
    )
    assert drawn[rows, columns].all()
    front = np.array([name == "O" for name in residues.atom_names]) & (seen[:, 2] > 1)
    assert front.any()
    for row, column in zip(rows[front], columns[front], strict=True):
        red, green, blue = picture[row, column].astype(int)
        assert red > green + 30 and red > blue + 30
    away_A = np.hypot(
        frame.right_A[None, :, None] - seen[:, 0], frame.up_A[:, None, None] - seen[:, 1]
    ).min(-1)
    assert not drawn[away_A > ZONE_A + 0.2].any()


def test_a_map_that_begins_elsewhere_gives_the_same_picture(world):
    solid, residues = world
    part = replace(solid, density=solid.density[10:, 15:, 5:].clone())
    origin_A = np.array([5.0, 15.0, 10.0])
    frame = region_frame(residues.position_A, 160, 160)
    there = replace(frame, centre_A=frame.centre_A - origin_A)
    plain, shifted = (
        region_picture(solid, residues, NOWHERE_A, frame, BLUE),
        region_picture(part, residues, origin_A, there, BLUE),
    )
    assert (np.abs(plain.astype(int) - shifted.astype(int)).max(-1) > 6).mean() < 5e-3
    wrong = region_picture(
        part, residues, origin_A + 3.0, replace(there, centre_A=there.centre_A - 3.0), BLUE
    )
    assert (np.abs(plain.astype(int) - wrong.astype(int)).max(-1) > 6).mean() > 0.02


def test_density_of_other_atoms_and_pieces_without_atoms_are_not_drawn(world):
    solid, residues = world
    frame = region_frame(residues.position_A, 160, 160)
    plain = region_picture(solid, residues, NOWHERE_A, frame, BLUE)
    alone = region_picture(
        solid, replace(residues, around_A=np.zeros((0, 3))), NOWHERE_A, frame, BLUE
    )
    assert (alone != 255).any(-1).sum() > (plain != 255).any(
        -1
    ).sum()  # beyond its ends the helix goes on
    empty = replace(solid, density=torch.zeros_like(solid.density))
    bare = region_picture(empty, residues, NOWHERE_A, frame, BLUE)
    crumb = empty.density.clone()
    x, y, z = np.round(residues.position_A[12] + ZONE_A * frame.axes[1] * 0.85).astype(int)
    crumb[z, y, x] = 1.2 * solid.level
    assert (
        bare == region_picture(replace(empty, density=crumb), residues, NOWHERE_A, frame, BLUE)
    ).mean() > 0.99
    assert (bare == plain).mean() < 0.9


def test_density_in_front_of_a_stick_veils_it(world):
    solid, residues = world
    frame = region_frame(residues.position_A, 160, 160)
    bare = region_picture(replace(solid, level=1e9), residues, NOWHERE_A, frame, BLUE)
    veiled = region_picture(solid, residues, NOWHERE_A, frame, BLUE)
    rods = (bare != 255).any(-1)
    redness = [
        picture[rods].astype(int)[:, 0] - picture[rods].astype(int)[:, 2]
        for picture in (bare, veiled)
    ]
    assert redness[1].mean() < redness[0].mean() - 10
