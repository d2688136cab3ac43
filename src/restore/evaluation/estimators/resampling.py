"""Confidence intervals by resampling micrographs, or patches where there are few micrographs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.stats import norm, t
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A value, or a curve, with the two ends of its confidence interval; NaN if it is not
    defined.
    """

    value: Float[Tensor, "*shape"]
    low: Float[Tensor, "*shape"]
    high: Float[Tensor, "*shape"]


def resampling_weights(units: int, resamples: int, seed: int) -> Float[Tensor, "resamples units"]:
    """The number of times that each unit occurs in each bootstrap sample, which is drawn with
    replacement and as large as the set.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(units, (resamples, units), generator=generator)
    weights = torch.zeros(resamples, units)
    return weights.scatter_add_(1, drawn, torch.ones(resamples, units))


def expanded_tails(confidence: float, units: int) -> float:
    """The share of bootstrap samples to leave out at either end for intervals with the stated
    coverage.

    A bootstrap of few units is too narrow; the expanded percentile interval (Hesterberg 2015, Am.
    Stat. 69, 371, section 3.3) widens it to what Student's t would give for a mean.
    """
    if units < 2:
        return math.nan
    wanted = t.ppf((1 - confidence) / 2, units - 1) * math.sqrt(units / (units - 1))
    return float(norm.cdf(wanted))


def enough_resamples(units: int, confidence: float, least: int, most: int) -> int:
    """The number of bootstrap samples of which at least one lies in either tail: ``least``, or more
    if the tails are small. ``least`` as well if that would be more than ``most``.
    """
    tail = expanded_tails(confidence, units)
    return max(least, math.ceil(1 / tail)) if tail * most >= 1 else least


def has_interval(units: int, confidence: float, resamples: int) -> bool:
    """Whether resampling can give an interval of this confidence.

    With the chance 2^(1 − units), all units lie on the same side of the truth, which no percentile
    interval of them then covers. And the tails of the samples must not be empty.
    """
    if units < 2 or (1 - confidence) / 2 < 2.0**-units:
        return False
    return expanded_tails(confidence, units) * resamples >= 1


def estimate(
    tables: Float[Tensor, "units *table"],
    quantities: Callable[[Float[Tensor, "*batch pairs rings"]], Mapping[str, Tensor]],
    confidence: float,
    weights: Float[Tensor, "resamples units"],
) -> dict[str, Estimate]:
    """Every quantity of the units' summed tables, with its interval, which is NaN if there are too
    few units for the ``confidence`` (fewer than 5 for 90 %, 8 for 99 %), or too few resamples (see
    `enough_resamples`).

    The quantities are ratios of sums, not means of ratios, so that units without signal do no harm.
    """
    values = quantities(tables.sum(dim=0))
    if not has_interval(len(tables), confidence, len(weights)):
        return {
            name: Estimate(value, value * torch.nan, value * torch.nan)
            for name, value in values.items()
        }
    sums = (weights.to(tables) @ tables.flatten(1)).unflatten(1, tables.shape[1:])
    spread, tail = quantities(sums), expanded_tails(confidence, len(tables))
    return {name: _interval(value, spread[name], tail) for name, value in values.items()}


def _interval(
    value: Float[Tensor, "*shape"], samples: Float[Tensor, "resamples *shape"], tail: float
) -> Estimate:
    """The value between two quantiles of its samples; no interval if more samples are undefined
    than a tail holds.
    """
    ends = torch.tensor([tail, 1 - tail], dtype=samples.dtype)
    low, high = samples.nanquantile(ends, dim=0, interpolation="nearest")
    undefined = samples.isnan().to(samples.dtype).mean(dim=0) > tail
    return Estimate(
        value, low.masked_fill(undefined, torch.nan), high.masked_fill(undefined, torch.nan)
    )


def reciprocal(estimate: Estimate) -> Estimate:
    """The estimate of 1/x for a quantity x that cannot be negative: infinite wherever the estimate
    or an end of the interval is not above zero.
    """

    def inverse(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.where(x > 0, 1 / x, torch.where(x.isnan(), torch.nan, torch.inf))

    return Estimate(inverse(estimate.value), inverse(estimate.high), inverse(estimate.low))
