"""Check that each denoised half was made from one raw half, and from the right one.

With N the noise of a raw half, D1 − D2 contains what the denoiser left of N1 − N2, and M1 − M2
contains N1 − N2. Their correlation is positive for the right halves, negative for exchanged ones,
and zero if both were made from one image. D1 + D2 and M1 + M2 contain the signal: their correlation
is negative if the contrast is inverted.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Identity = Literal["right", "exchanged", "made from one image", "inverted", "unknown"]

_BLOCKS = 6  # along each axis
_SURE = 4.0  # standard errors
_SMALL_ERROR = 0.005  # a denoiser leaves more than this of the noise
_SAME = 1e-6

Halves = tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]


@dataclass(frozen=True)
class HalfIdentity:
    """Correlations of the halves' differences and of their sums, with their standard errors."""

    difference: float
    difference_error: float
    total: float
    total_error: float

    @property
    def verdict(self) -> Identity:
        """The conclusion about the denoised halves; "unknown" if the errors are too large to
        decide.
        """
        if self.total < -_SURE * self.total_error:
            return "inverted"
        if self.difference < -_SURE * self.difference_error:
            return "exchanged"
        if self.difference > _SURE * self.difference_error:
            return "right"
        return "made from one image" if self.difference_error < _SMALL_ERROR else "unknown"


def half_identity(
    raw: Halves, denoised: Halves, blank: Bool[Tensor, "y x"] | None = None
) -> HalfIdentity:
    """The correlations of differences and of sums of raw and denoised halves, ignoring ``blank``
    pixels. Errors are those of the mean over 6×6 blocks.
    """
    (m1, m2), (d1, d2) = raw, denoised
    difference, difference_error = 0.0, 0.0
    # Halves that are equal except for rounding and a factor have no independent noise.
    if float((d1 * d2).mean()) < (1 - _SAME) * math.sqrt(
        float(d1.square().mean()) * float(d2.square().mean())
    ):
        difference, difference_error = _correlation(m1 - m2, d1 - d2, blank)
    total, total_error = _correlation(m1 + m2, d1 + d2, blank)
    return HalfIdentity(difference, difference_error, total, total_error)


def _correlation(
    first: Float[Tensor, "y x"],
    second: Float[Tensor, "y x"],
    blank: Bool[Tensor, "y x"] | None,
) -> tuple[float, float]:
    """The correlation of two images without mean, and its standard error."""
    if blank is not None:
        first, second = first.masked_fill(blank, 0), second.masked_fill(blank, 0)
    norm = float((first.square().mean() * second.square().mean()).sqrt())
    if not norm > 0:
        return 0.0, math.inf
    product = first * second / norm
    blocks = [
        part.mean().double()
        for rows in product.tensor_split(_BLOCKS, 0)
        for part in rows.tensor_split(_BLOCKS, 1)
    ]
    means = torch.stack(blocks)
    return float(product.mean()), float(means.std() / math.sqrt(len(blocks)))
