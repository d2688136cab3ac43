"""Detectors: how they blur the image (MTF) and colour its noise (NPS), up to their Nyquist
frequency.

The curves are simple models of the published shapes (McMullan et al. 2014, Ultramicroscopy 147,
156; Ruskin et al. 2013, J. Struct. Biol. 184, 385): a network must cope with their variety, not
with one camera's last percent.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.fourier import Shape, frequency_yx_per_A


@dataclass(frozen=True)
class Detector:
    """One detector, at one setting.

    ``mtf_nyquist`` is the MTF at Nyquist, ``mtf_tail`` the share of signal in a scattering tail
    that is lost beyond low frequencies. ``coincidence_loss`` is the dip of the noise power at zero
    frequency (counting), ``noise_follows_mtf`` the share of noise that is blurred as the signal is
    (integrating detectors; the rest is white), ``excess_noise`` the noise's variance over a
    counter's.
    """

    name: str
    mtf_nyquist: float = 1.0
    mtf_tail: float = 0.0
    coincidence_loss: float = 0.0
    noise_follows_mtf: float = 0.0
    excess_noise: float = 1.0

    def mtf(self, u: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
        """The modulation transfer at ``u``, frequencies as shares of Nyquist: one at zero."""
        core = torch.exp(np.log(self.mtf_nyquist) * u.pow(1.5))
        tail = torch.exp(-((u / 0.08) ** 2))
        return (1 - self.mtf_tail) * core + self.mtf_tail * tail

    def noise_power(self, u: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
        """The noise's spectral density at ``u`` (shares of Nyquist); one for an ideal counter."""
        dip = 1 - self.coincidence_loss * torch.exp(-((u / 0.45) ** 2))
        blurred = 1 - self.noise_follows_mtf * (1 - self.mtf(u).square())
        return self.excess_noise * dip * blurred


DETECTORS = (
    Detector("ideal counter"),
    Detector("K2 counting", 0.60, 0.06, 0.12),
    Detector("K3 counting", 0.45, 0.04, 0.08),
    Detector("K3 super-resolution, binned", 0.75, 0.03, 0.10),
    Detector("Falcon 4 counting", 0.50, 0.05, 0.15),
    Detector("Falcon 3 counting", 0.55, 0.08, 0.20),
    Detector("Falcon 2 integrating", 0.20, 0.08, 0.0, 0.75, 1.6),
    Detector("DE-20 integrating", 0.15, 0.10, 0.0, 0.85, 2.0),
)
"""Detectors by kind and mode."""


def varied_detector(detector: Detector, rng: np.random.Generator) -> Detector:
    """A detector of the same kind at another dose rate and voltage, with slightly different
    numbers.
    """
    factor = np.exp(rng.normal(0, 0.15, 5))
    return Detector(
        detector.name,
        min(detector.mtf_nyquist * factor[0], 1.0),
        detector.mtf_tail * factor[1],
        min(detector.coincidence_loss * factor[2], 0.5),
        min(detector.noise_follows_mtf * factor[3], 1.0),
        max(detector.excess_noise * factor[4], 1.0) if detector.excess_noise > 1 else 1.0,
    )


def interpolation_transfer(
    shape: Shape, pixel_size_A: float, recorded_pixel_size_A: float
) -> tuple[Float[Tensor, "y kx"], Float[Tensor, "y kx"]]:
    """The shares of the signal's amplitude and the noise's power that remain after bilinear
    interpolation at random sub-pixel shifts.

    Over shifts s from 0 to 1 pixel along each axis, with θ = 2π k × pixel, the power |1 − s + s
    exp(iθ)|² averages to 1 − (1 − cos θ)/3; the signal is multiplied by the square root of that.
    ``shape`` and ``pixel_size_A`` are the grid's, ``recorded_pixel_size_A`` that of the image that
    was interpolated.
    """
    ky, kx = frequency_yx_per_A(shape, (pixel_size_A, pixel_size_A))
    powers = [1 - (1 - torch.cos(2 * torch.pi * k * recorded_pixel_size_A)) / 3 for k in (ky, kx)]
    power = powers[0] * powers[1]
    return power.sqrt(), power
