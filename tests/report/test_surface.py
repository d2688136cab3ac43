"""Shaded surfaces: shapes with known silhouettes, depths and shading, and the sense of every
direction.
"""

import gemmi
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from restore.io.images.maps import read_map, read_map_header
from restore.report.frame import VIEWS, Frame
from restore.report.rays import Solid, first_hits
from restore.report.shading import as_bytes, shaded
from restore.report.surface import middle_frame, surface_picture

VOXEL_A = 2.0


def solid(density, level=0.0, voxel_zyx_A=(VOXEL_A,) * 3):
    return Solid(torch.as_tensor(density, dtype=torch.float32), voxel_zyx_A, level)


def places_A(side, voxel_zyx_A=(VOXEL_A,) * 3):
    """x, y and z of every voxel from the middle of the box."""
    middle = (side - 1) / 2
    z, y, x = ((np.arange(side) - middle) * each for each in voxel_zyx_A)
    return x[None, None, :], y[None, :, None], z[:, None, None]


def ball(side, radius_A, centre_A=(0, 0, 0), voxel_zyx_A=(VOXEL_A,) * 3):
    x, y, z = places_A(side, voxel_zyx_A)
    return radius_A - np.sqrt(
        (x - centre_A[0]) ** 2 + (y - centre_A[1]) ** 2 + (z - centre_A[2]) ** 2
    )


def frame(view="top", extent_A=64.0, side_px=128, side=32):
    return middle_frame(solid(np.zeros((side,) * 3)), side_px, extent_A, view)


@pytest.mark.parametrize("voxel_zyx_A", [(2.0, 2.0, 2.0), (2.5, 2.0, 1.6)])
@pytest.mark.parametrize(
    "view", ["top", "side", Rotation.random(rng=1).as_matrix()], ids=["top", "side", "turned"]
)
def test_a_ball_is_a_disc_and_bulges_as_a_ball_does(view, voxel_zyx_A):
    shape = solid(ball(32, 20.0, voxel_zyx_A=voxel_zyx_A), voxel_zyx_A=voxel_zyx_A)
    hits, seen = first_hits(shape, middle_frame(shape, 128, 64.0, view)), frame()
    radius_A = np.hypot(seen.right_A[None], seen.up_A[:, None])
    disc_A = np.sqrt(hits.there.sum() * seen.pixel_size_A**2 / np.pi)
    assert disc_A == pytest.approx(20.0, abs=0.1)
    inner = radius_A < 17
    np.testing.assert_allclose(hits.depth_A[inner], np.sqrt(400 - radius_A[inner] ** 2), atol=0.12)
    right, up = np.broadcast_arrays(seen.right_A[None], seen.up_A[:, None])
    np.testing.assert_allclose(hits.normal[inner, 0], right[inner] / 20, atol=0.03)
    np.testing.assert_allclose(hits.normal[inner, 1], up[inner] / 20, atol=0.03)


def test_a_cylinder_is_a_disc_from_the_top_and_a_rectangle_from_the_side():
    x, y, z = places_A(32)
    shape = solid(np.minimum(15 - np.hypot(x, y), 24 - np.abs(z)))
    area_A2 = {
        view: first_hits(shape, frame(view)).there.sum() * frame().pixel_size_A ** 2
        for view in ("top", "side", "right")
    }
    assert area_A2["top"] == pytest.approx(np.pi * 15**2, rel=0.02)
    assert area_A2["side"] == pytest.approx(30 * 48, rel=0.02) and area_A2[
        "right"
    ] == pytest.approx(30 * 48, rel=0.02)
    rows, columns = first_hits(shape, frame("side")).there.nonzero()
    assert np.ptp(rows) > 1.5 * np.ptp(columns)


