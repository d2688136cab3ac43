"""Which images are reconstructed by which orientations, row by row the same particles."""

from dataclasses import replace

import numpy as np
import pytest
from structure_world import write_project

from restore.errors import UserError
from restore.io.particle_images import open_particle_images
from restore.structure.combinations import comparison_set, rows_of
from restore.structure.warnings import warnings_of_particles


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    project = write_project(tmp_path_factory.mktemp("project"), 12, 16)
    return open_particle_images(project.raw), open_particle_images(project.denoised)


def turned(first, second):
    """Radians between the orientations of two sets of images."""
    return (first.particles.rotations.inv() * second.particles.rotations).magnitude().max()


def test_two_refinements_give_four_combinations_of_the_same_particles(images):
    raw, denoised = images
    shuffled = rows_of(denoised, np.array([5, 3, 11, 0, 1]))
    comparison = comparison_set(raw, shuffled, shuffled.particles, 5.0)
    assert len(comparison) == 5
    names = [combination.name for combination in comparison.combinations]
    assert names == ["raw_by_raw", "denoised_by_raw", "denoised_by_denoised", "raw_by_denoised"]
    raw_by_raw, denoised_by_raw, denoised_by_denoised, raw_by_denoised = (
        combination.particles for combination in comparison.combinations
    )
    assert (
        turned(raw_by_raw, denoised_by_raw) < 1e-9
        and turned(denoised_by_denoised, raw_by_denoised) < 1e-9
    )
    assert turned(raw_by_raw, raw_by_denoised) > 1e-3
    assert (
        raw_by_denoised.sections.tolist()
        == denoised_by_denoised.sections.tolist()
        == [0, 1, 3, 5, 11]
    )
    assert raw_by_denoised.paths[0] != denoised_by_denoised.paths[0]


def test_a_second_file_with_the_same_orientations_is_no_second_refinement(images):
    raw, denoised = images
    same = replace(denoised.particles, rotations=raw.particles.rotations)
    assert list(comparison_set(raw, denoised, same, 5.0).refinements) == ["raw"]


def test_images_of_another_size_are_refused(images):
    raw, denoised = images
    with pytest.raises(UserError, match="Raw and denoised images must have the same size"):
        comparison_set(raw, replace(denoised, box_px=18), None, 5.0)


def test_denoised_images_in_the_place_of_raw_ones_are_doubted(images):
    raw, denoised = images
    assert not list(warnings_of_particles(comparison_set(raw, denoised, denoised.particles, 5.0)))
    (remark,) = warnings_of_particles(comparison_set(denoised, denoised, None, 5.0))
    assert "are not raw: their labels say that restore denoised them" in remark


def test_a_refinement_without_half_sets_is_doubted(images):
    raw, denoised = images
    bare = replace(raw, particles=replace(raw.particles, half_sets=None))
    (remark,) = warnings_of_particles(comparison_set(bare, denoised, None, 5.0))
    assert "no half sets" in remark
