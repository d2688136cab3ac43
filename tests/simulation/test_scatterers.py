"""Clouds of points: their projections against those of volumes, sums, assemblies."""

import gemmi
import numpy as np
import pytest
import torch

from restore.maps.potential import VOLT_A3_PER_SCATTERING_A
from restore.simulation.assemblies import (
    about_z,
    broken,
    clustered,
    random_rotation,
    read_particle,
    ring_of,
)
from restore.simulation.extended import (
    LIPID_AREA_A2,
    Helix,
    filament,
    lattice_places,
    membrane_protein_sites,
    vesicle,
)
from restore.simulation.phantom import barrel_atoms
from restore.simulation.scatterers import (
    Scatterers,
    joined,
    projected_potential,
    scatterers_of_atoms,
    scattering_shape,
)
from restore.simulation.specimen import (
    VOLUME_PER_ATOM_A3,
    WATER_V,
    barrel_phantom,
    project,
    relion_rotations,
)


def image_of(clouds, side, pixel_A):
    """The projection with the origin in the middle of the image, as `project` has it."""
    middle = np.array([side // 2 * pixel_A, side // 2 * pixel_A, 0.0])
    shifted = [cloud.moved(np.eye(3), middle) for cloud in clouds]
    spectrum = projected_potential(shifted, (side, side), pixel_A)
    return torch.fft.irfft2(spectrum, s=(side, side))


def asymmetric_cloud(seed=0, number=300):
    rng = np.random.default_rng(seed)
    place = rng.normal(0, 15, (number, 3)).astype(np.float32) * [2.0, 1.0, 0.5]
    return Scatterers(
        place.astype(np.float32), np.full(number, 2.0, np.float32), np.ones(number, np.float32)
    )


def test_a_cloud_projects_like_the_volume_of_the_same_atoms():
    pixel_A = 2.5
    volume = barrel_phantom(pixel_A)
    side = len(volume.density)
    euler_deg = np.array([[30.0, 70.0, 10.0]])
    expected = project(volume, relion_rotations(euler_deg))[0]
    # `relion_rotations` turns the image's axes into the specimen's: atoms turn the other way.
    rotation = relion_rotations(euler_deg)[0].numpy().T
    cloud = scatterers_of_atoms(barrel_atoms()).centred().moved(rotation, np.zeros(3))
    ours = image_of([cloud], side, pixel_A)
    k = torch.hypot(torch.fft.fftfreq(side, pixel_A)[:, None], torch.fft.rfftfreq(side, pixel_A))
    inside = k < 1 / 7  # the volume has a soft edge from three quarters of Nyquist on
    first, second = (torch.fft.rfft2(image)[inside] for image in (expected, ours))
    correlation = (first * second.conj()).real.sum() / (first.norm() * second.norm())
    assert correlation > 0.995
    assert second.norm() / first.norm() == pytest.approx(1, abs=0.03)


def test_the_sum_of_a_projection_is_that_of_the_scattering_lengths_less_the_water():
    cloud = asymmetric_cloud()
    pixel_A = 3.0
    total_V_A3 = float(projected_potential([cloud], (64, 80), pixel_A)[0, 0].real) * pixel_A**2
    expected = 300 * (2.0 * VOLT_A3_PER_SCATTERING_A - WATER_V * VOLUME_PER_ATOM_A3)
    assert total_V_A3 == pytest.approx(expected, rel=1e-4)


def test_a_point_may_lie_between_pixels():
    point = Scatterers(
        np.zeros((1, 3), np.float32), np.ones(1, np.float32), np.zeros(1, np.float32)
    )
    shift_A = np.array([1.3, 0.4, 50.0])
    here, there = (
        projected_potential([cloud], (64, 64), 3.0)
        for cloud in (point, point.moved(np.eye(3), shift_A))
    )
    ky, kx = torch.fft.fftfreq(64, 3.0)[:, None], torch.fft.rfftfreq(64, 3.0)
    phase = torch.exp(-2j * torch.pi * (ky * shift_A[1] + kx * shift_A[0]))
    inside = torch.hypot(*torch.broadcast_tensors(ky, kx)) < 0.5 / 6
    difference = (there - here * phase)[inside].abs()
    assert (difference / here[inside].abs()).max() < 0.06


def test_turning_a_cloud_by_90_degrees_turns_its_image():
    cloud = asymmetric_cloud()
    upright = image_of([cloud], 65, 3.0)
    turned = image_of([cloud.moved(about_z(90.0), np.zeros(3))], 65, 3.0)
    # x goes to y, which runs downwards in an array: rot90 against the clock is k = -1.
    torch.testing.assert_close(turned, torch.rot90(upright, -1), atol=2e-2, rtol=1e-2)


def test_many_small_clouds_project_like_one_large_one():
    clouds = [asymmetric_cloud(seed) for seed in range(3)]
    apart = projected_potential(clouds, (48, 48), 3.0)
    torch.testing.assert_close(apart, projected_potential([joined(clouds)], (48, 48), 3.0))


def test_no_clouds_have_no_potential():
    assert not projected_potential([], (48, 48), 3.0).any()


def test_the_mean_scattering_factor_falls_off_as_carbons_does():
    k = torch.tensor([0.0, 0.1, 0.2])
    carbon = [gemmi.Element("C").c4322.calculate_sf(float(value / 2) ** 2) for value in k]
    torch.testing.assert_close(
        scattering_shape(k), torch.tensor(carbon) / carbon[0], atol=0.03, rtol=0
    )


@pytest.mark.parametrize(("fold", "dihedral"), [(1, True), (2, False), (3, True), (7, False)])
def test_a_ring_has_the_symmetry_that_was_asked_for(fold, dihedral):
    ring = ring_of(asymmetric_cloud(number=60), fold, dihedral, np.random.default_rng(3))
    assert len(ring) == 60 * fold * (2 if dihedral else 1)
    image = image_of([ring], 97, 4.0)
    turned = image_of([ring.moved(about_z(360.0 / fold), np.zeros(3))], 97, 4.0)
    middle = ring.position_A.mean(axis=0)
    assert np.abs(middle[:2]).max() < 40
    if fold > 1:
        about = ring.moved(np.eye(3), -middle)
        image = image_of([about], 97, 4.0)
        turned = image_of([about.moved(about_z(360.0 / fold), np.zeros(3))], 97, 4.0)
    difference = (turned - image).norm() / image.norm()
    assert difference < 0.05


def test_the_copies_in_a_ring_do_not_lie_in_each_other():
    subunit = asymmetric_cloud(number=400)
    ring = ring_of(subunit, 5, False, np.random.default_rng(0))
    centres = ring.position_A.reshape(5, 400, 3).mean(axis=1)
    gap_A = np.linalg.norm(centres[0] - centres[1])
    assert gap_A > 0.8 * np.percentile(np.abs(subunit.position_A), 90)


def test_a_broken_particle_is_the_share_of_it_on_one_side_of_a_plane():
    cloud = asymmetric_cloud()
    part = broken(cloud, 0.4, np.random.default_rng(0))
    assert len(part) == pytest.approx(120, abs=2)
    apart_A = np.linalg.norm(part.position_A.mean(axis=0) - cloud.position_A.mean(axis=0))
    assert apart_A > 5


def test_an_aggregate_is_connected():
    places = clustered(30, 100.0, np.random.default_rng(0))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert len(places) == 30
    assert distances.min(axis=1).max() < 116


def test_random_rotations_are_rotations_and_have_no_favourite_direction():
    rng = np.random.default_rng(0)
    rotations = np.stack([random_rotation(rng) for _ in range(600)])
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (600, 1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-6)
    assert np.abs(rotations.mean(axis=0)).max() < 0.1
    np.testing.assert_allclose((rotations[:, :, 2] ** 2).mean(axis=0), 1 / 3, atol=0.05)


def pdb_with_two_operators(path):
    path.write_text(
        "REMARK 350 BIOMOLECULE: 1\n"
        "REMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n"
        "REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000\n"
        "REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000\n"
        "REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000\n"
        "REMARK 350   BIOMT1   2 -1.000000  0.000000  0.000000       40.00000\n"
        "REMARK 350   BIOMT2   2  0.000000 -1.000000  0.000000        0.00000\n"
        "REMARK 350   BIOMT3   2  0.000000  0.000000  1.000000        0.00000\n"
        "ATOM      1  N   ALA A   1       0.000   0.000   0.000  1.00  0.00           N\n"
        "ATOM      2  CA  ALA A   1       1.500   0.000   0.000  1.00  0.00           C\n"
        "ATOM      3  C   ALA A   1       2.000   1.500   0.000  1.00  0.00           C\n"
        "HETATM    4  O   HOH A 101       9.000   9.000   9.000  1.00  0.00           O\n"
        "END\n"
    )
    return path


def test_a_particle_is_its_biological_assembly_without_waters(tmp_path):
    particle = read_particle(pdb_with_two_operators(tmp_path / "two.pdb"))
    assert particle.name == "two"
    assert len(particle.whole) == 6
    assert np.ptp(particle.whole.position_A[:, 0]) == pytest.approx(40, abs=1e-3)
    assert [len(chain) for chain in particle.chains] == [3]


def test_capsids_have_sixty_operators(shared_data):
    particle = read_particle(shared_data / "structures/varied/1f2n.cif")
    one = sum(len(chain) for chain in particle.chains)
    assert len(particle.whole) == pytest.approx(60 * one, rel=0.001)
    assert 150 < particle.whole.radius_A < 175


def test_a_filament_repeats_itself_after_rise_and_twist():
    subunit = asymmetric_cloud(number=20)
    helix = Helix(rise_A=12.0, twist_deg=72.0, radius_A=40.0, length_A=600.0)
    straight = filament(subunit, helix).position_A.reshape(50, 20, 3)
    centres = straight.mean(axis=1)
    np.testing.assert_allclose(np.diff(centres[:, 0]), 12.0, atol=1e-3)
    np.testing.assert_allclose(straight[5, :, 1:], straight[0, :, 1:], atol=1e-2)
    from_axis_A = np.hypot(centres[:, 1], centres[:, 2])
    offset_A = subunit.position_A.mean(axis=0)
    assert from_axis_A[0] == pytest.approx(np.hypot(40 + offset_A[0], offset_A[1]), abs=0.1)


def test_a_bent_filament_lies_on_an_arc():
    point = Scatterers(
        np.zeros((1, 3), np.float32), np.ones(1, np.float32), np.zeros(1, np.float32)
    )
    x, y, _ = filament(point, Helix(5.0, 0.0, 0.0, 2000.0, bend_radius_A=1500.0)).position_A.T
    np.testing.assert_allclose(np.hypot(x, y + 1500.0), 1500.0, atol=0.1)


def test_a_vesicles_heads_lie_on_both_sides_of_its_middle_and_its_lipids_are_counted():
    radius_A = 200.0
    bilayer = vesicle(np.full(3, radius_A), np.random.default_rng(0))
    heads = bilayer.where(bilayer.length_A > 0)
    depth_A = np.linalg.norm(heads.position_A, axis=1) - radius_A
    assert np.percentile(np.abs(depth_A), 50) == pytest.approx(19, abs=1.5)
    assert (depth_A > 0).mean() == pytest.approx(0.5, abs=0.02)
    lipids = 2 * 4 * np.pi * radius_A**2 / LIPID_AREA_A2
    assert len(bilayer) == pytest.approx(7 * lipids, rel=1e-3)


def test_a_vesicle_of_fewer_points_scatters_as_much():
    few, many = (
        vesicle(np.full(3, 300.0), np.random.default_rng(0), most).length_A.sum(dtype=np.float64)
        for most in (2_000, 40_000)
    )
    assert few == pytest.approx(many, rel=1e-3)


def test_proteins_sit_in_the_membrane_and_point_outwards():
    radii_A = np.full(3, 300.0)
    for rotation, place_A in membrane_protein_sites(radii_A, 20, np.random.default_rng(0)):
        assert np.linalg.norm(place_A) == pytest.approx(300, rel=1e-6)
        np.testing.assert_allclose(rotation @ [0, 0, 1], place_A / 300, atol=1e-6)


def test_a_lattice_has_its_spacing():
    places = lattice_places((80.0, 120.0), 90.0, 600.0, 0.0, np.random.default_rng(0))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() == pytest.approx(80)
    assert np.median(distances.min(axis=1)) == pytest.approx(80)  # two nodes at the rim are alone
    assert len(places) == pytest.approx(np.pi * 600**2 / (80 * 120), rel=0.1)
