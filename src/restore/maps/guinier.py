"""The decay of a map's Fourier amplitudes with resolution, and its B factor (Rosenthal & Henderson
2003).

B factors have RELION's sign, that of the factor to be applied, exp(-B s²/4): a negative one
sharpens, and the fit to a map whose amplitudes decay is negative.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UsageError
from restore.maps.shells import ShellAxis, Voxel
from restore.settings import setting

_GRID = (-3, -2, -1)
SCALE_BAND_A = (40.0, 12.0)


class AmplitudeSpectrum(NamedTuple):
    """The mean amplitude |F| in each shell, normalised as in RELION (``rfftn(norm="forward")``)."""

    frequency_per_A: Float[Tensor, "shells"]
    amplitude: Float[Tensor, "shells"]


@dataclass(frozen=True)
class GuinierSettings:
    """The resolutions between which the straight line is fitted."""

    fit_from: float = setting(10.0, "coarsest resolution of the Guinier fit, in Å")
    fit_to: float | None = setting(
        None,
        "finest resolution of the fit, in Å (default: the resolution at FSC = 0.143 if it is "
        "known, otherwise Nyquist)",
    )

    def __post_init__(self) -> None:
        finest = self.fit_to
        if not self.fit_from > 0 or (finest is not None and not 0 < finest < self.fit_from):
            raise UsageError(
                f"the fit is to go from {self.fit_from:g} to {finest or 0:g} Å",
                wanted="It must go from coarse to fine, `fit_from` the larger, both above 0",
            )


@dataclass(frozen=True)
class GuinierFit:
    """The straight line ln|F| = intercept + slope s², s = 1/d, and the B factor 4 slope (Å²) with
    its standard error.

    ``r_squared`` is the fraction of the variance of ln|F| that the line explains, which RELION
    prints as the correlation. The error assumes that the points scatter independently about the
    line, which is only roughly true of the shells of a structure.
    """

    bfactor_A2: float
    bfactor_error_A2: float
    intercept: float
    r_squared: float
    from_A: float
    to_A: float
    shells: int

    @property
    def slope_A2(self) -> float:
        """The slope of ln|F| over 1/d²."""
        return self.bfactor_A2 / 4


class TooFewShellsError(ValueError):
    """Fewer than three shells with amplitudes lie between the two resolutions: too few for a line
    with an error.
    """


def rotational_amplitudes(
    volume: Float[Tensor, "z y x"], voxel_size_zyx_A: Voxel
) -> AmplitudeSpectrum:
    """The rotational average of a map's Fourier amplitudes: the mean over the half transform, as in
    RELION.
    """
    axis = ShellAxis((volume.shape[0], volume.shape[1], volume.shape[2]), voxel_size_zyx_A)
    spectrum = torch.fft.rfftn(volume, dim=_GRID, norm="forward")
    sums, counts = torch.zeros(2, axis.count + 1, dtype=torch.float64)
    for shells, plane in zip(axis.shells(), spectrum, strict=True):
        flat = shells.flatten()
        sums += torch.bincount(flat, plane.abs().double().flatten(), axis.count + 1)
        counts += torch.bincount(flat, minlength=axis.count + 1)
    return AmplitudeSpectrum(axis.frequency_per_A, (sums / counts.clamp(min=1))[: axis.count])


def guinier_fit(spectrum: AmplitudeSpectrum, from_A: float, to_A: float) -> GuinierFit:
    """The line through ln|F| over 1/d² in the shells from one resolution (Å) to the other, both
    included.

    Shells of zero amplitude are left out. Raises :class:`TooFewShellsError` if fewer than three
    remain.
    """
    frequency, amplitude = (values.double() for values in spectrum)
    inside = (frequency >= (1 - 1e-6) / from_A) & (frequency <= (1 + 1e-6) / to_A) & (amplitude > 0)
    s2, log = frequency[inside].square(), amplitude[inside].log()
    count = len(s2)
    if count < 3:
        raise TooFewShellsError(
            f"{count} shells with amplitudes between {from_A:g} and {to_A:.4g} Å"
        )
    x, y = s2 - s2.mean(), log - log.mean()
    spread = float(x.square().sum())
    slope = float((x * y).sum()) / spread
    left = float((y - slope * x).square().sum())
    error = math.sqrt(left / (count - 2) / spread)
    total = float(y.square().sum())
    r_squared = 1 - left / total if total > 0 else 1.0
    intercept = float(log.mean()) - slope * float(s2.mean())
    return GuinierFit(4 * slope, 4 * error, intercept, r_squared, from_A, to_A, count)


def on_one_scale(spectrum: AmplitudeSpectrum, reference: AmplitudeSpectrum) -> AmplitudeSpectrum:
    """The spectrum times the factor that makes its mean amplitude from 40 to 12 Å that of the
    reference.

    Raises :class:`TooFewShellsError` where either has no shell with an amplitude in that band.
    """
    level, wanted = _level(spectrum), _level(reference)
    return AmplitudeSpectrum(spectrum.frequency_per_A, spectrum.amplitude * (wanted / level))


def _level(spectrum: AmplitudeSpectrum) -> float:
    coarse_A, fine_A = SCALE_BAND_A
    inside = (spectrum.frequency_per_A >= 1 / coarse_A) & (spectrum.frequency_per_A <= 1 / fine_A)
    level = float(spectrum.amplitude[inside].mean()) if bool(inside.any()) else 0.0
    if not level > 0:
        raise TooFewShellsError(f"no amplitudes between {coarse_A:g} and {fine_A:g} Å")
    return level
