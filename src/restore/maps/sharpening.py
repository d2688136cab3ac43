"""Sharpening of a map by a B factor, weighted by its FSC (Rosenthal & Henderson 2003, J. Mol. Biol.
333, 721).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UsageError
from restore.maps.fsc import FSC
from restore.maps.guinier import (
    AmplitudeSpectrum,
    GuinierFit,
    GuinierSettings,
    TooFewShellsError,
    guinier_fit,
    rotational_amplitudes,
)
from restore.maps.shells import ShellAxis, Voxel
from restore.settings import setting

_GRID = (-3, -2, -1)
_LEAST_FSC = 1e-4
_HALF_EDGE_SHELLS = 1.0


@dataclass(frozen=True)
class SharpenSettings:
    """How much a map is sharpened, and at which resolution it is cut off."""

    bfactor: float | None = setting(
        None,
        "B factor in Å², applied as exp(-B/(4 d²)): negative to sharpen, as in RELION, e.g. -180 "
        "(default: auto, that of the Guinier fit)",
    )
    lowpass: float | None = setting(
        None,
        "resolution of the low-pass filter in Å, 0 for none (default: the resolution at FSC = "
        "0.143, by RELION's rule)",
    )

    def __post_init__(self) -> None:
        if self.bfactor is not None and not math.isfinite(self.bfactor):
            raise UsageError(
                f"bfactor is {self.bfactor:g}",
                field="bfactor",
                wanted='A number in Å² is needed, or "auto"',
            )
        if self.lowpass is not None and not 0 <= self.lowpass < math.inf:
            raise UsageError(
                f"lowpass is {self.lowpass:g}",
                field="lowpass",
                wanted="A resolution in Å is needed, or 0 for none",
            )


@dataclass(frozen=True)
class Sharpening:
    """A sharpened map, the amplitudes before, during and after sharpening, and the parameters used.

    ``weighted`` are the amplitudes of the mean map times the FSC weight, through which the line
    ``fit`` goes. The fit is None where a B factor was given and there are too few shells for a
    line; ``lowpass_A`` is None where there was no low-pass.
    """

    volume: Float[Tensor, "z y x"]
    original: AmplitudeSpectrum
    weighted: AmplitudeSpectrum
    after: AmplitudeSpectrum
    bfactor_A2: float
    fit: GuinierFit | None
    lowpass_A: float | None


class UnresolvedError(ValueError):
    """The FSC is under 0.143 from the first shell on: there is nothing to sharpen."""


def sharpen(
    mean: Float[Tensor, "z y x"],
    voxel_size_zyx_A: Voxel,
    fsc: FSC,
    settings: SharpenSettings,
    guinier: GuinierSettings,
) -> Sharpening:
    """The mean of two half maps, weighted by their FSC, sharpened, and low-pass filtered at their
    resolution.

    The steps and their order are those of ``relion_postprocess`` without an MTF: weight, fit, B
    factor, low-pass.

    Raises
    ------
    UnresolvedError
        The best curve of the FSC is under 0.143 at once.
    TooFewShellsError
        The B factor is to be that of the fit, and there are under three shells to fit a line to.
    """
    last = fsc.last_shell_above()
    if last == 0:
        raise UnresolvedError("the FSC is under 0.143 from the first shell on")
    resolution_A = 1 / float(fsc.frequency_per_A[last])
    weight = fsc_weight(fsc.best)
    original = rotational_amplitudes(mean, voxel_size_zyx_A)
    weighted = AmplitudeSpectrum(original.frequency_per_A, original.amplitude * weight)
    fit = _fit(
        weighted, guinier.fit_from, guinier.fit_to or resolution_A, needed=settings.bfactor is None
    )
    bfactor_A2 = settings.bfactor if settings.bfactor is not None or fit is None else fit.bfactor_A2
    lowpass_A = resolution_A if settings.lowpass is None else settings.lowpass or None
    volume = sharpened(mean, voxel_size_zyx_A, bfactor_A2 or 0.0, weight, lowpass_A)
    after = rotational_amplitudes(volume, voxel_size_zyx_A)
    return Sharpening(volume, original, weighted, after, bfactor_A2 or 0.0, fit, lowpass_A)


def _fit(
    spectrum: AmplitudeSpectrum, from_A: float, to_A: float, needed: bool
) -> GuinierFit | None:
    try:
        return guinier_fit(spectrum, from_A, to_A)
    except TooFewShellsError:
        if needed:
            raise
        return None


def fsc_weight(curve: Float[Tensor, "shells"]) -> Float[Tensor, "shells"]:
    """C_ref = sqrt(2 FSC / (1 + FSC)) (Rosenthal & Henderson 2003): the correlation of the mean map
    with the true one.

    It is 0 from the first shell on in which the FSC is not above 0.0001, as in RELION.
    """
    hopeless = (curve <= _LEAST_FSC).cumsum(0) > 0
    positive = torch.where(hopeless, torch.zeros_like(curve), curve)
    return (2 * positive / (1 + positive)).sqrt()


def sharpened(
    volume: Float[Tensor, "z y x"],
    voxel_size_zyx_A: Voxel,
    bfactor_A2: float,
    weight: Float[Tensor, "shells"] | None = None,
    lowpass_A: float | None = None,
) -> Float[Tensor, "z y x"]:
    """The map times exp(-B s²/4), the weight of each component's shell, and a soft low-pass.

    A negative B factor sharpens. The low-pass is a raised cosine, two shells wide about the shell
    next to ``lowpass_A``, and components beyond the Nyquist frequency are removed, both as in
    RELION.
    """
    axis = ShellAxis((volume.shape[0], volume.shape[1], volume.shape[2]), voxel_size_zyx_A)
    weights = torch.zeros(axis.count + 1, dtype=torch.float64)
    weights[:-1] = 1 if weight is None else weight
    spectrum = torch.fft.rfftn(volume, dim=_GRID)
    for z, (shells, radius) in enumerate(zip(axis.shells(), axis.radii(), strict=True)):
        gain = torch.exp(-bfactor_A2 / 4 * (radius * axis.width_per_A).square()) * (
            radius < axis.count - 1 + 1e-6
        )
        if lowpass_A is not None:
            gain = gain * _raised_cosine(
                radius, math.floor(1 / (lowpass_A * axis.width_per_A) + 0.5)
            )
        spectrum[z] *= (gain * weights[shells]).to(volume)
    return torch.fft.irfftn(spectrum, s=axis.shape, dim=_GRID)


def _raised_cosine(radius: Float[Tensor, "y kx"], edge: float) -> Float[Tensor, "y kx"]:
    """One up to a shell before the edge, zero from a shell after it on; distances in shells."""
    place = ((radius - edge + _HALF_EDGE_SHELLS) / (2 * _HALF_EDGE_SHELLS)).clamp(0, 1)
    return 0.5 + 0.5 * torch.cos(math.pi * place)
