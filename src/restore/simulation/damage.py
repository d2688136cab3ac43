"""Radiation damage: the contrast that is left after an exposure, by spatial frequency."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_REST_ENERGY_KEV = 510.999


def critical_exposure_e_per_A2(
    k_per_A: Float[Tensor, "*grid"], voltage_kV: float
) -> Float[Tensor, "*grid"]:
    """The exposure after which contrast at ``k_per_A`` has fallen to 1/√e: 0.245 k^−1.665 + 2.81 at
    300 kV.

    Grant & Grigorieff 2015 (eLife 4, e06980), eq. 3. For other voltages it is scaled by the damage
    per electron, which is proportional to 1/v²: 0.80 times at 200 kV, the factor that they give.

    >>> exposures = critical_exposure_e_per_A2(torch.tensor([1 / 20, 1 / 3]), 300.0)
    >>> [round(exposure, 2) for exposure in exposures.tolist()]
    [38.73, 4.34]
    """
    return (0.245 * k_per_A**-1.665 + 2.81) * (_speed_squared(voltage_kV) / _speed_squared(300.0))


def amplitude_left(
    k_per_A: Float[Tensor, "*grid"], exposure_e_per_A2: float, voltage_kV: float
) -> Float[Tensor, "*grid"]:
    """The share of the contrast's amplitude that is left after an exposure: exp(−N / 2 Nc), eq. 2;
    one at DC.
    """
    return torch.exp(-exposure_e_per_A2 / (2 * critical_exposure_e_per_A2(k_per_A, voltage_kV)))


def mean_amplitude_left(
    k_per_A: Float[Tensor, "*grid"], dose_e_per_A2: float, frames: int, voltage_kV: float
) -> Float[Tensor, "*grid"]:
    """The share of the amplitude that is left in the sum of all frames, each taken at its
    middle.
    """
    left = torch.zeros_like(k_per_A)
    for frame in range(frames):
        left += amplitude_left(
            k_per_A, exposure_in_frame_e_per_A2(dose_e_per_A2, frames, frame), voltage_kV
        )
    return left / frames


def exposure_in_frame_e_per_A2(dose_e_per_A2: float, frames: int, frame: int) -> float:
    """The electrons per Å² that the specimen has received by the middle of a frame (counted from
    zero).
    """
    return dose_e_per_A2 * (frame + 0.5) / frames


def _speed_squared(voltage_kV: float) -> float:
    """(v/c)² of an electron."""
    return 1 - 1 / math.pow(1 + voltage_kV / _REST_ENERGY_KEV, 2)
