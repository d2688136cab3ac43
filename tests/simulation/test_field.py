"""Fields of a training set: detectors, films and crystals, noise, truth, and what is drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from restore.fourier import frequency_per_A
from restore.simulation.assemblies import Particle
from restore.simulation.detectors import (
    DETECTORS,
    Detector,
    interpolation_transfer,
    varied_detector,
)
from restore.simulation.field import simulate_field
from restore.simulation.field_settings import (
    CONTENTS,
    FieldRanges,
    FieldSettings,
    draw_field_settings,
)
from restore.simulation.ice import water_power_A2
from restore.simulation.scatterers import Scatterers
from restore.simulation.settings import SimulationSettings
from restore.simulation.supports import carbon_film, contamination, gold_film, hole_edge


def blob(number=500, spread_A=25.0):
    rng = np.random.default_rng(5)
    place = rng.normal(0, spread_A, (number, 3)).astype(np.float32)
    return Scatterers(place, np.full(number, 2.4, np.float32), np.ones(number, np.float32))


@pytest.fixture(scope="module")
def particles():
    return [Particle("blob", blob(), (blob(450),)), Particle("two", blob(900), (blob(420, 15.0),))]


def settings_of(**changes) -> FieldSettings:
    microscope = SimulationSettings(
        size_px=(192, 192), pixel_size_A=2.25, ice_gradient_per_um=0.0, seed=1
    )
    plain = FieldSettings(
        microscope=microscope,
        max_resolution_A=4.5,
        recorded_pixel_size_A=1.0,
        phase_flip=True,
        content="particles",
        crowding=0.3,
        seed=11,
    )
    return replace(plain, **changes)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.name)
def test_every_detector_passes_all_signal_at_zero_frequency_and_less_beyond(detector):
    u = torch.linspace(0, 1, 50)
    mtf = detector.mtf(u)
    assert mtf[0] == pytest.approx(1)
    assert (mtf.diff() <= 1e-6).all()
    assert mtf[-1] == pytest.approx(detector.mtf_nyquist * (1 - detector.mtf_tail), abs=1e-3)
    assert (detector.noise_power(u) > 0).all()


def test_an_ideal_counter_changes_nothing():
    u = torch.linspace(0, 1, 20)
    assert (DETECTORS[0].mtf(u) == 1).all()
    assert (DETECTORS[0].noise_power(u) == 1).all()


def test_coincidence_loss_dips_the_noise_at_zero_frequency():
    power = Detector("counter", coincidence_loss=0.2).noise_power(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(power, torch.tensor([0.8, 1.0]), atol=2e-3, rtol=0)


def test_a_varied_detector_stays_one_of_its_kind():
    rng = np.random.default_rng(0)
    for _ in range(50):
        varied = varied_detector(DETECTORS[1], rng)
        assert 0.3 < varied.mtf_nyquist <= 1
        assert varied.excess_noise == 1
        assert varied != DETECTORS[1]


def test_interpolated_noise_has_the_power_that_bilinear_shifts_leave():
    rng = np.random.default_rng(0)
    side, power = 64, torch.zeros(64, 33)
    for _ in range(400):
        noise = torch.from_numpy(rng.normal(size=(side, side)))
        for axis in (0, 1):
            s = rng.random()
            noise = (1 - s) * noise + s * noise.roll(1, axis)
        power += torch.fft.rfft2(noise).abs().square().float() / side**2 / 400
    expected = interpolation_transfer((side, side), 1.0, 1.0)[1]
    coarse = [
        table.reshape(8, 8, 33)[..., :32].reshape(8, 8, 4, 8).mean(dim=(1, 3))
        for table in (power, expected)
    ]
    torch.testing.assert_close(*coarse, atol=0.02, rtol=0.05)


def test_a_hole_leaves_about_the_share_of_film_that_was_asked_for():
    shares = [
        float(hole_edge((200, 300), 3.0, 8000.0, 0.3, np.random.default_rng(seed)).mean())
        for seed in range(12)
    ]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.12)
    assert min(shares) > 0


def test_carbons_grain_has_the_power_of_its_atoms():
    thin, thick = (
        carbon_film(torch.ones(256, 256), 2.0, thickness_A, torch.Generator().manual_seed(1))
        for thickness_A in (50.0, 200.0)
    )
    ratio = thick.potential_V_A.var() / thin.potential_V_A.var()
    assert ratio == pytest.approx(4, rel=0.01)
    assert thick.potential_V_A.mean() == pytest.approx(9.0 * 200, rel=0.01)
    mask, generator = torch.ones(128, 128), torch.Generator().manual_seed(1)
    films = torch.stack(
        [carbon_film(mask, 2.0, 50.0, generator).potential_V_A for _ in range(40)]
    )  # 40 x 25 components: a mean that is good to 3 %
    low = torch.fft.rfft2(films)[:, 1:6, 1:6].abs().square().mean() * 2.0**2 / 128**2
    assert low == pytest.approx(0.10 * 50 * (47.878 * 2.51) ** 2 * 0.08, rel=0.1)


def test_gold_is_darker_than_carbon_and_has_grains():
    mask, generator = torch.ones(128, 128), torch.Generator().manual_seed(1)
    carbon = carbon_film(mask, 3.0, 200.0, generator).transmission
    gold = gold_film(mask, 3.0, 200.0, generator).transmission
    assert gold.max() < carbon.min()
    assert gold.std() > 0.02


def test_crystals_cover_some_of_the_field_and_weaken_the_beam_there():
    rng = np.random.default_rng(2)
    overlay = contamination((256, 256), 4.0, np.array([300.0, 500.0]), 6.5e-4, rng)
    covered = overlay.potential_V_A > 0
    assert 0.01 < covered.float().mean() < 0.5
    assert (overlay.transmission[covered] < 1).all()
    assert (overlay.transmission[~covered] == 1).all()
    assert (overlay.potential_V_A * 6.5e-4).max() <= 0.4


def test_the_same_settings_give_the_same_field_and_another_seed_another(particles):
    first, again = (simulate_field(settings_of(), particles) for _ in range(2))
    other = simulate_field(settings_of(seed=12), particles)
    assert torch.equal(first.even, again.even)
    assert torch.equal(first.truth, again.truth)
    assert not torch.equal(first.truth, other.truth)


def test_both_halves_hold_half_of_the_truth_and_noise_of_their_own(particles):
    field = simulate_field(settings_of(), particles)
    noises = [half - field.truth / 2 for half in (field.even, field.odd)]
    for noise in noises:
        assert noise.mean().abs() < 0.01 * field.truth.mean()
        assert noise.var() / (field.truth.mean() / 2) == pytest.approx(1, abs=0.03)
    assert torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))[0, 1].abs() < 0.02
    torch.testing.assert_close(field.full, field.even + field.odd)


def test_noise_has_the_detectors_colour(particles):
    integrating = Detector("blurred", 0.2, 0.0, 0.0, 1.0, 2.0)
    settings = settings_of(detector=integrating, recorded_pixel_size_A=2.25)
    field = simulate_field(settings, particles)
    noise = torch.fft.rfft2(field.even - field.truth / 2).abs().square() / 192**2
    u = frequency_per_A((192, 192), (2.25, 2.25)) * 4.5
    rate = field.truth.mean() / 2
    for low, high in ((0.05, 0.2), (0.4, 0.5), (0.8, 0.95)):
        inside = (u > low) & (u < high)
        expected = integrating.noise_power(u[inside]).mean()
        assert noise[inside].mean() / rate == pytest.approx(float(expected), rel=0.08)


def test_an_empty_fields_truth_is_the_signal_of_ice(particles):
    settings = settings_of(content="empty")
    field = simulate_field(settings, particles)
    contrast = 1 - field.truth / field.truth.mean()
    k = frequency_per_A((192, 192), (2.25, 2.25))
    density = torch.fft.rfft2(contrast).abs().square() * 2.25**2 / 192**2
    scope = settings.microscope
    inside = (k > 0.05) & (k < 0.2)
    passed = torch.exp(k * k * (-scope.envelope_A2 / 2)) * scope.contrast_fraction**2 / 2
    expected = (water_power_A2(scope, k) * passed)[inside].mean()
    assert density[inside].mean() == pytest.approx(float(expected), rel=0.15)


def test_a_better_mtf_shows_more_signal(particles):
    soft = settings_of(detector=Detector("soft", 0.2), recorded_pixel_size_A=2.25)
    sharp = settings_of(recorded_pixel_size_A=2.25)
    variances = [simulate_field(one, particles).truth.var() for one in (soft, sharp)]
    assert variances[0] < variances[1]


def test_borders_hold_nothing_and_a_beam_edge_is_dark(particles):
    field = simulate_field(settings_of(border_px=(3, 0, 5, 2), beam_edge=True), particles)
    for image in (field.even, field.odd, field.truth):
        assert not image[:3].any()
        assert not image[:, :5].any()
        assert not image[:, -2:].any()
    inside = field.truth[3:, 5:-2]
    assert inside.min() < 0.2 * inside.max()


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_content_can_be_simulated(content, seed, particles):
    field = simulate_field(settings_of(content=content, seed=seed, broken_share=0.4), particles)
    assert field.truth.isfinite().all()
    assert field.truth.shape == (192, 192)


@pytest.mark.parametrize("film", ["carbon", "gold"])
def test_films_take_electrons_away(film, particles):
    bare, covered = (
        simulate_field(settings_of(content="empty", film=one, film_share=0.5), particles)
        for one in ("none", film)
    )
    assert covered.truth.mean() < 0.99 * bare.truth.mean()


def test_particles_make_the_field_brighter_and_darker_than_ice_does(particles):
    dense = [Particle("dense", blob(6000, 10.0), (blob(500),))]
    empty, full = (
        simulate_field(settings_of(content=content), dense) for content in ("empty", "particles")
    )
    assert full.truth.var() > 2 * empty.truth.var()


def test_what_is_left_out_is_never_drawn_and_all_else_stays_in_its_ranges():
    ranges = FieldRanges()
    drawn = [draw_field_settings(ranges, 256, 4, index) for index in range(400)]
    for one in drawn:
        scope = one.microscope
        assert not 20 < scope.dose_e_per_A2 < 25
        assert 5 <= scope.dose_e_per_A2 <= 80
        assert one.detector.name != "Falcon 2 integrating"
        assert 4.5 <= one.max_resolution_A <= 12.001
        assert 2 * one.recorded_pixel_size_A <= one.max_resolution_A * (1 + 1e-9)
        assert scope.pixel_size_A == pytest.approx(one.max_resolution_A / 2)
        assert 0.4 <= scope.defocus_um[0] <= 3.5
    assert {one.content for one in drawn} == set(CONTENTS)
    assert 0.2 < np.mean([not one.phase_flip for one in drawn]) < 0.4
    assert {one.film for one in drawn} == {"none", "carbon", "gold"}


def test_a_fields_settings_depend_on_seed_and_index_alone():
    ranges = FieldRanges()
    assert draw_field_settings(ranges, 256, 4, 7) == draw_field_settings(ranges, 256, 4, 7)
    assert draw_field_settings(ranges, 256, 4, 7) != draw_field_settings(ranges, 256, 5, 7)
