"""Intervals by resampling: against Student's t, and where there is nothing to resample."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import t

from restore.evaluation.estimators.resampling import (
    Estimate,
    enough_resamples,
    estimate,
    expanded_tails,
    reciprocal,
    resampling_weights,
)


def units_of(values):
    """Tables of one pair and one ring."""
    return torch.tensor(values, dtype=torch.float64)[:, None, None]


def of_mean(values, confidence=0.9, resamples=4000):
    weights = resampling_weights(len(values), resamples, seed=0)
    return estimate(
        units_of(values) / len(values),
        lambda table: {"mean": table[..., 0, 0]},
        confidence,
        weights,
    )["mean"]


@pytest.mark.parametrize("confidence", [0.68, 0.9])
@pytest.mark.parametrize("count", [8, 40])
def test_the_interval_of_a_mean_is_students(count, confidence):
    values = np.random.default_rng(count).normal(5, 2, count)
    interval = of_mean(values.tolist(), confidence, resamples=20_000)
    low, high = t.interval(
        confidence, count - 1, values.mean(), values.std(ddof=1) / math.sqrt(count)
    )
    assert float(interval.value) == pytest.approx(values.mean())
    assert float(interval.high - interval.low) == pytest.approx(high - low, rel=0.06)
    assert float(interval.low) == pytest.approx(low, abs=0.05 * (high - low))


def test_few_units_have_wider_intervals_than_the_plain_bootstrap_gives():
    tails = [expanded_tails(0.9, units) for units in (3, 8, 30, 10_000)]
    assert tails == sorted(tails) and tails[0] < 0.01
    assert tails[-1] == pytest.approx(0.05, abs=1e-4)


def test_one_unit_has_a_value_and_no_interval():
    interval = of_mean([4.0])
    assert float(interval.value) == 4.0 and math.isnan(interval.low) and math.isnan(interval.high)
    assert math.isnan(expanded_tails(0.9, 1))


@pytest.mark.parametrize("confidence, fewest", [(0.68, 3), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_no_interval_is_given_that_so_few_units_cannot_have(confidence, fewest):
    for units in (fewest - 1, fewest):
        resamples = enough_resamples(units, confidence, 1000, 20_000)
        interval = of_mean([float(unit) for unit in range(units)], confidence, resamples)
        assert float(interval.value) == pytest.approx((units - 1) / 2)
        assert math.isfinite(interval.low) == math.isfinite(interval.high) == (units == fewest)


def test_small_tails_get_enough_samples_or_no_interval():
    assert enough_resamples(16, 0.9, 1000, 20_000) == 1000
    assert 10_000 < enough_resamples(8, 0.99, 1000, 20_000) < 12_000
    assert enough_resamples(12, 0.9995, 1000, 20_000) == 1000  # a million would be needed
    assert math.isnan(of_mean([float(unit) for unit in range(12)], 0.9995, 20_000).low)
    assert math.isnan(of_mean([float(unit) for unit in range(8)], 0.99, 1000).low)


def test_units_are_drawn_with_replacement_and_the_same_for_a_seed():
    weights = resampling_weights(7, 500, seed=3)
    assert (
        (weights.sum(dim=1) == 7).all()
        and (weights.max(dim=1).values > 1).any()
        and (weights == 0).any()
    )
    assert weights.mean(dim=0).numpy() == pytest.approx([1.0] * 7, abs=0.15)
    assert torch.equal(weights, resampling_weights(7, 500, seed=3))
    assert not torch.equal(weights, resampling_weights(7, 500, seed=4))


@pytest.mark.parametrize("undefined, is_known", [(2, True), (50, False)])
def test_a_quantity_that_is_often_undefined_has_no_interval(undefined, is_known):
    """Of 1000 samples; at either end 5 % may be left out, expanded to about 4 % of 20 units."""

    def quantity(table):
        values = table[..., 0, 0].clone()
        if values.ndim:
            values[:undefined] = torch.nan
        return {"x": values}

    interval = estimate(units_of(range(20)), quantity, 0.9, resampling_weights(20, 1000, 0))["x"]
    assert (
        math.isfinite(interval.value)
        and math.isfinite(interval.low) == math.isfinite(interval.high) == is_known
    )


def test_a_quantity_is_a_ratio_of_sums_not_a_mean_of_ratios():
    tables = torch.tensor(
        [[[1.0], [1.0]], [[9.0], [1.0]], [[0.0], [0.0]]], dtype=torch.float64
    )  # the last is 0/0
    weights = resampling_weights(3, 200, 0)
    ratio = estimate(
        tables, lambda table: {"x": table[..., 0, 0] / table[..., 1, 0]}, 0.9, weights
    )["x"]
    assert float(ratio.value) == 5.0


def test_the_reciprocal_of_what_may_be_nothing_is_infinite_there():
    estimate = reciprocal(
        Estimate(*torch.tensor([[0.5, -0.1, 2.0], [-0.2, -0.3, 1.0], [1.0, 0.2, torch.nan]]))
    )
    assert estimate.value.tolist() == [2.0, math.inf, 0.5]
    assert estimate.low.tolist()[:2] == [1.0, 5.0] and math.isnan(estimate.low[2])
    assert estimate.high.tolist() == [math.inf, math.inf, 1.0]
