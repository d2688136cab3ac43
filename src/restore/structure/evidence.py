"""Whether one correlation curve is significantly better than another."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from restore.maps.fsc import ShellAxis
from restore.maps.fsc_inflation import components
from restore.structure.records import COMBINATIONS, Comparison, Correlation, Reconstruction

Verdict = Literal["better", "worse", "alike"]

_SIGMAS = 3.0
_NEGLIGIBLE = 0.005


@dataclass(frozen=True)
class Difference:
    """The mean difference between two correlation curves over some shells, and its error (1 σ)."""

    mean: float
    error: float
    shells: int

    @property
    def verdict(self) -> Verdict:
        """Better or worse if the difference is above 0.005 and above three times its error."""
        if abs(self.mean) <= max(_NEGLIGIBLE, _SIGMAS * self.error):
            return "alike"
        return "better" if self.mean > 0 else "worse"


def difference(
    first: Float[Tensor, "shells"],
    second: Float[Tensor, "shells"],
    samples: Float[Tensor, "shells"],
    threshold: float = 0.143,
) -> Difference:
    """How much higher the second curve is, up to the last shell in which either is above both the
    threshold and chance.

    Chance is three times the error of zero correlation. All shells before the last are included,
    because a structure's power, and with it the correlation, can be low in single shells. Shells
    are weighted by their ``samples``, which also give the error of a correlation r, (1 - r²)/√n.
    The two curves are treated as independent; curves of the same images are less so, so that the
    error is too large rather than too small.
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


def independent_samples(
    side: int, voxel_A: float, symmetry_order: int, kept: float
) -> Float[Tensor, "shells"]:
    """The number of independent values in each shell of a cubic map of this symmetry, of which the
    ball in the box and a mask leave the share ``kept``
    (:func:`restore.maps.ball.independent_share`).
    """
    axis = ShellAxis((side, side, side), (voxel_A, voxel_A, voxel_A))
    return (components(axis) * kept / symmetry_order).clamp(min=1)


def differences(
    reconstructions: Mapping[str, Reconstruction], samples: Float[Tensor, "shells"]
) -> dict[str, Comparison]:
    """The comparison of each map with that of raw images in their own orientations, by name.

    ``raw_images``: the half maps of raw images in the other orientations. ``truth_…`` and
    ``model_…``: each other map, by its correlation with the truth and with the model, where these
    are known.
    """
    compared: dict[str, Comparison] = {}
    first = reconstructions["raw_by_raw"]
    if "raw_by_denoised" in reconstructions:
        crossed = reconstructions["raw_by_denoised"].fsc
        compared["raw_images"] = _compared(first.fsc, crossed, samples, 0.143)
    for key in ("truth", "model"):
        reference: Correlation | None = getattr(first, key)
        for name in COMBINATIONS[1:]:
            counterpart = getattr(reconstructions[name], key) if name in reconstructions else None
            if reference is not None and counterpart is not None:
                compared[f"{key}_{name}"] = _compared(reference, counterpart, samples, 0.5)
    return compared


def _compared(
    first: Correlation, second: Correlation, samples: Float[Tensor, "shells"], threshold: float
) -> Comparison:
    curves = [
        torch.tensor([value or 0.0 for value in correlation.judged], dtype=torch.float64)
        for correlation in (first, second)
    ]
    apart = difference(curves[0], curves[1], samples, threshold)
    error = apart.error if math.isfinite(apart.error) else None
    return Comparison(apart.mean, error, apart.shells, apart.verdict)