def test_every_ray_ends_where_dense_sampling_says():
    generator = np.random.default_rng(0)
    density = gaussian_filter(generator.standard_normal((24, 24, 24)), 2.0)
    level = float(np.quantile(density, 0.9))
    axes = Rotation.random(rng=5).as_matrix()
    view = Frame(axes, np.full(3, 23.0), (40, 50), 0.9)
    hits = first_hits(solid(density, level), view)
    toward_A = np.arange(45, -45, -0.05)
    right, up, toward = np.meshgrid(view.right_A, view.up_A, toward_A, indexing="xy")
    index = (np.stack([right, up, toward], -1) @ axes + 23.0) / VOXEL_A
    inside = (
        map_coordinates(density - level, np.moveaxis(index, -1, 0)[::-1], order=1, cval=-1.0) > 0
    )
    brute_A = np.where(inside.any(-1), toward_A[inside.argmax(-1)], np.nan)
    same = ~np.isnan(brute_A) & hits.there
    assert same.mean() > 0.3
    assert hits.there[
        0.05 * inside.sum(-1) > VOXEL_A
    ].all()  # what is thinner than a step may be passed by
    assert (hits.there & np.isnan(brute_A)).mean() < 0.005
    assert (np.abs(hits.depth_A - brute_A)[same] < 0.06).mean() > 0.95


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_turned_and_not_mirrored(view):
    axes = np.array(VIEWS[view], float)
    np.testing.assert_array_equal(axes @ axes.T, np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1)


# where a ball at +x, one at +y and one at +z appear: -1 left of or below the middle, 1 right of or
# above it
CORNERS = {
    "top": ((1, 0), (0, 1), (0, 0)),
    "side": ((1, 0), (0, 0), (0, 1)),
    "right": ((0, 0), (1, 0), (0, 1)),
    "bottom": ((1, 0), (0, -1), (0, 0)),
}
NEAREST = {"top": (0, 0, 1), "side": (0, -1, 0), "right": (1, 0, 0), "bottom": (0, 0, -1)}


@pytest.mark.parametrize("view", VIEWS)
def test_x_y_and_z_point_where_the_view_says(view):
    for axis, expected in enumerate(CORNERS[view]):
        centre = np.eye(3)[axis] * 18
        hits = first_hits(solid(ball(32, 6.0, centre)), frame(view))
        rows, columns = hits.there.nonzero()
        found_A = frame(view).right_A[columns].mean(), frame(view).up_A[rows].mean()
        np.testing.assert_allclose(found_A, 18 * np.array(expected), atol=0.2)
    near = first_hits(solid(ball(32, 6.0, 18 * np.array(NEAREST[view]))), frame(view))
    assert np.nanmax(near.depth_A) == pytest.approx(24, abs=0.3)


def test_what_is_nearer_hides_what_is_behind():
    shape = np.maximum(ball(32, 8.0, (0, 0, 15)), ball(32, 12.0, (0, 0, -12)))
    middle = (
        first_hits(solid(shape), frame("top")).depth_A[64, 64],
        first_hits(solid(shape), frame("bottom")).depth_A[64, 64],
    )
    assert middle == pytest.approx((23, 24), abs=0.2)


def share_alike(one_A, other_A):
    """The share of pixels that agree; a ray that grazes a surface may go either way."""
    return np.isclose(one_A, other_A, atol=0.01, equal_nan=True).mean()


def test_a_mirrored_volume_gives_a_mirrored_picture():
    density = gaussian_filter(np.random.default_rng(3).standard_normal((32, 32, 32)), 2.5)
    plain, mirrored = (
        first_hits(solid(each, 0.05), frame("top"))
        for each in (density, np.ascontiguousarray(density[:, :, ::-1]))
    )
    assert share_alike(mirrored.depth_A[:, ::-1], plain.depth_A) > 0.995
    turned = first_hits(
        solid(np.rot90(density, 1, (1, 2)).copy(), 0.05), frame("top")
    )  # y to x: clockwise with y up
    assert share_alike(np.rot90(turned.depth_A, 1), plain.depth_A) > 0.995
    assert share_alike(np.rot90(turned.depth_A, -1), plain.depth_A) < 0.5


def test_from_behind_the_far_side_is_seen_in_the_same_pixels():
    shape, view = solid(ball(32, 12.0, (10, 5, 6))), frame("top")
    front, back = first_hits(shape, view), first_hits(shape, view.from_behind())
    assert (front.there != back.there).mean() < 1e-3
    both = front.there & back.there
    assert np.nanmax(front.depth_A[both] + back.depth_A[both]) == pytest.approx(24, abs=0.3)
    assert np.nanmax(-back.depth_A[both]) < 6.5


