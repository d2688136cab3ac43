"""Whether one correlation curve is better than another, beyond what chance makes."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Verdict = Literal["better", "worse", "alike"]

_SIGMAS = 3.0
_NEGLIGIBLE = 0.005


@dataclass(frozen=True)
class Difference:
    """The mean of one correlation curve less another over some shells, and its error (1 σ)."""

    mean: float
    error: float
    shells: int

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the difference is above 0.005 and three times its error."""
        if abs(self.mean) <= max(_NEGLIGIBLE, _SIGMAS * self.error):
            return "alike"
        return "better" if self.mean > 0 else "worse"


def difference(
    first: Float[Tensor, "shells"],
    second: Float[Tensor, "shells"],
    samples: Float[Tensor, "shells"],
    threshold: float = 0.143,
) -> Difference:
    """How much higher the second curve is, up to the last shell in which either is above the
    threshold, and above chance.

    Chance is three times the error of no correlation. What lies before that shell counts whole, for
    a structure's power, and with it the correlation, can be low in single shells. Shells weigh as
    their ``samples``, which also give the error of a correlation r, (1 - r²)/√n. The two are taken
    as independent; curves of the same images are less so, so that the error is rather too large
    than too small.
    """
    telling = torch.maximum(first, second) > (_SIGMAS / samples.sqrt()).clamp(min=threshold)
    last = int(telling.nonzero().max()) if bool(telling[1:].any()) else 0
    if last == 0:
        return Difference(0.0, torch.inf, 0)
    shells = slice(1, last + 1)
    weights = samples[shells] / samples[shells].sum()
    variance = sum(
        ((1 - curve[shells].square()).square() for curve in (first, second)), torch.zeros(())
    )
    error = (weights.square() * variance / samples[shells]).sum().sqrt()
    return Difference(float((weights * (second - first)[shells]).sum()), float(error), last)
