"""Structures from images with inverted contrast, as cryoSPARC leaves them."""

import logging
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from cryosparc_files import particles_of_world
from particle_world import write_particles
from structure_world import filtered

from restore.errors import UserError
from restore.io.images.maps import read_map, read_map_header
from restore.io.particle_images import open_particle_images
from restore.runtime.progress import no_bars
from restore.structure.combinations import Combination
from restore.structure.comparison import compare_structures
from restore.structure.inputs import read_comparison_set
from restore.structure.reconstructions import making, reconstruct
from restore.structure.records import COMBINATIONS
from restore.structure.reslog import reslog
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import Stages

SETTINGS = StructureSettings(engine="torch", reslog_sizes=2, reslog_repeats=1, views=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_particles(tmp_path_factory.mktemp("world"), 48, 16, 3.0, noise=0.3, stacks=1)


def inputs_of(world, folder, sign, denoised_sign=None):
    """Raw and denoised particles in cryoSPARC's files; signs are those of the stacks."""
    denoised = filtered(mrcfile.read(world.stacks[0]).astype(np.float64), 3.0)
    return StructureInputs(
        particles_of_world(world, folder / "raw", sign),
        particles_of_world(world, folder / "denoised", denoised_sign or sign, denoised),
    )


def test_images_of_inverted_contrast_give_the_maps_of_the_others(world, tmp_path):
    """cryoSPARC's particles have ``blob/sign`` -1: protein is dark in its images."""
    maps, warnings = {}, {}
    for sign in (1, -1):
        folder = tmp_path / f"sign {sign}"
        structure = compare_structures(inputs_of(world, folder, sign), SETTINGS, folder, no_bars)
        warnings[sign] = [text for text in structure.warnings if "inverted contrast" in text]
        maps[sign] = [
            read_map(read_map_header(folder / structure.reconstructions[name].files["map"]))[0]
            for name in structure.reconstructions
        ]
        assert list(structure.reconstructions) == list(COMBINATIONS)[: len(maps[sign])]
    assert not warnings[1] and len(warnings[-1]) == 2
    for plain, inverted in zip(maps[1], maps[-1], strict=True):
        np.testing.assert_allclose(plain, inverted, atol=1e-5 * plain.std())


def test_the_phases_of_inverted_images_are_compared_as_meant(world, tmp_path, caplog):
    for number, signs in enumerate([(1, -1), (-1, 1), (-1, -1)]):
        folder = tmp_path / str(number)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            particles = read_comparison_set(
                inputs_of(world, folder, *signs), SETTINGS, folder, Stages(folder), no_bars
            )
        assert "the denoised images' phases are kept" in caplog.text
        assert not particles.images["denoised"].particles.phases_flipped.any()


def test_images_of_opposite_contrast_are_refused(world, tmp_path):
    """Their file says that both have the same contrast, which is not so."""
    inputs = inputs_of(world, tmp_path, 1)
    images = -mrcfile.read(tmp_path / "denoised/J5/extract/particles.mrc")
    inputs = replace(
        inputs, denoised_particles=particles_of_world(world, tmp_path / "negative", 1, images)
    )
    with pytest.raises(UserError, match="the two sets of images have opposite contrast"):
        read_comparison_set(inputs, SETTINGS, tmp_path, Stages(tmp_path), no_bars)
    settings = replace(SETTINGS, denoised_phases="kept")
    read_comparison_set(inputs, settings, tmp_path, Stages(tmp_path), no_bars)


def test_maps_and_reslog_are_made_again_if_the_contrast_changes(world, tmp_path, caplog):
    """The STAR file of the images, which does not record the contrast, is the same."""
    images = open_particle_images(world.star)
    negative = replace(
        images, particles=replace(images.particles, contrast_signs=-np.ones(len(images)))
    )
    stages = Stages(tmp_path)

    def kept(images):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            combination = Combination("raw", "raw", images)
            reconstruct(combination, making(SETTINGS, images), tmp_path, stages, no_bars)
            reslog([combination], SETTINGS, tmp_path, stages, no_bars)
        return caplog.text.count("kept, because nothing")

    assert [kept(images), kept(images), kept(negative), kept(negative)] == [0, 2, 0, 2]
