"""The specimen: symmetry, projections, orientations, models and maps."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import torch
from folders import SHARED
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch_fourier_slice import project_3d_to_2d

from restore.errors import UserError
from restore.simulation.phantom import barrel_atoms
from restore.simulation.specimen import (
    PROTEIN_ABOVE_WATER_V,
    Specimen,
    barrel_phantom,
    from_map,
    from_model,
    load_specimen,
    project,
    relion_rotations,
    transform,
)

STRUCTURES = SHARED / "structures"


@pytest.fixture(scope="module")
def barrel() -> Specimen:
    return barrel_phantom(3.0)


def correlation(a, b) -> float:
    return float(np.corrcoef(np.asarray(a).ravel(), np.asarray(b).ravel())[0, 1])


def turned(barrel: Specimen, *euler_deg: float):
    return project(barrel, relion_rotations(np.array([euler_deg], dtype=float)))[0]


def test_the_barrel_is_sevenfold_about_z_and_not_fourteenfold(barrel):
    side, seventh = turned(barrel, 0, 90, 0), turned(barrel, 360 / 7, 90, 0)
    assert correlation(side, seventh) > 0.998
    assert correlation(turned(barrel, 10, 70, 0), turned(barrel, 10 + 720 / 7, 70, 0)) > 0.998
    assert correlation(turned(barrel, 0, 90, 0), turned(barrel, 360 / 14, 90, 0)) < 0.99


def test_the_barrels_atoms_fall_on_themselves_under_each_rotation_of_d7():
    place_A = barrel_atoms().position_A
    tree = cKDTree(place_A)
    for rotation in (
        Rotation.from_euler("z", 360 / 7, degrees=True),
        Rotation.from_euler("x", 180, degrees=True),
    ):
        assert tree.query(rotation.apply(place_A))[0].max() < 1e-6
    assert tree.query(Rotation.from_euler("y", 180, degrees=True).apply(place_A))[0].max() > 1


def test_the_barrel_has_a_twofold_axis_along_x_and_a_hand(barrel):
    density = barrel.density
    about_x = np.roll(density[::-1, ::-1, :], (1, 1), (0, 1))
    mirrored = np.roll(density[::-1], 1, 0)
    assert correlation(about_x, density) > 0.9999
    assert correlation(mirrored, density) < 0.9


def test_the_barrel_is_as_tall_and_wide_as_a_proteasome_and_hollow(barrel):
    middle = len(barrel.density) // 2
    occupied = barrel.density > 3.0
    z, y, x = np.nonzero(occupied)
    assert np.ptp(z) * 3.0 == pytest.approx(152, abs=8)
    assert np.ptp(y) * 3.0 == pytest.approx(117, abs=8)
    assert np.ptp(x) * 3.0 == pytest.approx(117, abs=8)
    chamber = barrel.density[
        middle - 10 : middle + 10, middle - 4 : middle + 5, middle - 4 : middle + 5
    ]
    assert abs(chamber).max() < 0.1 * barrel.density.max()


def test_the_barrel_has_as_much_contrast_as_protein_of_its_size(barrel):
    volt_A3 = barrel.density.sum() * 3.0**3
    volume_A3 = 17.0 * 42_000
    assert 1.5 < volt_A3 / volume_A3 < 4.0


def test_projections_are_those_of_torch_fourier_slice_with_twice_the_padding(barrel):
    rotations = relion_rotations(
        np.array([[12.0, 34.0, 56.0], [-100.0, 77.0, 5.0], [0.0, 0.0, 0.0]])
    )
    reference = project_3d_to_2d(torch.from_numpy(barrel.density), rotations) * barrel.pixel_size_A
    assert correlation(project(barrel, rotations), reference) > 0.998
    assert torch.allclose(project(transform(barrel), rotations), project(barrel, rotations))


def test_a_projection_without_rotation_is_the_sum_along_z(barrel):
    expected = barrel.density.sum(0) * barrel.pixel_size_A
    assert correlation(turned(barrel, 0, 0, 0), expected) > 0.999


@pytest.mark.skipif(
    shutil.which("relion_project") is None, reason="relion_project is not installed"
)
def test_euler_angles_are_those_of_relion(tmp_path):
    rng = np.random.default_rng(3)
    d, spots = 48, 12
    z, y, x = np.indices((d, d, d)) - d // 2
    density = np.zeros((d, d, d), np.float32)
    for cz, cy, cx in rng.uniform(-9, 9, (spots, 3)):
        density += np.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / 8).astype(np.float32)
    lump = Specimen(density, 2.0, 60.0, "spots")
    with mrcfile.new(tmp_path / "spots.mrc") as file:
        file.set_data(density)
        file.voxel_size = 2.0
    for angles in ((0.0, 0.0, 0.0), (40.0, 0.0, 0.0), (20.0, 65.0, 0.0), (-130.0, 100.0, 50.0)):
        command = ["relion_project", "--i", "spots.mrc", "--o", "out.mrc", "--angpix", "2"]
        for name, angle in zip(("--rot", "--tilt", "--psi"), angles, strict=True):
            command += [name, str(angle)]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        theirs = mrcfile.read(tmp_path / "out.mrc")
        assert correlation(turned(lump, *angles), theirs) > 0.99, angles


@pytest.mark.skipif(not STRUCTURES.is_dir(), reason=f"{STRUCTURES} is not there")
def test_a_deposited_model_weighs_as_much_as_its_atoms_and_is_centred():
    apoferritin = from_model(STRUCTURES / "6z6u_apoferritin.pdb", 3.0)
    density = apoferritin.density
    weights = np.clip(density, 0, None)
    d = len(density)
    centre = [
        np.average(np.arange(d), weights=weights.sum(tuple({0, 1, 2} - {axis})))
        for axis in range(3)
    ]
    assert centre == pytest.approx([d // 2] * 3, abs=0.3)
    shell = np.hypot(*(np.indices((d, d))[n] - d // 2 for n in range(2))) * 3.0
    assert (
        density[d // 2][shell < 30].mean()
        < 0.2 * density[d // 2][(shell > 42) & (shell < 58)].mean()
    )


def test_a_small_model_is_read_as_pdb_and_as_mmcif_alike(tmp_path):
    import gemmi

    lines = [
        f"ATOM  {n:5d}  CA  ALA A{n:4d}    {5.0 * n:8.3f}{2.0 * (n % 3):8.3f}{0.0:8.3f}  1.00 "
        "20.00           C"
        for n in range(1, 9)
    ]
    (tmp_path / "chain.pdb").write_text("\n".join([*lines, "END", ""]))
    structure = gemmi.read_structure(str(tmp_path / "chain.pdb"))
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(tmp_path / "chain.cif"))
    one, two = (load_specimen(str(tmp_path / name), 2.0) for name in ("chain.pdb", "chain.cif"))
    np.testing.assert_allclose(one.density, two.density, atol=1e-4)
    total = float(one.density.sum()) * 2.0**3
    assert total == pytest.approx(8 * (2.5088 * 47.878 - 4.57 * 17.0), rel=0.01)


def test_a_map_survives_a_change_of_pixel_size(tmp_path, barrel):
    with mrcfile.new(tmp_path / "barrel.mrc") as file:
        file.set_data(barrel.density[10:-10, 10:-8, 10:-12])
        file.voxel_size = 3.0
    loaded = from_map(tmp_path / "barrel.mrc", 4.0)
    assert (
        loaded.pixel_size_A == 4.0
        and len(set(loaded.density.shape)) == 1
        and len(loaded.density) % 2 == 0
    )
    # Cutting the box unevenly moved the centre by 1 voxel in y and 0 in x; compare as projections
    # of known shift.
    coarse = barrel_phantom(4.0)
    ours, theirs = (np.fft.rfftn(density) for density in fitted(loaded.density, coarse.density))
    k = np.sqrt(
        sum(
            f**2
            for f in np.meshgrid(
                *[np.fft.fftfreq(len(fitted(loaded.density, coarse.density)[0]))] * 3
            )
        )
    )
    low = k[..., : ours.shape[-1]] < 0.35
    assert correlation(abs(ours)[low], abs(theirs)[low]) > 0.99


def fitted(a, b):
    side = min(len(a), len(b))
    return tuple(
        volume[tuple(slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n in volume.shape)]
        for volume in (a, b)
    )


def test_a_map_of_any_scale_gets_the_contrast_of_protein(tmp_path, barrel):
    for name, scale, offset in (("one.mrc", 1.0, 0.0), ("two.mrc", 0.01, 7.0)):
        with mrcfile.new(tmp_path / name) as file:
            file.set_data((barrel.density * scale + offset).astype(np.float32))
            file.voxel_size = 3.0
    one, two = (from_map(tmp_path / name, 3.0).density for name in ("one.mrc", "two.mrc"))
    np.testing.assert_allclose(one, two, atol=0.02)
    assert one[one > one.mean() + 2 * one.std()].mean() == pytest.approx(
        PROTEIN_ABOVE_WATER_V, rel=0.1
    )


@pytest.mark.parametrize(
    "name",
    ["missing.pdb", "missing.cif", "missing.mrc", "garbage.pdb", "garbage.cif", "garbage.mrc"],
)
def test_a_missing_or_garbage_specimen_is_named(tmp_path, name):
    if name.startswith("garbage"):
        (tmp_path / name).write_bytes(b"this is not a molecule\n" * 100)
    with pytest.raises(UserError, match=name):
        load_specimen(str(tmp_path / name), 2.0)


def test_a_specimen_of_unknown_kind_says_what_is_known():
    with pytest.raises(UserError, match=r'"spindle".*barrel.*PDB'):
        load_specimen("spindle", 2.0)


def test_a_map_without_voxel_size_or_with_nan_is_refused(tmp_path):
    density = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    with mrcfile.new(tmp_path / "bare.mrc") as file:
        file.set_data(density)
    with pytest.raises(UserError, match="voxel size"):
        from_map(tmp_path / "bare.mrc", 2.0)
    with mrcfile.new(tmp_path / "nan.mrc") as file:
        file.set_data(density)
        file.voxel_size = 2.0
        file.data[3, 3, 3] = np.nan
    with pytest.raises(UserError, match=r"nan\.mrc: 1 of its voxels are NaN"):
        from_map(tmp_path / "nan.mrc", 2.0)


def test_a_map_whose_voxels_are_no_cubes_is_refused_with_all_three_sizes(tmp_path):
    density = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    for name, size_A in (("flat.mrc", (2.0, 2.01, 2.5)), ("cubic.mrc", (2.0, 2.001, 2.0))):
        with mrcfile.new(tmp_path / name) as file:
            file.set_data(density)
            file.voxel_size = size_A
    with pytest.raises(UserError, match=r"flat\.mrc: its voxels measure 2 x 2\.01 x 2\.5 Å"):
        from_map(tmp_path / "flat.mrc", 2.0)
    assert from_map(tmp_path / "cubic.mrc", 2.0).pixel_size_A == 2.0


def test_a_specimen_too_large_for_its_pixel_size_is_refused(tmp_path):
    lines = [
        f"ATOM  {n:5d}  CA  ALA A{n:4d}    {900.0 * n:8.3f}{0.0:8.3f}{0.0:8.3f}  1.00 20.00       "
        "    C"
        for n in (1, 2)
    ]
    (tmp_path / "far.pdb").write_text("\n".join([*lines, "END", ""]))
    with pytest.raises(UserError, match="larger pixel size"):
        from_model(tmp_path / "far.pdb", 1.0)
