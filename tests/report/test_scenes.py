"""Maps in a page: what the page carries is the map, and a browser draws it."""

import base64
import gzip
import shutil

import gemmi
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from restore.io.residues import Residues, Stretch
from restore.maps.contour import Contour
from restore.report.document import asset
from restore.report.scene_figures import scenes_page
from restore.report.scenes import (
    SIDE,
    TOP,
    ShownMap,
    flat_view,
    pdb_text,
    residue_scene,
    scene_rows,
    surface_scene,
)


def ellipsoid(semi_axes_zyx=(6, 9, 12), sides_zyx=(40, 48, 56), voxel_A=2.0):
    """A map that falls from 1 in its middle to 0 on an ellipsoid, negative beyond."""
    grids = np.meshgrid(*(np.arange(side) - side // 2 for side in sides_zyx), indexing="ij")
    pairs = zip(grids, semi_axes_zyx, strict=True)
    radius = np.sqrt(sum((grid / axis) ** 2 for grid, axis in pairs))
    density = torch.from_numpy((1 - radius).astype(np.float32))
    return Contour(density, (voxel_A,) * 3, 0.0, 1000.0)


def steps_of(volume):
    """The steps as the page's script unpacks them: x slowest."""
    data = np.frombuffer(gzip.decompress(base64.b64decode(volume.steps)), np.int8)
    return data.reshape(volume.size_xyz)


def test_a_scene_carries_the_map_with_x_slowest_and_the_surface_at_zero():
    volume = surface_scene(ShownMap("map", (ellipsoid(),)), ellipsoid()).volume
    inside = steps_of(volume) > 0
    extents = [
        np.ptp(np.nonzero(inside.any(axis=other))[0]) + 1 for other in ((1, 2), (0, 2), (0, 1))
    ]
    assert extents == [23, 17, 11]
    assert steps_of(volume).max() == 127
    assert volume.voxel_xyz_A == (2.0, 2.0, 2.0)


def test_maps_keep_their_middle_so_that_they_stay_superimposed():
    contour = ellipsoid()
    moved = Contour(contour.density.roll(4, dims=2), contour.voxel_size_zyx_A, 0.0, 1000.0)
    steps = steps_of(surface_scene(ShownMap("moved", (moved,)), moved).volume)
    middle = (np.nonzero((steps > 0).any(axis=(1, 2)))[0].mean()) - (steps.shape[0] - 1) / 2
    assert middle == pytest.approx(4 + 0.5)  # the ellipsoid stands on voxel side / 2


def test_a_large_map_is_binned():
    contour = ellipsoid((68, 68, 68), (140, 140, 140))
    volume = surface_scene(ShownMap("large", (contour,)), contour).volume
    assert max(volume.size_xyz) <= 128
    assert volume.voxel_xyz_A == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("long_axis", [0, 1, 2])
def test_a_binned_map_is_closed_at_all_its_ends_and_keeps_its_middle(long_axis):
    sides, half = [24, 30, 33], [8.0, 10.0, 12.0]
    sides[long_axis], half[long_axis] = 310, 149.0
    grids = np.meshgrid(*(np.arange(side) - side // 2 for side in sides), indexing="ij")
    block = 1 - np.max([abs(grid) / axis for grid, axis in zip(grids, half, strict=True)], axis=0)
    contour = Contour(torch.from_numpy(block.astype(np.float32)), (1.0,) * 3, 0.0, 1000.0)
    volume = surface_scene(ShownMap("block", (contour,)), contour).volume
    inside = steps_of(volume).transpose(2, 1, 0) > 0
    assert max(inside.shape) <= 128 and volume.voxel_xyz_A == (3.0, 3.0, 3.0)
    for axis in range(3):
        assert not inside.take(0, axis).any() and not inside.take(-1, axis).any()
        positions = np.nonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))[0]
        assert len(positions) == pytest.approx((2 * half[axis] - 1) / 3, abs=1.1)
        assert positions.mean() == pytest.approx((inside.shape[axis] - 1) / 2, abs=0.51)


def test_noise_far_from_the_surface_takes_no_room_and_the_surface_stays():
    contour = ellipsoid()
    noise = torch.randn(contour.density.shape, generator=torch.Generator().manual_seed(1)) * 0.01
    noisy = Contour(contour.density + noise, contour.voxel_size_zyx_A, 0.3, 1000.0)
    volume = surface_scene(ShownMap("map", (noisy,)), noisy).volume
    steps = steps_of(volume).transpose(2, 1, 0)
    margins = [
        (side - kept) // 2 for side, kept in zip(noisy.density.shape, steps.shape, strict=True)
    ]
    cropped = noisy.density[
        tuple(slice(cut, cut + kept) for cut, kept in zip(margins, steps.shape, strict=True))
    ]
    height = (cropped - 0.3).numpy()
    expected = (height / height.max() * 127).clip(-127, 127).round()
    crossings = 0
    for axis in range(3):  # along every edge that crosses the level, both ends are as they were
        ends = [np.take(height, range(cut, height.shape[axis] - 1 + cut), axis) for cut in (0, 1)]
        crossed = (ends[0] > 0.5 / 127 * height.max()) != (ends[1] > 0.5 / 127 * height.max())
        for cut in (0, 1):
            ours, theirs = (
                np.take(array, range(cut, array.shape[axis] - 1 + cut), axis)[crossed]
                for array in (steps, expected)
            )
            assert (ours == theirs).all()
        crossings += crossed.sum()
    assert crossings > 500
    assert (np.abs(steps) == 127).mean() > 0.7


def row_of_atoms(count=6, chain="A"):
    position_A = np.stack(
        [np.arange(count) * 3.0 + 50, np.full(count, 48.0), np.full(count, 40.0)], 1
    )
    return Residues(
        Stretch(chain, 1, count), ("C",) * count, ("CA",) * count, ("ALA",) * count,
        tuple(range(1, count + 1)), position_A, np.array([[66.0, 54.0, 40.0]]),
    )  # fmt: skip


def test_residues_keep_their_places_in_the_density_around_them():
    residues = row_of_atoms()
    first_A = np.array([44.0, 40.0, 30.0])
    model = gemmi.read_pdb_string(pdb_text(residues, first_A))[0]
    atoms = [atom.pos.tolist() for chain in model for residue in chain for atom in residue]
    assert np.allclose(atoms, residues.position_A - first_A, atol=1e-3)


def test_density_far_from_the_residues_is_not_shown():
    residues = row_of_atoms()
    full = Contour(torch.ones(60, 60, 60), (1.0, 1.0, 1.0), 0.5, 1.0)
    scene = residue_scene(ShownMap("map", (full,), (20.0, 20.0, 20.0)), residues)
    steps = steps_of(scene.volume)
    atoms = gemmi.read_pdb_string(scene.atoms)[0]
    atoms_A = np.array([atom.pos.tolist() for residue in atoms[0] for atom in residue])
    places = np.argwhere(steps > 0)
    away = np.sqrt(((places[:, None] - atoms_A) ** 2).sum(-1)).min(1)
    assert len(places) > 100
    assert away.max() < 2.6


def test_views_turn_the_map_as_chimerax_does():
    assert np.allclose(Rotation.from_quat(TOP).apply([1, 2, 3]), [1, 2, 3])
    right, up = Rotation.from_quat(SIDE).apply([1, 0, 0]), Rotation.from_quat(SIDE).apply([0, 0, 1])
    assert np.allclose(right, [1, 0, 0])
    assert np.allclose(up, [0, 1, 0])


def test_the_flat_view_lays_the_longest_direction_across():
    position_A = np.random.default_rng(1).normal(size=(40, 3)) * [1, 5, 20]
    seen = Rotation.from_quat(flat_view(position_A)).apply(position_A - position_A.mean(0))
    assert seen.std(0) == pytest.approx(sorted(seen.std(0), reverse=True))
    assert seen[-1, 0] > seen[0, 0]


def test_a_title_cannot_break_the_page():
    page = scenes_page(scene_rows([ShownMap("</script><b>", (ellipsoid(),))]), "<i>", "&")
    assert "</script><b>" not in page
    assert "<i>" not in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_a_browser_draws_the_maps_without_a_network(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    shown = [ShownMap(name, (ellipsoid(),)) for name in ("raw", "denoised")]
    page = tmp_path / "view.html"
    page.write_text(scenes_page(scene_rows(shown), "Two maps", ""))
    errors = []
    with sync_api.sync_playwright() as program:
        browser = program.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        tab = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme="light")
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        tab.wait_for_selector("figure[data-ready=true]", timeout=30_000)
        sides = [tab.locator(".scene").nth(number).screenshot() for number in (0, 1)]
        tab.click("button[data-turn=top]")
        tab.wait_for_timeout(300)
        top = tab.locator(".scene").nth(0).screenshot()
        browser.close()
    assert not errors
    shares = [coloured_share(picture) for picture in (*sides, top)]
    # Seen from the side the ellipsoid is 12 × 6, from the top 12 × 9.
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    assert 0.02 < shares[0] < 0.8
    assert shares[2] / shares[0] == pytest.approx(9 / 6, rel=0.1)


def coloured_share(png):
    """The share of a picture that is coloured."""
    from io import BytesIO

    from PIL import Image

    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)
    return float((np.ptp(pixels, axis=-1) > 20).mean())


VOLUME = """([values, size, voxel]) => {
  const { points, triangles } = surfaceOf(values, size, voxel, 0.5);
  let volume = 0;
  for (let i = 0; i < triangles.length; i += 3) {
    const [p, q, r] = [points[triangles[i]], points[triangles[i + 1]], points[triangles[i + 2]]];
    volume += p[0] * (q[1] * r[2] - q[2] * r[1]) + p[1] * (q[2] * r[0] - q[0] * r[2])
      + p[2] * (q[0] * r[1] - q[1] * r[0]);
  }
  return volume / 6;
}"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_the_surface_encloses_the_volume_above_the_level_of_small_maps_too():
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    enclosed = {}
    with sync_api.sync_playwright() as program:
        browser = program.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page()
        tab.set_content("<p></p>")
        tab.add_script_tag(content=asset("surface.js"))
        for axes in ((3, 4, 5), (6, 9, 12)):
            contour = ellipsoid(axes, (32, 32, 40))
            volume = surface_scene(ShownMap("map", (contour,)), contour).volume
            values = steps_of(volume).flatten().tolist()
            volume_A3 = tab.evaluate(VOLUME, [values, volume.size_xyz, volume.voxel_xyz_A])
            enclosed[axes] = volume_A3 / (4 / 3 * np.pi * np.prod(axes) * 2.0**3)
        browser.close()
    assert 0.88 < enclosed[3, 4, 5] < 1.02 and 0.96 < enclosed[6, 9, 12] < 1.02
