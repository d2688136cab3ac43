"""Vitreous ice in an exposure: its contrast, and the effect of its thickness on the intensity."""

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore.simulation.settings import SimulationSettings
from restore.simulation.specimen import (
    VOLT_A3_PER_SCATTERING_A,
)

WATERS_PER_A3 = 0.0314  # vitreous ice, 0.94 g/cm³


WATER_SCATTERING_A = 3.04


WATER_RING_PER_A, WATER_RING_WIDTH_PER_A, WATER_RING_HEIGHT = 0.27, 0.022, 3.0


WATER_LONG_RANGE = (
    0.015  # water's structure factor at low frequency, as reduced by movement during the exposure
)


_GRADIENT_TERMS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))


def water_power_A2(
    settings: SimulationSettings, k_per_A: Float[Tensor, "*grid"]
) -> Float[Tensor, "*grid"]:
    """Spectral density of the ice's contrast before the CTF, in Å².

    4 σ² n T f(k)² S(k): n waters per Å3 in thickness T, f water's electron scattering factor, S its
    structure factor, here a low plateau and the ring near 3.7 Å. The plateau is empirical: far
    below that of resting water.
    """
    amplitude = (
        2 * interaction_per_V_A(settings.voltage_kV) * VOLT_A3_PER_SCATTERING_A * WATER_SCATTERING_A
    )
    ring = torch.exp(-(((k_per_A - WATER_RING_PER_A) / WATER_RING_WIDTH_PER_A) ** 2) / 2)
    structure = WATER_LONG_RANGE + WATER_RING_HEIGHT * ring
    b_factor_decay = torch.exp(-12.4 * k_per_A * k_per_A)
    return amplitude**2 * WATERS_PER_A3 * settings.ice_thickness_A * b_factor_decay * structure


def interaction_per_V_A(voltage_kV: float) -> float:
    """The phase shift (radians) per volt × Å of projected potential: 2π m e λ / h², relativistic.

    >>> round(interaction_per_V_A(300.0) * 1e3, 3)
    0.653
    """
    rest_keV = 510.999
    wavelength_A = 12.2643 / math.sqrt(voltage_kV * 1e3 * (1 + voltage_kV / (2 * rest_keV)))
    mass_ratio = (rest_keV + voltage_kV) / (2 * rest_keV + voltage_kV)
    return 2 * math.pi / (wavelength_A * voltage_kV * 1e3) * mass_ratio


def ice_gradient(settings: SimulationSettings, rng: np.random.Generator) -> Float[Tensor, "y x"]:
    """A smooth second-order surface of mean 1 that multiplies the intensity: thin ice is bright."""
    strength = settings.ice_gradient_per_um * max(settings.shape) * settings.pixel_size_A * 1e-4
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float32) for n in settings.shape)
    surface = torch.zeros(settings.shape)
    for power_y, power_x in _GRADIENT_TERMS:
        weight = float(rng.normal()) / (power_y + power_x) ** 2
        surface += weight * (y**power_y)[:, None] * x**power_x
    surface -= surface.mean()
    return 1 + surface * (min(strength, 0.9) / float(surface.max() - surface.min()))


def water_spectrum(
    settings: SimulationSettings,
    canvas: tuple[int, int],
    k_per_A: Float[Tensor, "y kx"],
    generator: torch.Generator,
) -> Complex[Tensor, "y kx"]:
    """The half spectrum of a Gaussian random field of the ice's contrast."""
    white = torch.fft.rfft2(torch.randn(canvas, generator=generator))
    return white.mul_(torch.sqrt(water_power_A2(settings, k_per_A)) / settings.pixel_size_A)
