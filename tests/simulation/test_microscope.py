"""One exposure: counting statistics, calibration against a real K2 field, contrast, truth."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from restore.ctf import ctf
from restore.fourier import frequency_per_A
from restore.simulation.ice import water_power_A2
from restore.simulation.microscope import (
    Exposure,
    Particles,
    SimulationSettings,
    canvas_contrast,
    count_halves,
    draw_particles,
    expose,
    with_hot_pixels,
)
from restore.simulation.specimen import SpecimenTransform, barrel_phantom, transform

PIXEL_A = 2.0
SETTINGS = SimulationSettings(size_px=(768, 720), pixel_size_A=PIXEL_A, hot_pixels=0, seed=7)


@pytest.fixture(scope="module")
def barrel() -> SpecimenTransform:
    return transform(barrel_phantom(PIXEL_A))


@pytest.fixture(scope="module")
def exposure(barrel) -> Exposure:
    return expose(SETTINGS, barrel, 0)


def test_the_same_seed_and_index_give_the_same_counts_and_others_do_not(barrel, exposure):
    again = expose(replace(SETTINGS, micrographs=999), barrel, 0)
    assert np.array_equal(again.even, exposure.even) and np.array_equal(again.odd, exposure.odd)
    assert np.array_equal(again.truth, exposure.truth) and again.ctf == exposure.ctf
    for other in (expose(SETTINGS, barrel, 1), expose(replace(SETTINGS, seed=8), barrel, 0)):
        assert other.ctf != exposure.ctf and not np.array_equal(other.even, exposure.even)


def test_images_have_the_shape_asked_for_odd_ones_too(barrel):
    odd = expose(replace(SETTINGS, size_px=(181, 203)), barrel, 0)
    assert odd.even.shape == odd.odd.shape == odd.truth.shape == (181, 203)
    assert replace(SETTINGS, size_px=(99,)).shape == (99, 99)


def test_counts_are_whole_and_the_full_sum_is_exactly_even_plus_odd(exposure):
    assert exposure.even.dtype == np.float32
    assert np.array_equal(exposure.full, np.round(exposure.full))
    assert np.array_equal(exposure.full - exposure.odd, exposure.even)


def test_the_mean_count_is_dose_times_pixel_area(exposure):
    wanted = SETTINGS.dose_e_per_A2 * PIXEL_A**2
    assert exposure.truth.mean() == pytest.approx(wanted, rel=2e-3)
    assert exposure.full.mean() == pytest.approx(wanted, rel=2e-3)


def test_noise_is_poisson_and_independent_between_the_halves(exposure):
    assert np.var(exposure.even - exposure.odd) == pytest.approx(exposure.full.mean(), rel=0.01)
    noise_even, noise_odd = exposure.even - exposure.truth / 2, exposure.odd - exposure.truth / 2
    assert abs(np.corrcoef(noise_even.ravel(), noise_odd.ravel())[0, 1]) < 5 / np.sqrt(
        exposure.even.size
    )


def test_halves_share_the_dose_as_their_frames_do():
    rate = torch.full((300, 300), 50.0)
    even, odd = count_halves(rate, 5, torch.Generator().manual_seed(1))
    assert float(even.mean()) == pytest.approx(20, rel=0.01) and float(odd.mean()) == pytest.approx(
        30, rel=0.01
    )


def test_the_counts_correlate_with_the_truth_as_poisson_noise_predicts(exposure):
    signal = float(exposure.truth.var())
    predicted = np.sqrt(signal / (signal + exposure.truth.mean()))
    assert np.corrcoef(exposure.full.ravel(), exposure.truth.ravel())[0, 1] == pytest.approx(
        predicted, rel=0.02
    )


def test_the_correlation_between_halves_falls_as_in_a_real_k2_field():
    settings = SimulationSettings(size_px=(1024,), pixel_size_A=1.5, hot_pixels=0)
    ready = transform(barrel_phantom(1.5))
    halves = [expose(settings, ready, index) for index in range(3)]
    measured = {
        band: frc(halves, 1.5, *band)
        for band in ((200, 60), (60, 25), (25, 15), (6, 4.5), (4.2, 3.4))
    }
    assert 0.3 < measured[200, 60] < 0.5  # 0.386 in the K2 field of shared/data
    assert 0.15 < measured[60, 25] < 0.3  # 0.228
    assert 0.06 < measured[25, 15] < 0.15  # 0.105
    assert -0.01 < measured[6, 4.5] < 0.02
    assert 0.03 < measured[4.2, 3.4] < 0.11  # 0.073, the water ring


def frc(exposures, pixel_size_A: float, low_A: float, high_A: float) -> float:
    sums = np.zeros(3)
    for exposure in exposures:
        even, odd = (np.fft.rfft2(half - half.mean()) for half in (exposure.even, exposure.odd))
        k = frequency_per_A(exposure.even.shape, (pixel_size_A, pixel_size_A)).numpy()
        band = (k >= 1 / low_A) & (k < 1 / high_A)
        cross = (even * odd.conj()).real
        sums += [part[band].sum() for part in (cross, abs(even) ** 2, abs(odd) ** 2)]
    return sums[0] / np.sqrt(sums[1] * sums[2])


def test_most_of_the_signal_comes_from_particles(barrel, exposure):
    nothing = Particles(np.empty((0, 2), np.int64), np.empty((0, 3)))
    powers = []
    for particles in (nothing, exposure.particles):
        contrast = canvas_contrast(
            SETTINGS, barrel, particles, exposure.ctf, torch.Generator().manual_seed(1)
        )
        image = contrast.image(SETTINGS.shape)
        k = frequency_per_A(SETTINGS.shape, (PIXEL_A, PIXEL_A))
        powers.append(
            float((torch.fft.rfft2(image).abs() ** 2)[(k > 1 / 200) & (k < 1 / 15)].sum())
        )
    assert powers[0] > 0
    assert 1 - powers[0] / powers[1] > 0.6


def test_protein_is_darker_than_ice_in_the_raw_underfocused_image(barrel):
    settings = replace(SETTINGS, ice_gradient_per_um=0.0)
    image = expose(settings, barrel, 2)
    y, x = np.indices(image.full.shape)
    near = np.zeros(image.full.shape, bool)
    for cy, cx in image.particles.position_yx_px:
        near |= np.hypot(y - cy, x - cx) < 50 / PIXEL_A
    assert 0.05 < near.mean() < 0.6
    standard_error = np.sqrt(image.full.mean() / near.sum())
    assert image.full[near].mean() < image.full[~near].mean() - 10 * standard_error


def test_the_truth_has_no_power_where_the_ctf_is_zero(barrel):
    settings = replace(
        SETTINGS,
        ice_gradient_per_um=0.0,
        astigmatism_A=0.0,
        astigmatism_spread_A=0.0,
        size_px=(960,),
    )
    image = expose(settings, barrel, 0)
    window = np.hanning(960)[:, None] * np.hanning(960)
    power = abs(np.fft.rfft2((image.truth - image.truth.mean()) * window)) ** 2
    value = ctf(image.ctf, settings.shape, (PIXEL_A, PIXEL_A)).numpy()
    k = frequency_per_A(settings.shape, (PIXEL_A, PIXEL_A)).numpy()
    band = (k > 1 / 20) & (k < 1 / 8)
    zeros, crests = band & (abs(value) < 0.05), band & (abs(value) > 0.95)
    assert power[zeros].mean() < 0.05 * power[crests].mean()


def test_particles_keep_their_distance_and_their_orientations_are_uniform():
    settings = replace(SETTINGS, size_px=(6000,))
    particles = draw_particles(settings, 106, np.random.default_rng(0))
    place = particles.position_yx_px
    assert len(place) == round(settings.particles_per_um2 * (6106 * PIXEL_A * 1e-4) ** 2)
    apart = np.hypot(*(place[:400, None] - place[None, :400]).transpose(2, 0, 1)) + 1e9 * np.eye(
        min(400, len(place))
    )
    assert apart.min() >= 79
    assert place.min() < 0 and place.max() >= 6000
    cosines = np.cos(np.deg2rad(particles.euler_deg[:, 1]))
    assert abs(cosines.mean()) < 0.08 and cosines.var() == pytest.approx(1 / 3, rel=0.1)


def test_more_particles_than_fit_are_as_many_as_fit():
    crowded = draw_particles(
        replace(SETTINGS, particles_per_um2=1e5), 106, np.random.default_rng(0)
    )
    assert 20 < len(crowded.euler_deg) < 200
    empty = draw_particles(replace(SETTINGS, particles_per_um2=0.0), 106, np.random.default_rng(0))
    assert len(empty.euler_deg) == 0


def test_an_empty_field_is_ice_alone(barrel):
    ice = expose(replace(SETTINGS, particles_per_um2=0.0, size_px=(256,)), barrel, 0)
    assert len(ice.particles.euler_deg) == 0
    assert 0 < ice.truth.std() < 0.05 * ice.truth.mean()


def test_water_has_its_ring_at_3_7_A():
    k = torch.linspace(0.1, 0.45, 351)
    peak = float(k[water_power_A2(SETTINGS, k).argmax()])
    assert 1 / peak == pytest.approx(3.7, abs=0.15)


def test_hot_pixels_are_few_far_out_and_the_same_in_every_micrograph():
    settings = replace(SETTINGS, hot_pixels=4)
    rate = torch.full(settings.shape, 200.0)
    hot = with_hot_pixels(rate, settings)
    assert int((hot != rate).sum()) == 4 and float(hot.max()) <= 14 * 200
    assert torch.equal(hot, with_hot_pixels(rate, settings))
    assert torch.equal(rate, torch.full(settings.shape, 200.0))


def test_a_phase_plate_moves_the_contrast_to_low_frequency(barrel):
    settings = replace(SETTINGS, particles_per_um2=1500.0, ice_gradient_per_um=0.0)
    plain, plate = (
        expose(replace(settings, phase_shift_deg=shift), barrel, 0) for shift in (0.0, 90.0)
    )
    assert plate.truth.std() > 1.5 * plain.truth.std()


def test_every_setting_says_what_it_is_in_one_sentence():
    for field in fields(SimulationSettings):
        assert field.metadata["option"].words, field.name
        assert field.metadata["option"].group in {"specimen", "microscope", "movies"}
