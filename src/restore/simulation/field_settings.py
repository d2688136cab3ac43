"""The contents and the imaging conditions of a field of a training set, drawn at random from wide
ranges.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from restore.simulation.detectors import DETECTORS, Detector, varied_detector
from restore.simulation.settings import SimulationSettings

CONTENTS = {
    "particles": 0.48,
    "mixture": 0.14,
    "filaments": 0.09,
    "vesicles": 0.08,
    "lattice": 0.06,
    "aggregates": 0.09,
    "empty": 0.06,
}
"""The possible contents of a field, and their frequencies."""

Range = tuple[float, float]


@dataclass(frozen=True)
class FieldRanges:
    """The ranges that fields are drawn from, log-uniformly unless they are angles or shares.

    ``without_doses_e_per_A2`` and ``without_detectors`` are left out, and reserved for testing.
    ``fine_share`` of all fields have a resolution in the finer third of its range, which is used
    most; ``usual_share`` have the usual exposure of micrographs (the upper third of the doses) and
    more than a few particles (the upper half).
    """

    max_resolution_A: Range = (4.5, 12.0)
    recorded_pixel_size_A: Range = (0.6, 2.0)
    dose_e_per_A2: Range = (5.0, 80.0)
    defocus_um: Range = (0.4, 3.5)
    ice_thickness_A: Range = (100.0, 800.0)
    envelope_A2: Range = (30.0, 250.0)
    contrast_fraction: Range = (0.4, 1.0)
    particles_share: Range = (0.03, 1.0)
    without_doses_e_per_A2: Range = (20.0, 25.0)
    without_detectors: tuple[str, ...] = ("Falcon 2 integrating",)
    fine_share: float = 0.55
    usual_share: float = 0.65
    unflipped_share: float = 0.3
    film_share: float = 0.10
    crystals_share: float = 0.12
    border_share: float = 0.06
    beam_edge_share: float = 0.03


@dataclass(frozen=True)
class FieldSettings:
    """One field, on the grid of a prepared micrograph: its pixel is half of ``max_resolution_A``.

    ``microscope`` is the session's record on that grid; ``recorded_pixel_size_A`` the detector's
    pixel, which scales the detector's curves. ``crowding`` is the share of the closest packing.
    ``broken_share`` of the particles are parts only. ``film`` is "none", "carbon" or "gold",
    covering ``film_share`` of the field. ``border_px`` are rows and columns without data (top,
    bottom, left, right), ``beam_edge`` dims a corner.
    """

    microscope: SimulationSettings
    max_resolution_A: float
    recorded_pixel_size_A: float
    phase_flip: bool
    content: str
    crowding: float
    detector: Detector = field(default_factory=lambda: DETECTORS[0])
    broken_share: float = 0.0
    film: str = "none"
    film_share: float = 0.0
    crystals: int = 0
    border_px: tuple[int, int, int, int] = (0, 0, 0, 0)
    beam_edge: bool = False
    interpolated: bool = False
    seed: int = 0


def draw_field_settings(ranges: FieldRanges, size_px: int, seed: int, index: int) -> FieldSettings:
    """The settings of field ``index`` (from zero) of a training set, which depend on seed and index
    alone.
    """
    rng = np.random.default_rng([seed, index, 17])
    low, high = ranges.max_resolution_A
    knee = low * (high / low) ** (1 / 3)
    fine = rng.random() < ranges.fine_share
    resolution_A = _log_uniform((low, knee) if fine else (knee, high), rng)
    # Most people use the finest recipe unchanged.
    resolution_A = low if fine and rng.random() < 0.4 else resolution_A
    pixel_A = _log_uniform(
        (ranges.recorded_pixel_size_A[0], min(ranges.recorded_pixel_size_A[1], resolution_A / 2)),
        rng,
    )
    usual = bool(rng.random() < ranges.usual_share)
    doses = _upper(ranges.dose_e_per_A2, 2 / 3) if usual else ranges.dose_e_per_A2
    crowds = _upper(ranges.particles_share, 1 / 2) if usual else ranges.particles_share
    settings = FieldSettings(
        microscope=_microscope(
            replace(ranges, dose_e_per_A2=doses), resolution_A / 2, size_px, rng
        ),
        max_resolution_A=resolution_A,
        recorded_pixel_size_A=pixel_A,
        phase_flip=bool(rng.random() >= ranges.unflipped_share),
        content=str(rng.choice(list(CONTENTS), p=list(CONTENTS.values()))),
        crowding=_log_uniform(crowds, rng),
        detector=_detector(ranges, rng),
        broken_share=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.2 else 0.0,
        interpolated=bool(rng.random() < 0.4),
        seed=int(rng.integers(2**31)),
    )
    return _with_obstacles(settings, ranges, size_px, rng)


def _microscope(
    ranges: FieldRanges, pixel_A: float, size_px: int, rng: np.random.Generator
) -> SimulationSettings:
    defocus_um = _log_uniform(ranges.defocus_um, rng)
    phase_plate = rng.random() < 0.06
    skip = ranges.without_doses_e_per_A2
    dose = _log_uniform(ranges.dose_e_per_A2, rng, lambda dose: not skip[0] < dose < skip[1])
    voltage_kV, aberration_mm = ((300.0, 2.7), (200.0, 2.7), (200.0, 1.4), (300.0, 0.01))[
        rng.choice(4, p=(0.65, 0.17, 0.1, 0.08))
    ]
    return SimulationSettings(
        size_px=(size_px, size_px),
        pixel_size_A=pixel_A,
        dose_e_per_A2=dose,
        voltage_kV=voltage_kV,
        spherical_aberration_mm=aberration_mm,
        amplitude_contrast=float(rng.uniform(0.06, 0.12)),
        defocus_um=(defocus_um, defocus_um),
        astigmatism_A=0.0,
        astigmatism_spread_A=float(rng.choice([50.0, 200.0, 1000.0], p=[0.6, 0.3, 0.1])),
        phase_shift_deg=float(rng.uniform(20, 150)) if phase_plate else 0.0,
        ice_thickness_A=_log_uniform(ranges.ice_thickness_A, rng),
        ice_gradient_per_um=float(rng.exponential(0.3)),
        envelope_A2=_log_uniform(ranges.envelope_A2, rng),
        contrast_fraction=float(rng.uniform(*ranges.contrast_fraction)),
        hot_pixels=0,
        radiation_damage=bool(rng.random() < 0.5),
        seed=int(rng.integers(2**31)),
    )


def _with_obstacles(
    settings: FieldSettings, ranges: FieldRanges, size_px: int, rng: np.random.Generator
) -> FieldSettings:
    """The settings with films, crystals, borders and a beam edge, each in a few fields of a
    hundred.
    """
    film, kind = rng.random(), rng.random()
    if film < ranges.film_share:
        share = float(rng.uniform(0.05, 0.9 if kind < 0.6 else 0.35))
        settings = replace(settings, film="carbon" if kind < 0.6 else "gold", film_share=share)
    if rng.random() < ranges.crystals_share:
        settings = replace(settings, crystals=int(rng.integers(1, 12)))
    if rng.random() < ranges.border_share:
        widths = rng.integers(0, size_px // 16, 4) * (rng.random(4) < 0.4)
        top, bottom, left, right = (int(width) for width in widths)
        settings = replace(settings, border_px=(top, bottom, left, right))
    return replace(settings, beam_edge=bool(rng.random() < ranges.beam_edge_share))


def _detector(ranges: FieldRanges, rng: np.random.Generator) -> Detector:
    known = [detector for detector in DETECTORS if detector.name not in ranges.without_detectors]
    return varied_detector(known[rng.integers(len(known))], rng)


def _upper(limits: Range, start: float) -> Range:
    """The part of a range above a given share of it, on a logarithmic scale."""
    return limits[0] * (limits[1] / limits[0]) ** start, limits[1]


def _log_uniform(
    limits: Range, rng: np.random.Generator, allowed: Callable[[float], bool] = lambda _: True
) -> float:
    while True:
        value = float(np.exp(rng.uniform(*np.log(limits))))
        if allowed(value):
            return value
