"""A field of a training set, as described by `field_settings`, recorded as two halves, with its
truth.

The field is made on the grid of a prepared (cropped) micrograph. Fourier cropping keeps white noise
white and is linear, so this gives the same as cropping a larger simulation, in a tenth of the time;
the detector's curves are those of the recorded pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.ctf import ctf
from restore.fourier import frequency_per_A
from restore.micrograph import CTFParameters
from restore.simulation.assemblies import Particle
from restore.simulation.damage import mean_amplitude_left
from restore.simulation.detectors import interpolation_transfer
from restore.simulation.field_contents import clouds_in_field
from restore.simulation.field_settings import FieldSettings
from restore.simulation.ice import ice_gradient, interaction_per_V_A, water_spectrum
from restore.simulation.microscope import draw_ctf
from restore.simulation.scatterers import projected_potential
from restore.simulation.specimen import fast_length
from restore.simulation.supports import (
    Overlay,
    carbon_film,
    contamination,
    gold_film,
    hole_edge,
)

MARGIN_A = 150.0
"""How far the canvas reaches beyond the field on every side."""


@dataclass(frozen=True)
class Field:
    """Two halves of one exposure, the noise-free full sum (CTF applied), and its CTF, in electrons
    per pixel.
    """

    even: Float[Tensor, "y x"]
    odd: Float[Tensor, "y x"]
    truth: Float[Tensor, "y x"]
    ctf: CTFParameters
    settings: FieldSettings

    @property
    def full(self) -> Float[Tensor, "y x"]:
        """The full sum."""
        return self.even + self.odd


@dataclass(frozen=True)
class _Canvas:
    """The periodic canvas that a field is cut from, and the random numbers for its contents."""

    settings: FieldSettings
    shape: tuple[int, int]
    numbers: np.random.Generator
    noise: torch.Generator


def simulate_field(settings: FieldSettings, particles: Sequence[Particle]) -> Field:
    """The field described by the settings, with some of these particles. The same settings give the
    same field.
    """
    rng = np.random.default_rng([settings.seed, 3])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    shape, pixel_A = settings.microscope.shape, settings.microscope.pixel_size_A
    margin = int(np.ceil(MARGIN_A / pixel_A))
    canvas = (fast_length(shape[0] + 2 * margin), fast_length(shape[1] + 2 * margin))
    parameters = draw_ctf(settings.microscope, rng)
    whole = _Canvas(settings, canvas, rng, generator)
    overlay = _overlay(whole)
    contrast = _contrast(whole, particles, parameters, overlay)
    inside = (slice(margin, margin + shape[0]), slice(margin, margin + shape[1]))
    intensity = (
        settings.microscope.dose_e_per_A2 * pixel_A**2 * ice_gradient(settings.microscope, rng)
    )
    intensity = intensity * _beam(settings, shape, rng)
    truth = (intensity * overlay.transmission[inside] * (1 - contrast[inside])).clamp(min=0)
    halves = [_recorded(truth / 2, settings, generator) for _ in range(2)]
    even, odd, truth = (_with_borders(image, settings) for image in (*halves, truth))
    return Field(even, odd, truth, parameters, settings)


def _contrast(
    whole: _Canvas, particles: Sequence[Particle], parameters: CTFParameters, overlay: Overlay
) -> Float[Tensor, "canvas_y canvas_x"]:
    """The fraction by which the canvas is darker than its mean, with all blurring of the signal."""
    settings, canvas = whole.settings, whole.shape
    microscope, pixel_A = settings.microscope, settings.microscope.pixel_size_A
    clouds = clouds_in_field(settings, particles, canvas, whole.numbers)
    k = frequency_per_A(canvas, (pixel_A, pixel_A))
    per_V_A = interaction_per_V_A(microscope.voltage_kV)
    spectrum = projected_potential(clouds, canvas, pixel_A) + torch.fft.rfft2(overlay.potential_V_A)
    spectrum *= 2 * per_V_A
    spectrum += water_spectrum(microscope, canvas, k, whole.noise)
    spectrum *= ctf(parameters, canvas, (pixel_A, pixel_A)) * microscope.contrast_fraction
    spectrum *= torch.exp(k * k * (-microscope.envelope_A2 / 4))
    spectrum *= settings.detector.mtf(k * 2 * settings.recorded_pixel_size_A)
    if microscope.radiation_damage:
        spectrum *= mean_amplitude_left(k, microscope.dose_e_per_A2, 10, microscope.voltage_kV)
    if settings.interpolated:
        spectrum *= interpolation_transfer(canvas, pixel_A, settings.recorded_pixel_size_A)[0]
    spectrum[0, 0] = 0
    return torch.fft.irfft2(spectrum, s=canvas)


def _overlay(whole: _Canvas) -> Overlay:
    """Films and crystals together."""
    settings, rng = whole.settings, whole.numbers
    pixel_A = settings.microscope.pixel_size_A
    potential, transmission = torch.zeros(whole.shape), torch.ones(whole.shape)
    added: list[Overlay] = []
    if settings.film != "none":
        radius_A = float(rng.uniform(3000, 12000))
        mask = hole_edge(whole.shape, pixel_A, radius_A, settings.film_share, rng)
        if settings.film == "carbon":
            thickness_A = float(rng.uniform(30, 250))
            added.append(carbon_film(mask, pixel_A, thickness_A, whole.noise))
        else:
            thickness_A = float(rng.uniform(150, 500))
            added.append(gold_film(mask, pixel_A, thickness_A, whole.noise))
    if settings.crystals:
        sizes_A = np.exp(rng.uniform(np.log(60), np.log(1200), settings.crystals))
        per_V_A = interaction_per_V_A(settings.microscope.voltage_kV)
        added.append(contamination(whole.shape, pixel_A, sizes_A, per_V_A, rng))
    for overlay in added:
        potential = potential + overlay.potential_V_A
        transmission = transmission * overlay.transmission
    return Overlay(potential, transmission)


def _beam(
    settings: FieldSettings, shape: tuple[int, int], rng: np.random.Generator
) -> Float[Tensor, "y x"]:
    """The intensity of the beam: one, or cut off by an edge that leaves a corner dark."""
    if not settings.beam_edge:
        return torch.ones(shape)
    lit = 1 - hole_edge(shape, 1.0, float(rng.uniform(0.6, 2.0)) * max(shape), 0.15, rng)
    return 0.02 + 0.98 * lit


def _recorded(
    rate: Float[Tensor, "y x"], settings: FieldSettings, generator: torch.Generator
) -> Float[Tensor, "y x"]:
    """A half as recorded by the detector: Poisson noise, coloured by the detector and by
    interpolation.
    """
    shape, pixel_A = settings.microscope.shape, settings.microscope.pixel_size_A
    noise = torch.poisson(rate, generator) - rate
    u = frequency_per_A(shape, (pixel_A, pixel_A)) * (2 * settings.recorded_pixel_size_A)
    power = settings.detector.noise_power(u)
    if settings.interpolated:
        power = power * interpolation_transfer(shape, pixel_A, settings.recorded_pixel_size_A)[1]
    return rate + torch.fft.irfft2(torch.fft.rfft2(noise) * power.sqrt(), s=shape)


def _with_borders(image: Float[Tensor, "y x"], settings: FieldSettings) -> Float[Tensor, "y x"]:
    """The image with rows and columns at its borders that hold no data: zero."""
    top, bottom, left, right = settings.border_px
    bordered = image.clone()
    height, width = image.shape
    bordered[:top], bordered[height - bottom :] = 0, 0
    bordered[:, :left], bordered[:, width - right :] = 0, 0
    return bordered
