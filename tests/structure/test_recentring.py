"""Shifts refined in the windows of one extraction, used in those of another."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from particle_world import particle_star, shifted, write_stack
from structure_world import write_project

from restore.io.particle_images import open_particle_images
from restore.io.particles import read_particles
from restore.io.star import read_star, write_star
from restore.particles.extraction.finding import as_named
from restore.particles.extraction.stacks import Images, extract
from restore.particles.extraction.windows import ExtractionSettings
from restore.particles.reconstruction.halves import ReconstructionSettings, reconstruct_halves
from restore.structure.combinations import comparison_set, oriented
from restore.structure.recentring import recentring
from restore.structure.warnings import warnings_of_particles

PIXEL_A = 4.0


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Raw images with coordinates in micrographs of a known pixel size."""
    project = write_project(tmp_path_factory.mktemp("project"), 12, 16)
    return with_size(open_particle_images(project.raw), PIXEL_A)


def with_size(images, size_A):
    sizes_A = None if size_A is None else np.full(len(images), size_A)
    return replaced(images, micrograph_pixel_size_A=sizes_A)


def replaced(images, **fields):
    return replace(images, particles=replace(images.particles, **fields))


def moved(images, offsets_px):
    """The same particles, extracted again at coordinates that lie so many pixels further on."""
    particles = images.particles
    offsets_px = np.broadcast_to(np.asarray(offsets_px, float), particles.coordinates_px.shape)
    return replaced(
        images,
        coordinates_px=particles.coordinates_px + offsets_px,
        origins_A=particles.origins_A + offsets_px * PIXEL_A,
    )


def places_A(particles):
    return np.trunc(particles.coordinates_px) * PIXEL_A - particles.origins_A


def test_origins_move_with_the_windows_so_that_particles_stay_where_they_are(images):
    offsets = np.random.default_rng(0).integers(-4, 5, (len(images), 2))
    again = moved(images, offsets)
    result = oriented(images, again.particles).particles
    np.testing.assert_allclose(result.coordinates_px, images.particles.coordinates_px)
    np.testing.assert_allclose(places_A(result), places_A(again.particles), atol=1e-9)
    np.testing.assert_allclose(result.origins_A, images.particles.origins_A, atol=1e-9)
    assert abs(result.origins_A - again.particles.origins_A).max() > PIXEL_A


def test_a_file_of_a_coarser_micrograph_is_at_the_same_places(images):
    coarse = replaced(
        with_size(images, 2 * PIXEL_A), coordinates_px=(images.particles.coordinates_px + 6) / 2
    )
    result = oriented(images, coarse.particles).particles
    refined = np.trunc(coarse.particles.coordinates_px) * 2 * PIXEL_A - coarse.particles.origins_A
    np.testing.assert_allclose(places_A(result), refined, atol=1e-9)


@pytest.mark.parametrize(
    ("offset_px", "size_A"), [(0.0, PIXEL_A), (-0.0001, PIXEL_A), (0.0, 1.01 * PIXEL_A)]
)
def test_rounding_and_another_calibration_are_no_recentring(images, offset_px, size_A):
    """Truncated, 100.0 and 99.9999 would be a pixel apart."""
    same = with_size(
        replaced(images, coordinates_px=images.particles.coordinates_px + offset_px), size_A
    )
    assert recentring(images, same.particles) is None
    assert oriented(images, same.particles).particles.origins_A is images.particles.origins_A


def test_origins_that_a_refinement_does_not_have_are_the_windows_offset(images):
    again = replaced(moved(images, (3, -2)), origins_A=None)
    result = oriented(images, again.particles).particles
    np.testing.assert_allclose(result.origins_A, np.tile([-12.0, 8.0], (len(images), 1)))


def test_one_known_pixel_size_is_enough(images):
    again = with_size(moved(images, (3, -2)), None)
    result = oriented(images, again.particles).particles
    np.testing.assert_allclose(result.origins_A, images.particles.origins_A, atol=1e-9)


def test_recentring_that_cannot_be_undone_is_warned_of(images):
    raw, again = with_size(images, None), with_size(moved(images, (3, 4)), None)
    assert oriented(raw, again.particles).particles.origins_A is again.particles.origins_A
    comparison = comparison_set(raw, raw, again.particles, 8.0)
    assert list(comparison.refinements) == ["raw"]  # the same orientations are no second refinement
    turned = again.particles.rotations_of(np.roll(np.arange(len(again)), 1))
    comparison = comparison_set(raw, raw, replace(again.particles, rotations=turned), 8.0)
    remarks = list(warnings_of_particles(comparison))
    assert remarks and all("differ by up to 5.0 pixels" in remark for remark in remarks)
    known = comparison_set(images, images, replace(again.particles, rotations=turned), 8.0)
    assert not list(warnings_of_particles(known))


