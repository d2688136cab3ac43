"""Whether images were multiplied by the sign of their CTF, by comparison with images that were
not.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

_TELLING = 0.02


@dataclass(frozen=True)
class PhaseAgreement:
    """The correlations of two versions of the same images, over the Fourier components in which
    the CTF is negative and over those in which it is positive; 0 where there are no such
    components.

    The phases of one version are flipped if the first is negative and the second positive. If the
    second is negative, one version is the negative of the other, whatever the first is.
    """

    where_negative: float
    where_positive: float

    @property
    def flipped(self) -> bool | None:
        """Whether the phases of one version are flipped; None where a correlation is too small to
        decide, or the contrast is opposite.
        """
        if abs(self.where_negative) < _TELLING or self.where_positive < _TELLING:
            return None
        return self.where_negative < 0

    @property
    def is_opposite(self) -> bool:
        """Whether one version is the negative of the other: dark where it is bright."""
        return self.where_positive <= -_TELLING and abs(self.where_negative) >= _TELLING


def phase_agreement(
    raw: Float[Tensor, "n y x"], images: Float[Tensor, "n y x"], ctf: Float[Tensor, "n y kx"]
) -> PhaseAgreement:
    """The correlations of two versions of the same images where their CTF is negative, and where
    it is positive.
    """
    first, second = (
        torch.fft.rfft2(stack - stack.mean(dim=(-2, -1), keepdim=True)) for stack in (raw, images)
    )
    return PhaseAgreement(
        _correlation(first, second, ctf < 0), _correlation(first, second, ctf > 0)
    )


def _correlation(
    first: Complex[Tensor, "n y kx"],
    second: Complex[Tensor, "n y kx"],
    chosen: Bool[Tensor, "n y kx"],
) -> float:
    """The correlation of two spectra over the chosen components; 0 if these are empty."""
    cross = (first * second.conj()).real[chosen].sum()
    power = (first.abs().square()[chosen].sum() * second.abs().square()[chosen].sum()).sqrt()
    return float(cross / power) if power > 0 else 0.0
