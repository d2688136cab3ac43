"""Particles written as a STAR file are the particles that were read."""

from dataclasses import replace

import numpy as np
import pytest
from particle_world import write_particles

from restore.errors import UserError
from restore.io.particle_images import open_particle_images, read_particle_images
from restore.io.relion.image_star import image_star
from restore.io.star import write_star


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return open_particle_images(write_particles(tmp_path_factory.mktemp("world"), 20, 16, 3.0).star)


def again(images, folder):
    """The same, written and read."""
    write_star(folder / "written.star", image_star(images))
    return open_particle_images(folder / "written.star")


def test_orientations_shifts_half_sets_and_ctfs_come_back(images, tmp_path):
    images_again = again(images, tmp_path)
    first, second = images.particles, images_again.particles
    assert (first.rotations.inv() * second.rotations).magnitude().max() < 1e-6
    np.testing.assert_allclose(first.origins_A, second.origins_A, atol=1e-6)
    np.testing.assert_array_equal(first.half_sets, second.half_sets)
    assert first.ctfs == second.ctfs and first.micrograph_names == second.micrograph_names
    assert (images_again.box_px, images_again.pixel_size_A) == (images.box_px, images.pixel_size_A)


def test_the_images_are_the_same_pixels(images, tmp_path):
    rows = range(len(images))
    np.testing.assert_array_equal(
        read_particle_images(again(images, tmp_path), rows), read_particle_images(images, rows)
    )


def test_what_is_not_known_is_not_made_up(images, tmp_path):
    bare = replace(
        images.particles, ctfs=None, half_sets=None, origins_A=None, micrograph_names=None
    )
    particles = again(replace(images, particles=bare), tmp_path).particles
    assert (
        particles.ctfs is None
        and particles.half_sets is None
        and particles.origins_A is None
        and particles.micrograph_names is None
    )


def test_flipped_phases_are_said(images, tmp_path):
    flags = np.ones(len(images), dtype=bool)
    flipped = replace(images, particles=replace(images.particles, phases_flipped=flags))
    assert again(flipped, tmp_path).particles.phases_flipped.all()


def test_one_inverted_contrast_is_written_and_two_contrasts_are_refused(images):
    def signed(signs):
        return replace(images, particles=replace(images.particles, contrast_signs=signs))

    assert image_star(signed(-np.ones(20))).text() == image_star(images).text()
    with pytest.raises(UserError, match="some of its images, and not all, have their contrast"):
        image_star(signed(np.resize([1.0, -1.0], 20)))
