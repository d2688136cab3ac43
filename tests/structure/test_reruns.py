"""A rerun in the same folder with one thing changed: what depends on it is made again."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from structure_world import write_project

from restore.io.images.maps import write_map
from restore.io.particle_images import open_particle_images
from restore.io.star import read_star, write_star
from restore.particles.reconstruction import engines
from restore.particles.reconstruction.halves import HalfMaps
from restore.runtime.progress import no_bars
from restore.structure import reconstructions
from restore.structure.combinations import Combination
from restore.structure.reconstructions import making, map_files, measure, measure_bias, reconstruct
from restore.structure.reslog import reslog
from restore.structure.settings import StructureSettings
from restore.structure.stages import Stages
from restore.structure.volumes import References

SIDE, VOXEL_A, COUNT = 16, 4.0, 24
SETTINGS = StructureSettings(engine="torch", reslog_sizes=2, reslog_repeats=1)


@pytest.fixture(scope="module")
def raw_star(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"), COUNT, SIDE).raw


@pytest.fixture
def images(raw_star):
    return open_particle_images(raw_star)


def combined(images):
    return Combination("raw", "raw", images)


def ctf_of_another_refinement(particles):
    defocused = [replace(ctf, defocus_u_A=ctf.defocus_u_A + 50) for ctf in particles.ctfs]
    return {"ctfs": tuple(defocused)}


@pytest.mark.parametrize(
    "change",
    [
        lambda particles: {"phases_flipped": np.full(len(particles), True)},
        ctf_of_another_refinement,
        lambda particles: {"origins_A": particles.origins_A + 0.5},
        lambda particles: {"half_sets": 3 - particles.half_sets},
    ],
    ids=["phases", "defocus", "origins", "half sets"],
)
def test_a_reslog_is_made_again_if_anything_that_its_images_are_inserted_with_changes(
    images, tmp_path, caplog, change
):
    def run(images):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            reslog([combined(images)], SETTINGS, tmp_path, Stages(tmp_path), no_bars)
        return "reslog_raw_by_raw: kept" in caplog.text

    assert not run(images)
    assert run(images)
    changed = replace(images.particles, **change(images.particles))
    assert not run(replace(images, particles=changed))


def test_a_reslog_warns_of_aberrations_whatever_engine_makes_the_maps(raw_star, tmp_path, caplog):
    star = read_star(raw_star)
    names = [f"{at + 1:06d}@{path}" for at, path in enumerate(open_particle_images(raw_star).paths)]
    block = star.block("particles").with_column("rlnImageName", names)
    optics = star.block("optics").with_column("rlnBeamTiltX", ["0.3"])
    write_star(tmp_path / "tilted.star", star.with_block(block).with_block(optics))
    tilted = combined(open_particle_images(tmp_path / "tilted.star"))
    settings = replace(SETTINGS, engine="relion")
    with caplog.at_level(logging.WARNING):
        reslog([tilted], settings, tmp_path, Stages(tmp_path), no_bars)
    assert "(rlnBeamTiltX), which ResLog does not correct" in caplog.text


@pytest.fixture
def engines_used(monkeypatch):
    """The engine of each reconstruction, which is not made."""
    used = []

    def half_maps(_images, settings, _watch):
        used.append(settings.engine)
        return HalfMaps(torch.zeros(8, 8, 8), torch.ones(8, 8, 8), VOXEL_A, (1, 1), "torch")

    monkeypatch.setattr(reconstructions, "half_maps", half_maps)
    return used


def test_maps_of_another_engine_are_made_again(images, tmp_path, monkeypatch, engines_used):
    """RELION is loaded before the second run: all maps of the page are its own."""
    for is_there in (False, False, True):
        monkeypatch.setattr(engines, "relion_is_there", lambda is_there=is_there: is_there)
        how = making(replace(SETTINGS, engine="auto"), images)
        reconstruct(combined(images), how, tmp_path, Stages(tmp_path), no_bars)
    assert engines_used == ["torch", "relion"]


def test_relions_maps_are_made_again_if_the_aberrations_of_the_optics_table_change(
    raw_star, images, tmp_path, engines_used
):
    """They are in no record of the particles, and only RELION corrects them."""
    star = read_star(raw_star)
    source = tmp_path / "particles.star"
    images = replace(images, particles=replace(images.particles, source=str(source)))
    for engine in ("torch", "relion"):
        how = making(replace(SETTINGS, engine=engine), images)
        for tilt in ("0.0", "0.0", "0.3"):
            optics = star.block("optics").with_column("rlnBeamTiltX", [tilt])
            write_star(source, star.with_block(optics))
            reconstruct(combined(images), how, tmp_path, Stages(tmp_path), no_bars)
    assert engines_used == ["torch", "relion", "relion"]


def noise(seed):
    return np.random.default_rng(seed).standard_normal((SIDE,) * 3).astype(np.float32)


def write_maps(folder, images, kind="raw", sign=1):
    """Half maps of one signal in noise, the second with a sign; the names of all files of the
    combination.
    """
    files = map_files(folder, Combination(kind, "raw", images))
    halves = [noise(0) + 0.2 * noise(1), sign * noise(0) + 0.2 * noise(2)]
    for path, volume in zip(
        (*files.halves, files.mean), (*halves, (halves[0] + halves[1]) / 2), strict=True
    ):
        write_map(path, volume, VOXEL_A)
    return files


@pytest.fixture
def reference(tmp_path):
    """A function that gives the references with one file in this role."""
    write_map(tmp_path / "mask.mrc", np.ones((SIDE,) * 3, np.float32), VOXEL_A)

    def read_as(role):
        volume = torch.ones((SIDE,) * 3)
        mask, truth = (volume if role == name else None for name in ("mask", "truth_map"))
        return References(VOXEL_A, mask, None, truth, {role: tmp_path / "mask.mrc"})

    return read_as


def test_a_file_that_gets_another_role_is_measured_with_again(images, tmp_path, caplog, reference):
    """A mask that was given as the true map first."""
    raw, denoised = (write_maps(tmp_path, images, kind) for kind in ("raw", "denoised"))
    files = {"raw_by_raw": raw}

    def run(role):
        caplog.clear()
        against, stages = reference(role), Stages(tmp_path)
        with caplog.at_level(logging.INFO):
            measure(combined(images), files, against, SETTINGS, stages)
            measure_bias(raw, denoised, against, "C1", stages)
        return [name for name in ("measure_", "bias_") if f"{name}" in caplog.text]

    assert run("truth_map") == []
    assert run("truth_map") == ["measure_", "bias_"]
    assert run("mask") == []


def test_a_sharpened_map_of_an_earlier_run_is_removed_where_this_run_makes_none(
    images, tmp_path, reference
):
    """The halves do not agree any more; it would be drawn beside the new map."""
    stages = Stages(tmp_path)
    for sign, is_sharpened in ((1, True), (-1, False)):
        files = write_maps(tmp_path, images, sign=sign)
        maps = {"raw_by_raw": files}
        settings = replace(SETTINGS, bfactor=-50.0)
        result = measure(combined(images), maps, reference("truth_map"), settings, stages)
        assert files.sharpened.is_file() == is_sharpened == ("sharpened" in result.files)
