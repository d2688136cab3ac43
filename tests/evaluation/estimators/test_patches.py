"""Covariances patch by patch: against white noise, a sine, a slope of ice, and single pixels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from simulated_halves import coloured, white

from restore.evaluation.estimators import spectra
from restore.evaluation.estimators.spectra import RingAxis, patch_covariances
from restore.fourier import frequency_per_A

PIXEL_A = 2.0


def measured(image, other=None, patch_px=64, pixel_size_yx_A=(PIXEL_A, PIXEL_A)):
    """Mean over patches of what each ring adds to the covariance of two images."""
    images = torch.stack([image, image if other is None else other])
    axis = RingAxis(patch_px // 4, 0.25 / (patch_px // 4))
    return (
        patch_covariances(images, [(0, 1)], pixel_size_yx_A, patch_px, axis)[:, :, 0]
        .double()
        .mean(dim=(0, 1))
    )


def components_in_rings(patch_px, rings):
    """The share of a patch's Fourier components that lies in each ring, counted one by one on the
    whole plane.
    """
    f = torch.fft.fftfreq(patch_px, PIXEL_A)
    radius = torch.hypot(f[:, None], f[None]) / (0.25 / rings)
    nearest = torch.where(radius <= rings * (1 + 1e-6), radius.round(), 0)
    return torch.stack([(nearest == ring).double().mean() for ring in range(1, rings + 1)])


def test_white_noise_has_the_same_power_in_every_fourier_component():
    power = measured(white((1024, 768), seed=0)) / components_in_rings(64, 16)
    assert power[1:].numpy() == pytest.approx([1.0] * 15, abs=0.04)
    assert 0.8 < power[0] < 1.1  # what is taken off as the mean of a patch is missing here


def test_the_window_keeps_the_variance_that_the_rings_hold():
    image = white((1024, 768), seed=1)
    inside = frequency_per_A((1024, 768), (PIXEL_A, PIXEL_A)) <= 0.22
    image = torch.fft.irfft2(torch.fft.rfft2(image) * inside, s=image.shape)
    assert float(measured(image).sum()) == pytest.approx(float(image.var()), rel=0.01)


@pytest.mark.parametrize("pixel_size_yx_A", [(2.0, 2.0), (2.0, 2.1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_sine_lands_in_its_ring_with_its_variance(axis, pixel_size_yx_A):
    ring, shape = 5, (200, 150)
    frequency_per_px = ring * 0.25 / 16 * pixel_size_yx_A[axis]
    wave = torch.sin(2 * math.pi * frequency_per_px * torch.arange(shape[axis]))
    image = (wave[:, None] if axis == 0 else wave[None]).expand(shape)
    power = measured(image, pixel_size_yx_A=pixel_size_yx_A)
    assert int(power.argmax()) == ring - 1
    assert float(power[ring - 2 : ring + 1].sum()) == pytest.approx(0.5, rel=0.01)
    assert float(power.sum()) == pytest.approx(0.5, rel=0.01)


def test_a_slope_of_ice_stays_in_the_lowest_rings_and_would_not_without_the_window(monkeypatch):
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(200.0), indexing="ij")
    slope = 100 + 0.05 * rows - 0.08 * columns
    windowed = measured(slope)
    monkeypatch.setattr(spectra, "hann", lambda size: torch.ones(size, size))
    bare = measured(slope)
    assert float(windowed[2:].sum() / windowed.sum()) < 1e-3
    assert float(bare[2:].sum() / bare.sum()) > 0.05


def test_covariances_have_a_sign():
    image = coloured((128, 96), 3, lambda f: torch.exp(-((f / 0.1) ** 2)))
    assert torch.allclose(measured(image, -image), -measured(image))


@given(
    extent=st.tuples(st.integers(32, 90), st.integers(32, 90)),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_pixel_is_left_out(extent, where):
    image = torch.zeros(extent)
    image[
        tuple(min(int(share * side), side - 1) for share, side in zip(where, extent, strict=True))
    ] = 1e6
    assert float(measured(image, patch_px=32).sum()) > 0


def test_an_image_smaller_than_a_patch_is_refused():
    with pytest.raises(ValueError, match="64 pixels in an image of 63"):
        measured(torch.zeros(63, 100))
