"""Injected lattices and spikes are found where they are; noise and Thon rings are neither."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.evaluation.estimators.patterns import lattices, spikes
from restore.quantities import Curve

SHAPE, PIXEL_A = (320, 352), (2.0, 2.0)
Y, X = torch.meshgrid(*(torch.arange(side) for side in SHAPE), indexing="ij")


def noise(seed, thon=0.0):
    """White noise, or noise with the power of Thon rings that fall by a hundred."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(SHAPE, generator=generator)
    if not thon:
        return image
    ky, kx = torch.fft.fftfreq(SHAPE[0])[:, None], torch.fft.rfftfreq(SHAPE[1])[None]
    k2 = ky**2 + kx**2
    weight = (torch.sin(thon * k2).square() + 1e-3) * torch.exp(-k2 / 0.02)
    image = torch.fft.irfft2(torch.fft.rfft2(image) * weight, s=SHAPE)
    return image / image.std()


def wave(ky, kx, share):
    """A wave with this share of the variance of an image of variance one."""
    return math.sqrt(2 * share) * torch.cos(2 * torch.pi * (ky * Y + kx * X))


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 150.0, 500.0]), st.sampled_from([64, 128]))
def test_noise_has_no_lattice(seed, thon, patch_px):
    assert lattices(noise(seed, thon), PIXEL_A, patch_px) == ()


@pytest.mark.parametrize("thon", [0.0, 300.0])
@pytest.mark.parametrize("period_px", [4, 8])
def test_a_lattice_along_both_axes_is_found_with_its_period_and_share(thon, period_px):
    lattice = wave(1 / period_px, 0, 0.04) + wave(0, 1 / period_px, 0.06)
    (line,) = lattices(noise(1, thon) + lattice, PIXEL_A, 128, name="raw")
    assert line.image == "raw" and line.period_px == pytest.approx(period_px)
    assert line.period_A == pytest.approx(2 * period_px)
    assert line.share == pytest.approx(0.1 / 1.1, rel=0.2)


def test_an_oblique_wave_and_one_at_the_nyquist_frequency_are_found():
    image = noise(2) + wave(0.25, 0.125, 0.02) + wave(0, 0.5, 0.01)
    strongest, weaker = lattices(image, PIXEL_A, 64)
    periods = sorted((strongest.period_px, weaker.period_px))
    assert periods == [pytest.approx(2), pytest.approx(1 / math.hypot(0.25, 0.125), abs=0.01)]


def test_a_lattice_under_blank_pixels_alone_is_not_seen():
    blank = (torch.arange(SHAPE[1]) < 176).expand(SHAPE)
    image = noise(3) + wave(0, 0.25, 0.1) * blank
    assert lattices(image, PIXEL_A, 64) and lattices(image, PIXEL_A, 64, blank) == ()
    assert lattices(image, PIXEL_A, 64, torch.ones(SHAPE, dtype=torch.bool)) == ()


def test_an_empty_image_has_no_lattice():
    assert lattices(torch.zeros(SHAPE), PIXEL_A, 64) == ()


FREQUENCY_PER_A = [(index + 1) / 64 / 4.5 for index in range(64)]


def correlation(thon=0.0, error=0.03):
    """A correlation that falls, with Thon rings (π λ defocus), each ring the mean over its width,
    and its interval.
    """

    def swing(frequency_per_A):
        if not thon:
            return 1.0
        inside = [frequency_per_A + FREQUENCY_PER_A[0] * (n - 4.5) / 10 for n in range(10)]
        return sum(math.sin(thon * place**2) ** 2 for place in inside) / 10

    return [math.exp(-f / 0.05) * swing(f) for f in FREQUENCY_PER_A], error


def curve(values, error):
    return Curve(
        tuple(values),
        tuple(value - error for value in values),
        tuple(value + error for value in values),
    )


@pytest.mark.parametrize("thon", [0.0, 300.0, 620.0, 1240.0, 1860.0, 3100.0])
def test_a_correlation_that_falls_and_swings_has_no_spike(thon):
    assert spikes("raw", curve(*correlation(thon)), FREQUENCY_PER_A) == ()


@pytest.mark.parametrize("index", [20, 31, 60])
def test_a_spike_is_found_in_its_ring(index):
    values, error = correlation()
    values[index] += 0.6
    values[index + 1] += 0.2
    (spike,) = spikes("denoised", curve(values, error), FREQUENCY_PER_A)
    assert spike.halves == "denoised"
    assert spike.resolution_A == pytest.approx(1 / FREQUENCY_PER_A[index], abs=1e-3)
    assert spike.value == values[index] and spike.around < spike.value - 0.1


def test_what_is_within_the_error_is_no_spike():
    values, _ = correlation()
    values[40] += 0.3
    assert spikes("raw", curve(values, 0.2), FREQUENCY_PER_A) == ()
    assert len(spikes("raw", curve(values, 0.1), FREQUENCY_PER_A)) == 1


def test_the_last_ring_needs_more_and_gaps_are_no_spikes():
    values, error = correlation()
    values[-1] += 0.2
    assert spikes("raw", curve(values, error), FREQUENCY_PER_A) == ()
    values[-1] += 0.3
    assert len(spikes("raw", curve(values, error), FREQUENCY_PER_A)) == 1
    nothing = Curve((None,) * 64)
    assert spikes("raw", nothing, FREQUENCY_PER_A) == ()
