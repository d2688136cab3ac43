"""Maps from particles of known orientations: the truth comes back, whatever was done to the
images.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from particle_world import blobs, shell_correlations, write_particles
from scipy.spatial.transform import Rotation

from restore.ctf import ctf
from restore.errors import UserError
from restore.io.particle_images import open_particle_images, read_particle_images
from restore.particles.reconstruction.gridding import compensation
from restore.particles.reconstruction.halves import (
    ReconstructionSettings,
    accumulator,
    add_particles,
    half_sets,
    reconstruct_halves,
)
from restore.particles.reconstruction.insertion import Accumulator
from restore.symmetry import point_group

SIDE = 32


def agreement(density, world, upto=0.75):
    """The smallest FSC with the true map up to a share of the Nyquist frequency."""
    side = len(world.volume)
    return shell_correlations(density, world.volume)[: int(upto * side / 2) + 1].min()


def scale(density, truth):
    """How many times the truth a map is, by least squares."""
    return float((density * truth).sum() / truth.square().sum())


def whole(world, settings=None):
    """The map of all particles."""
    settings = settings or ReconstructionSettings()
    images = open_particle_images(world.star)
    sums = accumulator(images, settings)
    add_particles(sums, images, np.arange(len(images)), settings)
    return sums.volume()


@pytest.mark.parametrize(
    ("making", "asked"),
    [
        ({}, {}),
        ({"with_ctf": False}, {"ctf": False}),
        ({"phases_flipped": True}, {"phases_flipped": True}),
        ({"phase_shift_deg": 90.0}, {}),
        ({"symmetry": "D7", "count": 100}, {"symmetry": "D7"}),
        ({"symmetry": "I1", "count": 20}, {"symmetry": "I1"}),
        ({"symmetry": "T", "count": 100}, {"symmetry": "T"}),
    ],
)
def test_projections_without_noise_give_the_map_back_to_three_quarters_of_nyquist(
    tmp_path, making, asked
):
    world = write_particles(tmp_path, side=SIDE, **{"count": 250} | making)
    density = whole(world, ReconstructionSettings(**asked))
    assert agreement(density, world) > 0.99
    assert scale(density, world.volume) == pytest.approx(1, abs=0.04)


def test_what_was_done_to_the_images_matters(tmp_path):
    flipped = write_particles(tmp_path, side=SIDE, count=200, phases_flipped=True)
    assert agreement(whole(flipped), flipped) < 0.5
    raw = write_particles(tmp_path, side=SIDE, count=200)
    assert agreement(whole(raw, ReconstructionSettings(phases_flipped=True)), raw) < 0.5


def test_images_that_were_multiplied_with_their_ctf_are_not_multiplied_again(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=200)
    images = open_particle_images(world.star)
    particles = images.particles
    pixels = torch.from_numpy(read_particle_images(images, range(200)))
    values = torch.stack(
        [ctf(parameters, (SIDE, SIDE), (3.0, 3.0)) for parameters in particles.ctfs]
    )
    multiplied = torch.fft.irfft2(torch.fft.rfft2(pixels) * values, s=(SIDE, SIDE))
    sums = Accumulator(SIDE, 3.0, images_are="multiplied")
    sums.add(multiplied, particles.rotations, particles.origins_A, particles.ctfs)
    assert torch.allclose(sums.volume(), whole(world), atol=2e-3 * float(world.volume.std()))


def test_shifts_are_taken_off_and_their_sign_matters(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=200, with_ctf=False, shift_A=9.0)
    images = open_particle_images(world.star)
    pixels = torch.from_numpy(read_particle_images(images, range(200)))
    for sign, right in ((1, True), (-1, False)):
        sums = Accumulator(SIDE, 3.0)
        sums.add(pixels, images.particles.rotations, sign * images.particles.origins_A, None)
        assert bool(agreement(sums.volume(), world) > 0.99) is right


def test_an_accumulator_is_the_sum_of_its_parts_and_can_be_looked_at_between(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=90, noise=1.0)
    images, settings = open_particle_images(world.star), ReconstructionSettings(symmetry="C2")
    parts = [accumulator(images, settings) for _ in range(2)]
    for part, rows in zip(parts, (np.arange(40), np.arange(40, 90)), strict=True):
        add_particles(part, images, rows, settings)
    one_go = accumulator(images, settings)
    add_particles(one_go, images, np.arange(40), settings)
    early, kept = one_go.volume(), one_go.copy()
    add_particles(one_go, images, np.arange(40, 90), settings)
    assert torch.equal(parts[0].volume(), early) and torch.equal(kept.volume(), early)
    parts[0].include(parts[1])
    assert parts[0].count == one_go.count == 90 and kept.count == 40
    assert torch.allclose(parts[0].volume(), one_go.volume(), atol=1e-4)


def test_a_symmetric_map_looks_the_same_after_each_rotation_of_its_group(tmp_path):
    """Around the seven-fold axis, and about x: as a particle of no symmetry, turned, gives it."""
    world = write_particles(tmp_path, side=SIDE, count=150, noise=2.0)
    density = whole(world, ReconstructionSettings(symmetry="D2"))
    about_z, about_x = (np.roll(density.flip(axes), (1, 1), axes) for axes in ((1, 2), (0, 1)))
    for turned in (about_z, about_x):
        inner = (slice(4, -3),) * 3
        assert (
            np.corrcoef(np.asarray(turned)[inner].ravel(), np.asarray(density)[inner].ravel())[0, 1]
            > 0.999
        )
    lopsided = whole(world)
    assert (
        np.corrcoef(np.roll(lopsided.flip((1, 2)), (1, 1), (1, 2)).ravel(), lopsided.ravel())[0, 1]
        < 0.9
    )


def test_symmetry_makes_up_for_particles(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=60, noise=2.0, symmetry="D7")
    assert agreement(whole(world, ReconstructionSettings(symmetry="D7")), world, 0.5) > 0.9
    assert agreement(whole(world), world, 0.5) < 0.8


def test_half_maps_are_of_their_own_particles_only(tmp_path):
    world = write_particles(tmp_path, side=SIDE, count=120, noise=1.0)
    reports = []
    maps = reconstruct_halves(
        open_particle_images(world.star), ReconstructionSettings(), reports.append
    )
    assert (maps.voxel_size_A, maps.counts, reports[-1]) == (
        3.0,
        (60, 60),
        120,
    ) and reports == sorted(reports)
    images = open_particle_images(world.star)
    second = accumulator(images, ReconstructionSettings())
    add_particles(second, images, np.flatnonzero(world.half_sets == 2), ReconstructionSettings())
    assert torch.allclose(second.volume(), maps.second, atol=1e-4)
    assert not torch.allclose(maps.first, maps.second, atol=1e-2)
    assert torch.allclose(maps.mean, (maps.first + maps.second) / 2)


def test_half_sets_that_no_refinement_made_are_drawn_by_seed_and_warned_of(tmp_path, caplog):
    images = open_particle_images(
        write_particles(tmp_path, side=SIDE, count=31, with_halves=False).star
    )
    drawn = [half_sets(images.particles, seed) for seed in (0, 0, 1)]
    assert "not independent" in caplog.text
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    assert sorted((drawn[0] == half).sum() for half in (1, 2)) == [15, 16]


def test_half_sets_that_cannot_be_and_a_ctf_that_is_not_there_are_refused(tmp_path):
    images = open_particle_images(
        write_particles(tmp_path, side=SIDE, count=4, with_ctf=False).star
    )
    for halves, words in (
        ([1, 2, 3, 1], "row 3 is 3"),
        ([2, 2, 2, 2], "all particles are in half set 2"),
    ):
        with pytest.raises(UserError, match=words):
            half_sets(replace(images.particles, half_sets=np.array(halves)), 0)
    with pytest.raises(UserError, match="the particles have no CTF"):
        accumulator(images, ReconstructionSettings())
    with pytest.raises(UserError, match="Q7"):
        accumulator(images, ReconstructionSettings(symmetry="Q7", ctf=False))
    mixed = replace(
        images,
        particles=replace(images.particles, phases_flipped=np.array([True, True, False, True])),
    )
    with pytest.raises(UserError, match="rlnCtfDataArePhaseFlipped is not the same"):
        accumulator(mixed, ReconstructionSettings(ctf=False))


def test_images_of_the_other_contrast_count_as_their_negative(tmp_path):
    images = open_particle_images(write_particles(tmp_path, side=SIDE, count=60).star)
    negative = replace(
        images, particles=replace(images.particles, contrast_signs=np.full(60, -1.0))
    )
    maps = [
        reconstruct_halves(image, ReconstructionSettings()).first for image in (images, negative)
    ]
    assert torch.allclose(maps[0], -maps[1], atol=1e-5)


def test_weights_are_made_even_by_the_compensation():
    rng = torch.Generator().manual_seed(1)
    weight = torch.rand((33, 33, 17), generator=rng) * (
        torch.rand((33, 33, 17), generator=rng) < 0.6
    )
    weight[..., 0] = weight[..., 0] + weight[..., 0].flip(0, 1)
    factor = compensation(weight)
    assert torch.allclose(compensation(100 * weight), factor / 100, rtol=1e-3)
    blur = torch.nn.functional.avg_pool3d((factor * weight)[None], 5, 1)[0]
    plain = torch.nn.functional.avg_pool3d(weight[None], 5, 1)[0]
    core = (slice(6, 23), slice(6, 23), slice(0, 8))
    assert float(blur[core].std() / blur[core].mean()) < 0.5 * float(
        plain[core].std() / plain[core].mean()
    )


def test_one_view_alone_gives_its_projection_and_no_number_is_lost():
    particle = blobs(SIDE)
    image = np.fft.fftshift(
        np.fft.irfft2(particle.projections(Rotation.identity(1), SIDE), s=(SIDE, SIDE)), (1, 2)
    )
    sums = Accumulator(SIDE, 3.0, point_group("C1"))
    sums.add(
        torch.from_numpy(image.astype(np.float32)), Rotation.identity(1), np.zeros((1, 2)), None
    )
    density = sums.volume()
    assert torch.isfinite(density).all()
    seen = density[SIDE // 2 - 4 : SIDE // 2 + 5].mean(0)
    assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.95
