"""Rotational averages and Guinier fits: blobs of known B factor, known errors, one scale for maps
of unlike boxes.
"""

import math

import pytest
import torch
from map_world import lump

from restore.atoms import Atoms
from restore.maps.guinier import (
    AmplitudeSpectrum,
    TooFewShellsError,
    guinier_fit,
    on_one_scale,
    rotational_amplitudes,
)
from restore.maps.potential import model_map


def blob(side, voxel_A, sigma_A):
    """A Gaussian in the middle of a box."""
    grid = (torch.arange(side, dtype=torch.float64) - side // 2) * voxel_A
    squared = grid[:, None, None] ** 2 + grid[:, None] ** 2 + grid**2
    return torch.exp(-squared / (2 * sigma_A**2))


@pytest.mark.parametrize("sigma_A", [1.5, 2.0])
@pytest.mark.parametrize(("side", "voxel_A"), [(64, 1.2), (45, 1.0)])
def test_a_gaussian_has_the_b_factor_of_its_width(side, voxel_A, sigma_A):
    spectrum = rotational_amplitudes(blob(side, voxel_A, sigma_A), (voxel_A,) * 3)
    fit = guinier_fit(spectrum, 30, 4)
    assert fit.bfactor_A2 == pytest.approx(-8 * math.pi**2 * sigma_A**2, rel=0.01)
    assert fit.r_squared > 0.999 and fit.slope_A2 == fit.bfactor_A2 / 4
    integral = (2 * math.pi * sigma_A**2) ** 1.5
    assert math.exp(fit.intercept) == pytest.approx(integral / (side * voxel_A) ** 3, rel=0.04)


def test_the_mean_over_a_shell_is_that_of_a_loop_over_its_components():
    volume = torch.randn(7, 8, 10, generator=torch.Generator().manual_seed(0))
    averaged = rotational_amplitudes(volume, (1.0, 1.1, 1.2))
    spectrum = torch.fft.rfftn(volume, norm="forward").abs()
    longest_A, shells = 12.0, {}
    for z in range(7):
        for y in range(8):
            for x in range(6):
                parts = (min(z, 7 - z) / 7.0, min(y, 8 - y) / 8.8, x / 12.0)
                shell = math.floor(math.sqrt(sum(part**2 for part in parts)) * longest_A + 0.5)
                shells.setdefault(shell, []).append(float(spectrum[z, y, x]))
    for shell, amplitude in enumerate(averaged.amplitude):
        assert float(amplitude) == pytest.approx(sum(shells[shell]) / len(shells[shell]), rel=1e-5)


def test_a_b_factor_on_every_atom_is_found_as_the_difference_of_two_fits():
    sharp = lump()
    blurred = Atoms(sharp.elements, sharp.position_A, sharp.bfactor_A2 + 90)
    fits = [
        guinier_fit(
            rotational_amplitudes(
                model_map(model, (48,) * 3, (1.5,) * 3, (-36.0,) * 3), (1.5,) * 3
            ),
            10,
            3.2,
        )
        for model in (sharp, blurred)
    ]
    assert fits[1].bfactor_A2 - fits[0].bfactor_A2 == pytest.approx(-90, abs=1.5)


def test_the_error_of_the_fit_is_the_scatter_of_fits():
    fits = []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        frequency = torch.arange(40, dtype=torch.float64) / 100
        scatter = 0.1 * torch.randn(40, generator=generator, dtype=torch.float64)
        fits.append(
            guinier_fit(
                AmplitudeSpectrum(frequency, torch.exp(-25 * frequency**2 + scatter)), 10, 2.6
            )
        )
    factors, errors = (
        torch.tensor([getattr(fit, name) for fit in fits])
        for name in ("bfactor_A2", "bfactor_error_A2")
    )
    assert float(factors.mean()) == pytest.approx(
        -100, abs=3 * float(factors.std()) / math.sqrt(40)
    )
    assert float(errors.mean()) == pytest.approx(float(factors.std()), rel=0.3)


def test_the_ends_belong_to_the_fit_and_empty_shells_do_not():
    frequency = torch.arange(11, dtype=torch.float64) / 20
    amplitude = torch.exp(-5 * frequency**2)
    amplitude[6] = 0
    fit = guinier_fit(AmplitudeSpectrum(frequency, amplitude), 10, 2.5)
    assert (
        fit.shells == 6
        and fit.bfactor_A2 == pytest.approx(-20)
        and fit.bfactor_error_A2 == pytest.approx(0, abs=1e-6)
    )
    with pytest.raises(TooFewShellsError, match="2 shells with amplitudes between 10 and 6 Å"):
        guinier_fit(AmplitudeSpectrum(frequency, amplitude), 10, 6)


def test_one_scale_is_that_of_the_coarse_shells_whatever_the_box():
    atoms = lump()
    small, large = (
        rotational_amplitudes(
            model_map(atoms, (side,) * 3, (voxel_A,) * 3, (-side // 2 * voxel_A,) * 3),
            (voxel_A,) * 3,
        )
        for side, voxel_A in ((40, 1.5), (48, 2.0))
    )
    assert float(small.amplitude[3] / large.amplitude[5]) > 2
    scaled = on_one_scale(large, small)
    for resolution_A in (8.0, 6.0, 5.0):
        one, other = (
            float(
                spectrum.amplitude[
                    int((spectrum.frequency_per_A - 1 / resolution_A).abs().argmin())
                ]
            )
            for spectrum in (small, scaled)
        )
        assert other == pytest.approx(one, rel=0.25)
    torch.testing.assert_close(on_one_scale(small, small).amplitude, small.amplitude)
    with pytest.raises(TooFewShellsError, match="no amplitudes between 40 and 12 Å"):
        on_one_scale(rotational_amplitudes(torch.rand(8, 8, 8), (1.0,) * 3), small)