def warnings_of(images, refined):
    """The warnings about a comparison of images with a refinement of its own."""
    turned = refined.rotations_of(np.roll(np.arange(len(refined)), 1))
    return list(
        warnings_of_particles(
            comparison_set(images, images, replace(refined, rotations=turned), 8.0)
        )
    )


def test_coordinates_from_the_other_edge_are_no_recentring(images):
    """Of the same images by name; some converters count y from the other edge."""
    x, y = images.particles.coordinates_px.T
    flipped = replaced(images, coordinates_px=np.column_stack([x, 4096 - y]))
    result = oriented(images, flipped.particles).particles
    assert result.origins_A is flipped.particles.origins_A
    remarks = warnings_of(images, flipped.particles)
    assert remarks and all("too far apart for recentring" in remark for remark in remarks)


@pytest.mark.parametrize("size_A", [0.0, PIXEL_A])
def test_a_micrograph_of_no_size_places_no_particle(images, size_A):
    """A ``.cs`` file with a shape of zero puts all particles at (0, 0)."""
    nowhere = replaced(with_size(images, size_A), coordinates_px=np.zeros((len(images), 2)))
    for first, second in ((images, nowhere), (nowhere, images)):
        result = oriented(first, second.particles).particles
        assert result.origins_A is second.particles.origins_A
        recentred = recentring(first, second.particles)
        assert np.isfinite(recentred.apart_px) and recentred.offsets_A is None
    assert warnings_of(images, nowhere.particles)


@pytest.mark.parametrize(("further_px", "is_known"), [(8, True), (9, False)])
def test_recentring_moves_a_particle_by_half_a_window_at_most(images, further_px, is_known):
    again = moved(images, (further_px, 0))
    assert (recentring(images, again.particles).offsets_A is not None) == is_known


def test_a_size_of_zero_is_not_known(images):
    again = with_size(moved(images, (3, -2)), 0.0)
    result = oriented(images, again.particles).particles
    np.testing.assert_allclose(result.origins_A, images.particles.origins_A, atol=1e-9)
    neither = with_size(images, 0.0)
    assert oriented(neither, again.particles).particles.origins_A is again.particles.origins_A
    assert all("is not known" in remark for remark in warnings_of(neither, again.particles))


def test_a_map_of_a_recentred_refinement_is_as_sharp_as_that_of_its_own_images(
    tmp_path, monkeypatch
):
    """Against the truth of a simulation: windows are cut beside the particles, whose true places
    another extraction has as its coordinates.
    """
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path, 60, noise=0.1, errors_deg=(0.0, 0.0))
    true = read_particles(project.truth)
    with mrcfile.open(tmp_path / "true/stacks/part0.mrcs") as file:
        spectra = np.fft.rfft2(file.data.astype(np.float64))
    centred = np.fft.irfft2(shifted(spectra, -true.origins_A / PIXEL_A), s=(32, 32))
    places = np.array([(60 * (at % 8) + 40, 60 * (at // 8) + 40) for at in range(60)])
    field = 0.01 * np.random.default_rng(1).standard_normal((540, 540)).astype(np.float32)
    for (x, y), image in zip(places, centred, strict=True):
        field[y - 16 : y + 16, x - 16 : x + 16] += image
    write_stack(tmp_path / "mic.mrc", field[None], PIXEL_A)
    with mrcfile.open(tmp_path / "mic.mrc", mode="r+") as file:
        file.set_data(field)
    aside = np.random.default_rng(2).integers(-3, 4, (60, 2))
    euler = true.rotations.as_euler("ZYZ", degrees=True)
    refined = read_particles(project.raw)
    images = []
    for name, offsets in (("first", aside), ("recentred", 0 * aside)):
        table = particle_star(
            refined.image_names, euler, offsets * PIXEL_A, refined.ctfs, refined.half_sets,
            (32, PIXEL_A), ["mic.mrc"] * 60,
        )  # fmt: skip
        block = table.block("particles")
        for axis, column in enumerate(("rlnCoordinateX", "rlnCoordinateY")):
            block = block.with_column(column, [str(value) for value in (places + offsets)[:, axis]])
        write_star(tmp_path / f"{name}.star", table.with_block(block))
        settings = ExtractionSettings(
            box_px=32, engine="own", normalise="none", invert_contrast=False
        )
        windows = Images(as_named(["mic.mrc"], tmp_path / f"{name}.star"))
        images.append(
            open_particle_images(
                extract(tmp_path / f"{name}.star", windows, tmp_path / name, settings)
            )
        )
    first, recentred = images
    assert read_star(tmp_path / "first/particles.star").block("particles").column("rlnOriginXAngst")
    own, others, blurred = (
        reconstruct_halves(some, ReconstructionSettings()).mean.numpy().ravel()
        for some in (
            first,
            oriented(first, recentred.particles),
            replaced(first, origins_A=recentred.particles.origins_A),
        )
    )
    assert np.corrcoef(own, others)[0, 1] > 0.9999
    assert np.corrcoef(own, blurred)[0, 1] < 0.9
