"""Objects in a field other than the specimen: edges of carbon and gold films, ice crystals, drops
of ethane.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.fourier import frequency_per_A
from restore.maps.potential import VOLT_A3_PER_SCATTERING_A
from restore.simulation.scatterers import scattering_shape
from restore.simulation.specimen import WATER_V

CARBON_V = 9.0
"""Mean inner potential of amorphous carbon."""

MEAN_FREE_PATH_A = {"carbon": 1800.0, "gold": 350.0, "crystal": 3000.0}
"""Thickness after which 1/e of the electrons are left; the others are scattered out of the aperture
or lost inelastically.
"""

_CARBON_PER_A3, _CARBON_LENGTH_A = 0.10, 2.51
_CARBON_LONG_RANGE = 0.08  # amorphous carbon's structure factor far below its first peak
_LARGEST_PHASE = 0.4  # radians: the limit of the weak-phase approximation


@dataclass(frozen=True)
class Overlay:
    """The effect of an object on the image: its potential (V × Å), and the share of electrons that
    it transmits.
    """

    potential_V_A: Float[Tensor, "y x"]
    transmission: Float[Tensor, "y x"]


def hole_edge(
    shape: tuple[int, int],
    pixel_size_A: float,
    radius_A: float,
    covered: float,
    rng: np.random.Generator,
) -> Float[Tensor, "y x"]:
    """A mask of the film about a round hole with a rough rim: one on the film, zero in the hole.

    About ``covered`` of the image, in one direction drawn at random, is film.
    """
    extent_A = np.array(shape) * pixel_size_A
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.sin(angle), np.cos(angle)])
    reach_A = float(np.abs(direction) @ extent_A) / 2
    middle_A = extent_A / 2 + direction * ((1 - 2 * covered) * reach_A - radius_A)
    y = torch.arange(shape[0])[:, None] * pixel_size_A - middle_A[0]
    x = torch.arange(shape[1])[None, :] * pixel_size_A - middle_A[1]
    distance_A, turn = torch.hypot(y, x), torch.atan2(y, x)
    rim_A = torch.full_like(distance_A, radius_A)
    for period_A in rng.uniform(100, 1500, 6):
        waves = 2 * np.pi * radius_A / period_A
        rim_A += 0.012 * period_A * torch.sin(waves * turn + rng.uniform(0, 2 * np.pi))
    return torch.sigmoid((distance_A - rim_A) / (1.5 * pixel_size_A))


def carbon_film(
    mask: Float[Tensor, "y x"], pixel_size_A: float, thickness_A: float, generator: torch.Generator
) -> Overlay:
    """Amorphous carbon where the mask is one: its mean potential, and the grain of its atoms.

    The grain is Gaussian, of spectral density n T (47.878 f(k))² S for n carbon atoms per Å3 in
    thickness T.
    """
    shape = (mask.shape[0], mask.shape[1])
    k = frequency_per_A(shape, (pixel_size_A, pixel_size_A))
    amplitude = VOLT_A3_PER_SCATTERING_A * _CARBON_LENGTH_A * scattering_shape(k)
    power = _CARBON_PER_A3 * thickness_A * amplitude.square() * _CARBON_LONG_RANGE
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    grain = torch.fft.irfft2(white * power.sqrt() / pixel_size_A, s=shape)
    transmission = torch.exp(mask * (-thickness_A / MEAN_FREE_PATH_A["carbon"]))
    return Overlay(mask * (CARBON_V * thickness_A + grain), transmission)


def gold_film(
    mask: Float[Tensor, "y x"], pixel_size_A: float, thickness_A: float, generator: torch.Generator
) -> Overlay:
    """Polycrystalline gold where the mask is one: dark, in grains of 50 to 300 Å that diffract more
    or less.
    """
    shape = (mask.shape[0], mask.shape[1])
    k = frequency_per_A(shape, (pixel_size_A, pixel_size_A))
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    grains = torch.fft.irfft2(white * torch.exp(-((k * 120.0) ** 2) * 2), s=shape)
    varied = 1 + 0.25 * torch.tanh(grains / grains.std())
    transmission = torch.exp(mask * varied * (-thickness_A / MEAN_FREE_PATH_A["gold"]))
    return Overlay(torch.zeros_like(mask), transmission)


def contamination(
    shape: tuple[int, int],
    pixel_size_A: float,
    sizes_A: Float[np.ndarray, "n"],
    interaction_per_V_A: float,
    rng: np.random.Generator,
) -> Overlay:
    """Ice crystals with angular outlines and round drops of ethane, at random places; ``sizes_A``
    are diameters.

    A thick crystal's phase is limited to what a weak-phase image can show.
    """
    thickness_A = torch.zeros(shape)
    for size_A in sizes_A:
        centre = rng.uniform(0, 1, 2) * shape
        half_px = int(np.ceil(0.75 * size_A / pixel_size_A)) + 2
        low = np.maximum(np.floor(centre).astype(int) - half_px, 0)
        high = np.minimum(np.floor(centre).astype(int) + half_px, shape)
        if (high <= low).any():
            continue
        y = (torch.arange(int(low[0]), int(high[0]))[:, None] - centre[0]) * pixel_size_A
        x = (torch.arange(int(low[1]), int(high[1]))[None, :] - centre[1]) * pixel_size_A
        bump = _crystal if rng.random() < 0.5 else _drop
        thickness_A[low[0] : high[0], low[1] : high[1]] += bump(y, x, float(size_A), rng)
    phase = thickness_A * (WATER_V * interaction_per_V_A)
    potential = _LARGEST_PHASE * torch.tanh(phase / _LARGEST_PHASE) / interaction_per_V_A
    return Overlay(potential, torch.exp(-thickness_A / MEAN_FREE_PATH_A["crystal"]))


def _crystal(y: Tensor, x: Tensor, size_A: float, rng: np.random.Generator) -> Tensor:
    """A polygon of three to seven sides, bevelled at its edges."""
    inside_A = torch.full(torch.broadcast_shapes(y.shape, x.shape), torch.inf)
    sides = rng.integers(3, 8)
    for angle in 2 * np.pi * (np.arange(sides) + rng.uniform(0, 0.7, sides)) / sides:
        distance_A = size_A / 2 * rng.uniform(0.5, 1.0) - (np.sin(angle) * y + np.cos(angle) * x)
        inside_A = torch.minimum(inside_A, distance_A)
    return inside_A.clamp(0, size_A * float(rng.uniform(0.05, 0.3)))


def _drop(y: Tensor, x: Tensor, size_A: float, rng: np.random.Generator) -> Tensor:
    """A flattened ball."""
    squared = 1 - (torch.hypot(y, x) / (size_A / 2)).square()
    return squared.clamp(min=0).sqrt() * (size_A * float(rng.uniform(0.15, 0.6)))
