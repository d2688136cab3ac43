"""Counts split in two: when it may be done, and that it is right then."""

import mrcfile
import numpy as np
import pytest

from restore.errors import UserError
from restore.movies.thinning import counts_of, thin


def poisson(mean=12.0, shape=(200, 256), seed=0):
    """Counts of electrons over a field that is not flat."""
    ramp = 1 + 0.3 * np.linspace(-1, 1, shape[1])
    return np.random.default_rng(seed).poisson(mean * ramp, shape).astype(np.float32)


@pytest.mark.parametrize("mean", [0.3, 1.0, 5.0, 40.0, 300.0])
@pytest.mark.parametrize("unit", [1.0, 104.8, 0.0317])
def test_counts_are_found_whatever_their_unit(mean, unit):
    electrons = poisson(mean)
    counts = counts_of(electrons * np.float32(unit))
    assert counts.unit == pytest.approx(unit, rel=1e-5)
    assert np.array_equal(counts.electrons, electrons) and counts.outliers == 0


def test_counts_that_were_rounded_to_float16_are_found():
    electrons = poisson(30.0)
    counts = counts_of((electrons * np.float32(1.7)).astype(np.float16).astype(np.float32))
    assert np.array_equal(counts.electrons, electrons)


def test_hot_pixels_do_not_hide_the_counts():
    electrons = poisson()
    electrons[5, 6], electrons[7, 8], electrons[9, 10] = 65535, 30000.4, 417
    counts = counts_of(electrons)
    assert counts.unit == 1 and counts.outliers <= 1
    assert counts.electrons[5, 6] == 65535 and counts.electrons[9, 10] == 417


def gain_corrected():
    return poisson() * np.random.default_rng(1).uniform(0.9, 1.1, (200, 256)).astype(np.float32)


def interpolated():
    return (poisson() + np.roll(poisson(), 1, 1) * np.float32(0.3123)).astype(np.float32)


def shifted_to_zero_mean():
    return poisson() - np.float32(12)


def integers_of_an_integrating_detector():
    return (
        np.rint(30 * poisson() + np.random.default_rng(1).normal(0, 20, (200, 256)).clip(-60))
        .clip(0)
        .astype("f4")
    )


def weighted_by_dose():
    spectrum = np.fft.rfft2(poisson(200.0))
    frequency = np.hypot(np.fft.fftfreq(200)[:, None], np.fft.rfftfreq(256)[None])
    return np.fft.irfft2(spectrum * np.exp(-frequency), s=(200, 256)).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (gain_corrected, r"gain reference, dose-weighted, interpolated or filtered"),
        (interpolated, r"gain reference, dose-weighted, interpolated or filtered"),
        (weighted_by_dose, r"gain reference, dose-weighted, interpolated or filtered"),
        (shifted_to_zero_mean, r"its lowest value is -\d+\. Counts are never below zero"),
        (
            integers_of_an_integrating_detector,
            r"their variance is [\d.]+ times their mean.*electrons are counted",
        ),
    ],
)
def test_what_is_no_count_is_refused_with_the_reason(make, message):
    with pytest.raises(UserError, match=message):
        counts_of(make())


def test_halves_add_up_to_the_counts_and_come_again_with_the_same_seed_and_name():
    electrons = poisson(50.0)
    electrons[3, 4], electrons[5, 6] = 437, 0
    counts = counts_of(electrons)
    even, odd = thin(counts, 7, "a.mrc")
    assert np.array_equal(even + odd, electrons)
    assert even.min() >= 0 and odd.min() >= 0
    assert np.array_equal(thin(counts, 7, "a.mrc")[0], even)
    assert not np.array_equal(thin(counts, 8, "a.mrc")[0], even)
    assert not np.array_equal(thin(counts, 7, "b.mrc")[0], even)


@pytest.mark.parametrize("electrons", [1, 2, 17, 63, 64, 65, 200])
def test_every_electron_goes_either_way_with_even_chance(electrons):
    flat = np.full((256, 256), electrons, np.float32)
    flat[0, :128] = np.random.default_rng(0).poisson(electrons, 128)
    from restore.movies.thinning import Counts

    even, _ = thin(Counts(np.full((256, 256), electrons), 1.0, 0), 0, "a")
    size = even.size
    assert even.mean() == pytest.approx(electrons / 2, abs=4 * np.sqrt(electrons / 4 / size))
    assert even.var() == pytest.approx(electrons / 4, rel=4 * np.sqrt(2 / size) + 0.01)


def test_halves_of_poisson_counts_are_independent():
    electrons = np.random.default_rng(0).poisson(20.0, (400, 400)).astype(np.float32)
    even, odd = thin(counts_of(electrons), 0, "a")
    assert abs(np.corrcoef(even.ravel(), odd.ravel())[0, 1]) < 4 / 400


def spectra(images):
    return [np.fft.rfft2(image - image.mean()) for image in images]


def band_correlation(pair, shape, low_A, high_A, pixel_A=0.85378):
    """The correlation of two spectra over a band, and how many components it has."""
    ky, kx = np.fft.fftfreq(shape[0], pixel_A)[:, None], np.fft.rfftfreq(shape[1], pixel_A)[None]
    frequency = np.hypot(ky, kx)
    band = (frequency >= 1 / low_A) & (frequency < 1 / high_A)
    one, two = (spectrum[band] for spectrum in pair)
    return np.sum((one * two.conj()).real) / np.linalg.norm(one) / np.linalg.norm(two), band.sum()


def test_the_real_field_thinned_correlates_as_the_halves_that_came_with_it(shared_data):
    images = [
        mrcfile.read(shared_data / f"k2/k2_field1_{kind}.mrc").astype(np.float32)
        for kind in ("DW", "EVN", "ODD")
    ]
    full, *theirs = (image[:1920, :1920] for image in images)
    ours = thin(counts_of(full), 0, "k2_field1")
    assert np.array_equal(ours[0] + ours[1], full)
    first, second = spectra(theirs), spectra(ours)
    for low_A, high_A in ((200, 60), (60, 25), (25, 15), (4.2, 3.4), (2.5, 1.75)):
        expected, count = band_correlation(first, full.shape, low_A, high_A)
        correlation, _ = band_correlation(second, full.shape, low_A, high_A)
        assert correlation == pytest.approx(expected, abs=4 * np.sqrt(2 / count))
