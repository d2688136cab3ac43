"""Ring covariances against real space, a known sine, and the K2 field's own numbers."""

import math

import mrcfile
import pytest
import torch

from restore.evaluation.estimators.spectra import ring_covariances

BANDS_A = {
    (200, 60): 0.386,
    (60, 25): 0.228,
    (25, 15): 0.105,
    (4.2, 3.4): 0.073,
    (2.5, 1.75): -0.003,
}


def noise(count, shape=(60, 48), seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_rings_sum_to_the_covariance_of_a_band_limited_image():
    images = noise(2, (64, 64))
    frequency = torch.fft.fftfreq(64)[:, None].hypot(torch.fft.rfftfreq(64)[None])
    images = torch.fft.irfft2(torch.fft.rfft2(images) * (frequency < 0.45), s=(64, 64))
    rings = ring_covariances(images, (1.0, 1.0))
    expected = torch.cov(images.flatten(1), correction=0).double()
    assert torch.allclose(rings.covariance[..., 1:].sum(-1), expected, atol=1e-6)


def test_a_sine_lands_in_its_ring():
    wave = torch.sin(2 * math.pi * 6 * torch.arange(64) / 64).expand(64, 64)
    rings = ring_covariances(torch.stack([wave, -wave]), (2.0, 2.0))
    strongest = rings.covariance[0, 0].argmax()
    assert rings.frequency_per_A[strongest] == pytest.approx(6 / 128)
    assert rings.covariance[0, 0, strongest] == pytest.approx(0.5, rel=1e-5)
    assert rings.correlation(0, 1)[strongest] == pytest.approx(-1)


def test_the_covariance_of_independent_noise_is_signed_and_averages_to_nothing():
    rings = ring_covariances(noise(2, (256, 256)), (1.0, 1.0))
    correlation = rings.correlation(0, 1)[10:]
    assert correlation.min() < 0 < correlation.max()
    assert abs(float(correlation.mean())) < 0.01


def test_an_image_correlates_with_itself_whatever_its_scale():
    (image,) = noise(1)
    rings = ring_covariances(torch.stack([image, 5 * image + 3]), (1.5, 1.5))
    assert torch.allclose(rings.correlation(0, 1)[1:], torch.ones(1, dtype=torch.float64))


def test_the_k2_halves_have_the_correlations_that_were_measured_with_numpy(shared_data):
    halves = torch.stack(
        [
            torch.from_numpy(
                mrcfile.read(shared_data / f"k2/k2_field1_{half}.mrc").astype("float32")
            )
            for half in ("EVN", "ODD")
        ]
    )
    rings = ring_covariances(halves, (0.85378, 0.85378))
    for (coarse_A, fine_A), expected in BANDS_A.items():
        assert float(rings.band(coarse_A, fine_A).correlation(0, 1)) == pytest.approx(
            expected, abs=0.002
        )
