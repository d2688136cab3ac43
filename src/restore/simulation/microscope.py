"""One exposure: particles in ice, the contrast transfer function, and electrons counted in frames
and summed to halves.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Complex, Float, Inexact, Int
from torch import Tensor

from restore.ctf import ctf
from restore.fourier import frequency_per_A
from restore.micrograph import CTFParameters
from restore.simulation.damage import mean_amplitude_left
from restore.simulation.ice import ice_gradient, interaction_per_V_A, water_spectrum
from restore.simulation.settings import SimulationSettings
from restore.simulation.specimen import (
    SpecimenTransform,
    fast_length,
    project,
    relion_rotations,
)

HOT_PIXEL_RATES = (4.0, 14.0)
_ATTEMPTS_PER_PARTICLE = 30


@dataclass(frozen=True)
class Particles:
    """The centres of n particles (y, x; pixels from the first pixel's centre), and RELION's rot,
    tilt, psi.
    """

    position_yx_px: Int[np.ndarray, "n 2"]
    euler_deg: Float[np.ndarray, "n 3"]


@dataclass(frozen=True)
class Contrast:
    """The fraction by which an image is darker than its mean, on a periodic canvas that reaches
    beyond the image.

    ``spectrum`` is the canvas's half spectrum (``torch.fft.rfft2``, its frequencies ``k_per_A``);
    canvas pixel (``margin_px``, ``margin_px``) is the image's first.
    """

    spectrum: Complex[Tensor, "canvas_y kx"]
    k_per_A: Float[Tensor, "canvas_y kx"]
    canvas: tuple[int, int]
    margin_px: int

    def filtered(self, *factors: Inexact[Tensor, "#canvas_y #kx"]) -> "Contrast":
        """The contrast with its spectrum multiplied by some factors."""
        spectrum = self.spectrum
        for factor in factors:
            spectrum = spectrum * factor
        return replace(self, spectrum=spectrum)

    def whole(self) -> Float[Tensor, "canvas_y canvas_x"]:
        """The canvas."""
        return torch.fft.irfft2(self.spectrum, s=self.canvas)

    def image(self, shape: tuple[int, int]) -> Float[Tensor, "y x"]:
        """The part of the canvas that an image of this shape shows."""
        return self.whole()[
            self.margin_px : self.margin_px + shape[0], self.margin_px : self.margin_px + shape[1]
        ]


@dataclass(frozen=True)
class Exposure:
    """Counts of the even and the odd frames, the expected counts of all frames, and the contents of
    the field.

    ``truth`` is the noise-free full sum: CTF, envelope, radiation damage (if it is on) and ice
    gradient applied, hot pixels not. Without radiation damage, which ``contrast`` does not include,
    it is ``intensity`` (counts without specimen) × (1 − ``contrast``), and never below zero.
    """

    even: Float[np.ndarray, "y x"]
    odd: Float[np.ndarray, "y x"]
    truth: Float[np.ndarray, "y x"]
    ctf: CTFParameters
    particles: Particles
    contrast: Contrast
    intensity: Float[Tensor, "y x"]

    @property
    def full(self) -> Float[np.ndarray, "y x"]:
        """Counts of all frames: even + odd, exactly."""
        return self.even + self.odd


def expose(settings: SimulationSettings, specimen: SpecimenTransform, index: int) -> Exposure:
    """Micrograph ``index`` (from zero) of a session. It depends on the settings and the index
    alone, not on their number.
    """
    rng = np.random.default_rng([settings.seed, index])
    electrons = torch.Generator().manual_seed(int(rng.integers(2**62)))
    parameters = draw_ctf(settings, rng)
    particles = draw_particles(settings, specimen.window_px, rng)
    contrast = canvas_contrast(settings, specimen, particles, parameters, electrons)
    per_pixel = settings.dose_e_per_A2 * settings.pixel_size_A**2
    intensity = per_pixel * ice_gradient(settings, rng)
    truth = (intensity * (1 - _after_all_frames(contrast, settings).image(settings.shape))).clamp(
        min=0
    )
    even, odd = count_halves(with_hot_pixels(truth, settings), settings.frames, electrons)
    inside = np.all(
        (particles.position_yx_px >= 0) & (particles.position_yx_px < settings.shape), axis=1
    )
    visible = Particles(particles.position_yx_px[inside], particles.euler_deg[inside])
    return Exposure(
        even.numpy(), odd.numpy(), truth.numpy(), parameters, visible, contrast, intensity
    )


def draw_ctf(settings: SimulationSettings, rng: np.random.Generator) -> CTFParameters:
    """A contrast transfer function: uniform defocus, normal astigmatism (U − V, never negative),
    any direction.
    """
    defocus_A = 1e4 * rng.uniform(*settings.defocus_um)
    astigmatism_A = abs(rng.normal(settings.astigmatism_A, settings.astigmatism_spread_A))
    return CTFParameters(
        defocus_u_A=round(defocus_A + astigmatism_A / 2, 2),
        defocus_v_A=round(defocus_A - astigmatism_A / 2, 2),
        defocus_angle_deg=round(rng.uniform(0, 180), 2),
        voltage_kV=settings.voltage_kV,
        spherical_aberration_mm=settings.spherical_aberration_mm,
        amplitude_contrast=settings.amplitude_contrast,
        phase_shift_deg=settings.phase_shift_deg,
    )


def draw_particles(
    settings: SimulationSettings, window_px: int, rng: np.random.Generator
) -> Particles:
    """Particles at random positions, none closer to another than 3/4 of the window, in orientations
    uniform over SO(3).

    The field reaches half a window beyond the image on every side, so that some particles are cut
    by its edges.
    """
    shape = np.array(settings.shape)
    area_um2 = float(np.prod(shape + window_px)) * (settings.pixel_size_A * 1e-4) ** 2
    nearest_px = 0.75 * window_px
    closest_packed = int(1.16 * np.prod(shape / nearest_px + 2))
    wanted = min(round(settings.particles_per_um2 * area_um2), closest_packed)
    placed, number = np.empty((wanted, 2), dtype=np.int64), 0
    for candidate in rng.integers(
        -(window_px // 2), shape + window_px // 2, size=(wanted * _ATTEMPTS_PER_PARTICLE, 2)
    ):
        if number == wanted:
            break
        if (np.hypot(*(placed[:number] - candidate).T) >= nearest_px).all():
            placed[number] = candidate
            number += 1
    rot, psi = rng.uniform(-180, 180, (2, number))
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1, number)))
    return Particles(placed[:number], np.stack([rot, tilt, psi], axis=1))


def canvas_contrast(
    settings: SimulationSettings,
    specimen: SpecimenTransform,
    particles: Particles,
    parameters: CTFParameters,
    generator: torch.Generator,
) -> Contrast:
    """The fraction by which the image is darker than its mean: weak-phase object, CTF and envelope,
    in both ice and protein.

    It is scaled by ``contrast_fraction``: inelastic scattering, movement and the detector remove
    the rest. The default gives the correlation between halves of a real K2 field at 300 kV; 1 is
    the ideal microscope. The canvas reaches half a window beyond the image, so that the transform's
    periodicity stays outside.
    """
    margin = specimen.window_px // 2
    canvas = (
        fast_length(settings.shape[0] + 2 * margin),
        fast_length(settings.shape[1] + 2 * margin),
    )
    phase = placed_projections(specimen, particles, canvas, margin) * interaction_per_V_A(
        settings.voltage_kV
    )
    pixels_A = (settings.pixel_size_A, settings.pixel_size_A)
    k = frequency_per_A(canvas, pixels_A)
    spectrum = torch.fft.rfft2(phase).mul_(2)
    spectrum += water_spectrum(settings, canvas, k, generator)
    spectrum *= ctf(parameters, canvas, pixels_A) * torch.exp(k * k * (-settings.envelope_A2 / 4))
    spectrum *= settings.contrast_fraction
    spectrum[0, 0] = 0  # elastic scattering removes no electrons
    return Contrast(spectrum, k, canvas, margin)


def placed_projections(
    specimen: SpecimenTransform, particles: Particles, canvas: tuple[int, int], margin: int
) -> Float[Tensor, "y x"]:
    """The sum of all particles' projections (V × Å) on a periodic canvas whose pixel (margin,
    margin) is the image's first.
    """
    field = torch.zeros(canvas)
    half, middle = specimen.window_px // 2, specimen.dft.shape[0] // 2
    window = slice(middle - half, middle + half)
    offsets = torch.arange(-half, half) + margin
    rotations = relion_rotations(particles.euler_deg)
    for start in range(0, len(rotations), 64):
        for n, projection in enumerate(project(specimen, rotations[start : start + 64]), start):
            y, x = (int(coordinate) for coordinate in particles.position_yx_px[n])
            rows, columns = (offsets + y) % canvas[0], (offsets + x) % canvas[1]
            field[rows[:, None], columns] += projection[window, window]
    return field


def with_hot_pixels(
    rate: Float[Tensor, "y x"], settings: SimulationSettings
) -> Float[Tensor, "y x"]:
    """The rate with a few pixels many times as high, at the same positions in all micrographs of a
    session.
    """
    detector = np.random.default_rng([settings.seed, 2**31])
    y, x = (detector.integers(0, n, settings.hot_pixels) for n in rate.shape)
    hot = rate.clone()
    hot[y, x] *= torch.from_numpy(
        detector.uniform(*HOT_PIXEL_RATES, settings.hot_pixels).astype(np.float32)
    )
    return hot


def count_halves(
    rate: Float[Tensor, "y x"], frames: int, generator: torch.Generator
) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
    """The counts summed over the even and over the odd ones of ``frames`` frames (the first is
    odd), for a total ``rate``.

    A sum of Poisson variables is a Poisson variable: each half is drawn at once, at its share of
    the rate.
    """
    even_share = (frames // 2) / frames
    return torch.poisson(rate * even_share, generator), torch.poisson(
        rate * (1 - even_share), generator
    )


def _after_all_frames(contrast: Contrast, settings: SimulationSettings) -> Contrast:
    """The contrast in the sum of all frames."""
    if not settings.radiation_damage:
        return contrast
    dose, voltage = settings.dose_e_per_A2, settings.voltage_kV
    return contrast.filtered(mean_amplitude_left(contrast.k_per_A, dose, settings.frames, voltage))
