"""Sharpening: its parts, its identities, a Gaussian whose width is known."""

import math

import pytest
import torch

from restore.maps.fsc import FSC, ShellAxis
from restore.maps.guinier import (
    GuinierSettings,
    TooFewShellsError,
    guinier_fit,
    rotational_amplitudes,
)
from restore.maps.sharpening import SharpenSettings, UnresolvedError, fsc_weight, sharpen, sharpened

SIDE, VOXEL = 48, (1.5, 1.5, 1.5)
AXIS = ShellAxis((SIDE,) * 3, VOXEL)
SHELLS = torch.arange(AXIS.count, dtype=torch.float64)


def white(seed=0):
    return torch.randn(
        (SIDE,) * 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def falling(last):
    """An FSC that is 1 at the centre and falls below 0.143 after shell ``last``, to end at zero."""
    return FSC(AXIS.frequency_per_A, torch.where(last >= SHELLS, 1 - 0.8 * SHELLS / last, 0.0))


def test_the_weight_is_a_half_where_the_fsc_is_a_seventh_and_nothing_once_it_was_negative():
    curve = torch.tensor([1.0, 1 / 7, 0.5, -0.01, 0.9])
    expected = torch.tensor([1.0, 0.5, math.sqrt(2 / 3), 0.0, 0.0])
    torch.testing.assert_close(fsc_weight(curve), expected)


def test_a_b_factor_is_taken_off_by_its_negative():
    band_limited = sharpened(white(), VOXEL, 0.0)
    back = sharpened(sharpened(band_limited, VOXEL, 120.0), VOXEL, -120.0)
    torch.testing.assert_close(back, band_limited)
    torch.testing.assert_close(sharpened(band_limited, VOXEL, 0.0), band_limited)


def test_a_negative_b_factor_narrows_a_gaussian_by_that_much():
    grid = (torch.arange(SIDE, dtype=torch.float64) - SIDE // 2) * VOXEL[0]
    squared = grid[:, None, None] ** 2 + grid[:, None] ** 2 + grid**2
    wide, narrow = (torch.exp(-squared / (2 * sigma**2)) / sigma**3 for sigma in (3.0, 2.0))
    sharp = sharpened(wide, VOXEL, -8 * math.pi**2 * (9.0 - 4.0))
    torch.testing.assert_close(sharp, narrow, atol=1e-3 * float(narrow.max()), rtol=0)


def test_the_low_pass_keeps_what_is_a_shell_coarser_and_ends_a_shell_finer():
    before = rotational_amplitudes(sharpened(white(), VOXEL, 0.0), VOXEL).amplitude
    after = rotational_amplitudes(
        sharpened(white(), VOXEL, 0.0, lowpass_A=72.0 / 12), VOXEL
    ).amplitude
    torch.testing.assert_close(after[:11], before[:11])
    assert float(after[12] / before[12]) == pytest.approx(0.5, abs=0.05)
    assert float((after[14:] / before[14:]).max()) < 1e-6


def test_the_steps_are_weight_fit_b_factor_and_low_pass():
    fsc = falling(18)
    result = sharpen(
        sharpened(white(), VOXEL, 80.0), VOXEL, fsc, SharpenSettings(), GuinierSettings(20, None)
    )
    resolution_A = 72 / 18
    assert result.lowpass_A == pytest.approx(resolution_A) and result.fit is not None
    assert (
        result.fit.to_A == pytest.approx(resolution_A)
        and result.bfactor_A2 == result.fit.bfactor_A2 < -80
    )
    torch.testing.assert_close(
        result.weighted.amplitude, result.original.amplitude * fsc_weight(fsc.unmasked)
    )
    flat = guinier_fit(rotational_amplitudes(result.volume, VOXEL), 20, 72 / 17)
    assert abs(flat.bfactor_A2) < 0.12 * abs(result.bfactor_A2)
    torch.testing.assert_close(rotational_amplitudes(result.volume, VOXEL), result.after)


def test_what_is_given_overrules_the_fit_and_the_resolution():
    result = sharpen(
        white(), VOXEL, falling(18), SharpenSettings(-50.0, 0.0), GuinierSettings(10, 9.9)
    )
    assert result.bfactor_A2 == -50 and result.lowpass_A is None and result.fit is None
    unsharpened = sharpen(white(), VOXEL, falling(18), SharpenSettings(0.0, 0.0), GuinierSettings())
    assert unsharpened.bfactor_A2 == 0
    torch.testing.assert_close(
        unsharpened.after.amplitude[:-1], unsharpened.weighted.amplitude[:-1]
    )


def test_maps_that_agree_nowhere_and_fits_without_shells_are_refused():
    with pytest.raises(UnresolvedError, match=r"under 0\.143 from the first shell on"):
        sharpen(
            white(),
            VOXEL,
            FSC(AXIS.frequency_per_A, torch.where(SHELLS == 0, 1.0, 0.0).double()),
            SharpenSettings(),
            GuinierSettings(),
        )
    with pytest.raises(TooFewShellsError):
        sharpen(white(), VOXEL, falling(6), SharpenSettings(), GuinierSettings(13, None))