def test_light_comes_from_the_upper_left_and_hollows_are_dark():
    hits = first_hits(solid(ball(32, 24.0)), frame())
    grey = shaded(hits, (0.5, 0.5, 0.5), frame().pixel_size_A).mean(-1)
    row, column = np.unravel_index(np.where(hits.there, grey, 0).argmax(), grey.shape)
    assert row < 62 and column < 62
    assert grey[40, 40] > grey[88, 88] and grey[40, 40] > grey[88, 40] > grey[88, 88]


def test_the_bottom_of_a_hole_is_darker_than_open_ground():
    x, y, z = places_A(32)
    ground = 3 - np.abs(z + 20) + 0 * x + 0 * y
    lid = np.minimum(6 - np.abs(z), np.hypot(x, y) - 4) + 0 * x
    lamp = ball(
        32, 6.0, (-24, 24, 0)
    )  # as near to the viewer as the lid, so that distance fades both scenes alike
    with_lid, open_ground = (
        shaded(
            first_hits(solid(np.maximum(ground, each)), frame(side_px=384)), (0.5, 0.5, 0.5), 1 / 6
        ).mean(-1)
        for each in (lid, lamp)
    )
    assert with_lid[192, 192] < open_ground[192, 192] - 0.05


def test_the_picture_is_white_around_and_has_no_steps():
    picture = surface_picture(solid(ball(32, 20.0)), frame(), (0.2, 0.4, 0.8))
    assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8
    assert (picture[:5] == 255).all() and picture[64, 64, 2] > picture[64, 64, 0]
    red, lit = picture[..., 0].astype(int), picture[64, 64, 0]
    assert ((red > lit + 40) & (red < 240)).sum() > 60  # pixels that the edge crosses


def test_a_picture_of_nothing_is_white():
    hits = first_hits(solid(ball(32, 5.0, (0, 0, 0)), level=5.5), frame())
    assert not hits.there.any()
    assert (as_bytes(shaded(hits, (0.1, 0.1, 0.1), 1.0)) == 255).all()


def test_a_surface_cut_by_the_box_ends_there():
    density = np.ones((16, 16, 16))
    hits = first_hits(solid(density), Frame(np.eye(3), np.full(3, 15.0), (40, 40), 1.0))
    assert hits.there.sum() == pytest.approx(30**2, rel=0.05)
    assert np.nanmax(hits.depth_A) == pytest.approx(15, abs=0.5)


def test_a_map_that_gemmi_wrote_shows_atoms_where_gemmi_has_them(tmp_path):
    places = np.array([[12.0, 20.0, 30.0], [34.0, 12.0, 16.0], [24.0, 36.0, 10.0]])
    calculator = gemmi.DensityCalculatorE()
    calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
    calculator.grid.set_unit_cell(gemmi.UnitCell(48, 48, 48, 90, 90, 90))
    calculator.grid.set_size(32, 32, 32)
    calculator.blur = 60.0
    for place in places:
        atom = gemmi.Atom()
        atom.element, atom.pos, atom.occ = gemmi.Element("C"), gemmi.Position(*place), 1.0
        calculator.add_atom_density_to_grid(atom)
    written = gemmi.Ccp4Map()
    written.grid = calculator.grid
    written.update_ccp4_header(2)
    written.write_ccp4_map(str(tmp_path / "atoms.mrc"))
    header = read_map_header(tmp_path / "atoms.mrc", "volume")
    density = torch.from_numpy(read_map(header))[0]
    shape = Solid(density, header.voxel_size_zyx_A, 0.3 * float(density.max()))
    for view, (across, upward) in {"top": (0, 1), "side": (0, 2), "right": (1, 2)}.items():
        seen = middle_frame(shape, 96, 48.0, view)
        there = first_hits(shape, seen).there
        for place in places:
            away_A = np.hypot(
                seen.right_A[None] - (place[across] - seen.centre_A[across]),
                seen.up_A[:, None] - (place[upward] - seen.centre_A[upward]),
            )
            assert there[away_A < 0.5].all()
        assert there.mean() < 0.1
