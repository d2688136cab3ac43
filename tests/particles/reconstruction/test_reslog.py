"""The resolution of growing subsets of particles whose signal and noise are known."""

import json
import logging

import numpy as np
import pytest
import torch
from particle_world import blobs, write_particles

from restore.errors import UserError
from restore.io.particle_images import open_particle_images
from restore.io.star import read_star, write_star
from restore.maps.fsc import FSCSettings, ShellAxis, half_map_fsc, shell_sums
from restore.maps.reslog import ResLogCurve, ResLogSettings, fit_reslog, subset_orders, subset_sizes
from restore.particles.reconstruction.halves import ReconstructionSettings, reconstruct_halves
from restore.particles.reconstruction.reslog import ResLogSource, resolutions_per_A, work
from restore.particles.reconstruction.reslog_files import ReslogInputs, measure_reslog

PIXEL_A = 3.0
MAKING = ReconstructionSettings()


def grown(world, settings, sizes=None, making=MAKING, mask=None, watch=lambda _: None):
    images = open_particle_images(world.star)
    sizes = sizes or subset_sizes(len(images), settings)
    orders = subset_orders(world.half_sets, settings)
    return sizes, resolutions_per_A(
        ResLogSource(images, world.half_sets, making, mask), orders, sizes, watch
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_particles(
        tmp_path_factory.mktemp("small"), count=200, side=24, noise=4.0, particle=blobs(24, count=8)
    )


def expected_per_A(world, noise, count):
    """Where the FSC of white noise and the particle's own power crosses 0.143.

    A voxel of shell K is in n/4K of a half's n/2 slices: 2πK of the 4πK² voxels are in each. The
    map's corners are empty outside the ball that the box holds, so that π/6 of the noise is left,
    and all of the signal.
    """
    side = len(world.volume)
    axis = ShellAxis((side,) * 3, (PIXEL_A,) * 3)
    transform = torch.fft.rfftn(world.volume.double())
    _, components, power = shell_sums(torch.ones_like(transform), transform, axis, "whole")
    shells = np.arange(1, axis.count)
    ratio = (
        (power / components).numpy()[1:] * count / (4 * shells) / (noise**2 * side**2 * np.pi / 6)
    )
    curve = ratio / (1 + ratio)
    below = int(np.flatnonzero(curve < 0.143)[0])
    part = (curve[below - 1] - 0.143) / (curve[below - 1] - curve[below])
    return (shells[below - 1] + part) / (side * PIXEL_A)


def test_white_noise_and_a_known_particle_give_the_resolutions_that_they_must(tmp_path):
    """A shell at the crossing has some 400 components, so that 1/d is off by about half a shell:
    one shell is allowed, and by that 20 % for the B factor, which is 2 over the slope of the
    squares over a range of 16 in n.
    """
    side, noise = 28, 8.0
    particle = blobs(side, count=8, seed=2, width_px=1.0)
    world = write_particles(
        tmp_path, count=6400, side=side, noise=noise, with_ctf=False, particle=particle, shift_A=3.0
    )
    making = ReconstructionSettings(ctf=False)
    sizes, resolutions = grown(world, ResLogSettings(sizes=5, repeats=1), making=making)
    expected = np.array([expected_per_A(world, noise, size) for size in sizes])
    np.testing.assert_allclose(resolutions[0], expected, atol=1 / (side * PIXEL_A))
    truth = fit_reslog(ResLogCurve(np.array(sizes), expected[None], 1.0)).bfactor_A2.value
    assert fit_reslog(
        ResLogCurve(np.array(sizes), resolutions, 1.0)
    ).bfactor_A2.value == pytest.approx(truth, rel=0.2)


def soft_ball(side=24, radius_px=11, edge_px=3):
    """A mask: a ball about the middle of the box."""
    distance_px = np.sqrt(((np.indices((side,) * 3) - side // 2) ** 2).sum(0))
    return torch.from_numpy(np.clip((radius_px - distance_px) / edge_px, 0, 1).astype(np.float32))


@pytest.mark.parametrize("mask", [None, soft_ball(radius_px=8)], ids=["whole box", "mask"])
def test_all_particles_give_the_resolution_of_the_half_maps(small, mask):
    _, resolutions = grown(small, ResLogSettings(sizes=3, repeats=2), mask=mask)
    maps = reconstruct_halves(open_particle_images(small.star), MAKING)
    halves = maps.first[None], maps.second[None]
    fsc = half_map_fsc(*halves, (PIXEL_A,) * 3, FSCSettings(), mask)
    expected = 1 / fsc.crossing_A(fsc.unmasked if mask is None else fsc.corrected, 0.143)
    np.testing.assert_allclose(resolutions[:, -1], expected, rtol=1e-4)
    if mask is not None:  # the mask alone correlates the halves, which is corrected for
        assert 1 / fsc.crossing_A(fsc.masked, 0.143) > 1.001 * expected


def test_a_subset_is_what_its_own_particles_would_give(small):
    """The second size of a source that began with fewer is that of the same particles at once."""
    settings = ResLogSettings(sizes=3, repeats=1)
    _, step_by_step = grown(small, settings, sizes=[50, 100, 200])
    _, at_once = grown(small, settings, sizes=[100, 200])
    np.testing.assert_allclose(step_by_step[:, 1:], at_once, rtol=1e-4)


def test_a_mask_changes_the_resolution_of_a_particle_in_noise(small):
    settings = ResLogSettings(sizes=2, repeats=1)
    assert (grown(small, settings, mask=soft_ball())[1] != grown(small, settings)[1]).any()


def test_cropped_images_give_the_same_resolution_where_it_is_coarse(tmp_path):
    """The crossing is at shell 8 or so; of 12 shells in place of 20 nothing before it changes but
    by interpolation.
    """
    world = write_particles(
        tmp_path, count=300, side=40, noise=20.0, particle=blobs(40, count=8), shift_A=3.0
    )
    images, orders = open_particle_images(world.star), np.arange(300)[None]
    mask = soft_ball(40, 18, 4)
    whole, cropped = (
        ResLogSource(images, world.half_sets, MAKING, mask, limit) for limit in (None, 10.0)
    )
    assert (whole.box_px, cropped.box_px, cropped.voxel_size_A) == (40, 24, 5.0)
    resolutions = [resolutions_per_A(images, orders, [150, 300]) for images in (whole, cropped)]
    assert (resolutions[0] < 0.8 * 0.1).all()
    np.testing.assert_allclose(resolutions[0], resolutions[1], atol=0.3 / (40 * PIXEL_A))


def test_the_images_that_are_added_are_counted(small):
    reports = []
    sizes, _ = grown(
        small, ResLogSettings(sizes=3, repeats=2), sizes=[50, 100, 200], watch=reports.append
    )
    assert reports == sorted(reports) and reports[-1] == work(2, sizes) == 300


def test_perfect_halves_reach_nyquist_and_noise_falls_in_the_first_shells(tmp_path):
    settings, point = ResLogSettings(sizes=2, repeats=1), blobs(16, count=4, width_px=0.4)
    clean = write_particles(tmp_path / "clean", count=300, side=16, noise=0.0, particle=point)
    assert np.isposinf(grown(clean, settings, sizes=[200, 300])[1][0, -1])
    noise = write_particles(tmp_path / "noise", count=40, side=16, noise=1e4, particle=point)
    assert (grown(noise, settings, sizes=[20, 40])[1] < 0.1).all()


def test_aberrations_that_a_reslog_does_not_correct_are_warned_of(tmp_path, caplog):
    world = write_particles(tmp_path, count=40, side=16)
    star = read_star(world.star)
    optics = star.block("optics").with_column("rlnMagMat00", ["1.01"])
    write_star(world.star, star.with_block(optics.with_column("rlnBeamTiltX", ["0.12"])))
    subsets = ResLogSettings(sizes=2, repeats=1)
    with caplog.at_level(logging.WARNING):
        measure_reslog(
            ReslogInputs((world.star,)), subsets, MAKING, output=tmp_path / "reslog.star"
        )
    assert "(rlnMagMat00, rlnBeamTiltX), which ResLog does not correct" in caplog.text
    record = json.loads((tmp_path / "reslog.settings.json").read_text())
    assert record["settings"]["reconstruction"]["engine"] == "torch"


def test_a_half_set_without_particles_is_refused(small):
    source = ResLogSource(open_particle_images(small.star), np.ones(200, int), MAKING)
    with pytest.raises(UserError, match="smallest subset has no particle in one"):
        resolutions_per_A(source, np.arange(200)[None], [100, 200])
