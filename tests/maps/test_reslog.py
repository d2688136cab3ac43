"""ResLog: subsets, lines and intervals, and a B factor that is known."""

import math

import numpy as np
import pytest
import torch

from restore.errors import UserError
from restore.maps.fsc import FSCSettings, half_map_fsc
from restore.maps.reslog import (
    ResLogCurve,
    ResLogSettings,
    compare_reslog,
    fit_reslog,
    subset_orders,
    subset_sizes,
)

# Subsets


def test_sizes_rise_by_one_ratio_to_all_particles():
    sizes = subset_sizes(100_000, ResLogSettings(sizes=8))
    assert len(sizes) == 8 and sizes[0] == 781 and sizes[-1] == 100_000
    np.testing.assert_allclose(np.diff(np.log2(sizes)), 1, atol=2e-3)
    assert subset_sizes(1000, ResLogSettings(sizes=3, smallest=10)) == [10, 100, 1000]
    assert subset_sizes(400, ResLogSettings(sizes=8))[0] == 32
    assert subset_sizes(6, ResLogSettings(sizes=8)) == [2, 3, 4, 5, 6]


def test_every_beginning_has_its_share_of_either_half():
    half_sets = np.array([1] * 300 + [2] * 100)
    for order in subset_orders(half_sets, ResLogSettings(repeats=4)):
        assert sorted(order.tolist()) == list(range(400))
        first = np.cumsum(half_sets[order] == 1)
        assert np.abs(first - 0.75 * np.arange(1, 401)).max() <= 1


def test_the_seed_decides_the_subsets_and_repeats_are_others():
    half_sets = np.arange(50) % 2 + 1
    one, again, other = (
        subset_orders(half_sets, ResLogSettings(repeats=3, seed=seed)) for seed in (7, 7, 8)
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert len({tuple(order.tolist()) for order in one}) == 3
    assert np.array_equal(subset_orders(half_sets, ResLogSettings(repeats=2, seed=7)), one[:2])


def test_a_subset_is_a_fair_draw_of_each_half():
    half_sets = np.arange(40) % 2 + 1
    often = np.zeros(40)
    for order in subset_orders(half_sets, ResLogSettings(repeats=4000)):
        often[order[:10]] += 1
    np.testing.assert_allclose(often / 4000, 0.25, atol=4 * math.sqrt(0.25 * 0.75 / 4000))


# Lines


def curve_of(slope, intercept, scatter=0.0, repeats=3, seed=0, nyquist=1.0):
    sizes = np.array([100, 200, 400, 800, 1600])
    line = intercept + slope * np.log10(sizes)
    return ResLogCurve(
        sizes, line + scatter * np.random.default_rng(seed).standard_normal((repeats, 5)), nyquist
    )


def test_the_line_is_that_of_the_points():
    fit = fit_reslog(curve_of(0.05, 0.02))
    assert fit.slope_per_A.value == pytest.approx(
        0.05
    ) and fit.intercept_per_A.value == pytest.approx(0.02)
    assert fit.slope_per_A.high - fit.slope_per_A.low < 1e-12
    value, low, high = fit.at(np.array([1000.0]))
    assert value[0] == pytest.approx(0.02 + 0.15) and low[0] == pytest.approx(high[0])


def test_the_bfactor_is_two_over_the_slope_of_squares():
    sizes = np.array([100, 200, 400, 800, 1600])
    frequency = np.sqrt(0.001 + 2 / 150 * np.log(sizes))
    fit = fit_reslog(ResLogCurve(sizes, np.tile(frequency, (2, 1)), 1.0))
    assert fit.bfactor_A2.value == pytest.approx(150) and fit.bfactor_A2.high == pytest.approx(150)


def test_points_that_tell_nothing_are_not_fitted():
    curve = curve_of(0.05, 0.02)
    spoiled = curve.frequency_per_A.copy()
    spoiled[0, 0], spoiled[:, -1] = 0, np.inf
    curve = ResLogCurve(curve.particles, spoiled, 0.2)
    assert curve.at_once.sum() == 1 and curve.at_nyquist.sum() == 3 and curve.fitted.sum() == 11
    assert fit_reslog(curve).slope_per_A.value == pytest.approx(0.05)


def test_without_two_sizes_there_is_no_line_and_with_one_repeat_no_interval():
    curve = curve_of(0.05, 0.02)
    only = np.full((3, 5), np.inf)
    only[:, 2] = 0.1
    assert fit_reslog(ResLogCurve(curve.particles, only, 0.2)) is None
    alone = fit_reslog(curve_of(0.05, 0.02, repeats=1))
    assert alone.slope_per_A.value == pytest.approx(0.05) and math.isnan(alone.slope_per_A.low)
    assert math.isnan(alone.bfactor_A2.high)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """With repeats that are independent, 95 % intervals of slope, intercept and B factor; 400
    trials are within 4 deviations.
    """
    hits = np.zeros(2)
    for seed in range(400):
        fit = fit_reslog(curve_of(0.05, 0.02, scatter=0.005, repeats=4, seed=seed))
        hits += [
            estimate.low <= truth <= estimate.high
            for estimate, truth in ((fit.slope_per_A, 0.05), (fit.intercept_per_A, 0.02))
        ]
    assert (np.abs(hits / 400 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400)).all(), hits


def test_a_curve_that_falls_has_no_bfactor():
    assert math.isinf(fit_reslog(curve_of(-0.01, 0.2)).bfactor_A2.value)


def test_curves_of_the_same_subsets_differ_by_less_than_each_is_uncertain():
    first = curve_of(0.05, 0.02, scatter=0.01)
    second = ResLogCurve(first.particles, first.frequency_per_A + 0.05 * math.log10(1.5), 1.0)
    difference = compare_reslog(first, second)
    assert difference.frequency_per_A.value == pytest.approx(0.05 * math.log10(1.5))
    assert (
        difference.frequency_per_A.high - difference.frequency_per_A.low < 1e-9
        and difference.pairs == 15
    )
    exact = compare_reslog(curve_of(0.05, 0.02), curve_of(0.05, 0.02 + 0.05 * math.log10(1.5)))
    assert exact.particles_ratio.value == pytest.approx(
        1.5
    ) and exact.particles_ratio.low == pytest.approx(1.5)
    assert compare_reslog(first, first).frequency_per_A.value == 0


def test_a_repeat_without_two_common_points_is_left_out_of_the_difference():
    first, second = curve_of(0.05, 0.02), curve_of(0.05, 0.03)
    spoiled = second.frequency_per_A.copy()
    spoiled[1] = np.inf
    spoiled[2, 1:] = np.inf
    difference = compare_reslog(first, ResLogCurve(second.particles, spoiled, 1.0))
    assert difference.pairs == 6 and difference.frequency_per_A.value == pytest.approx(0.01)
    assert math.isnan(difference.frequency_per_A.low)


@pytest.mark.parametrize(
    ("name", "value"), [("sizes", 1), ("repeats", 0), ("smallest", 1), ("seed", -1)]
)
def test_settings_that_cannot_be_are_refused(name, value):
    with pytest.raises(UserError, match=f"{name} is {value}"):
        ResLogSettings(**{name: value})


def test_too_few_particles_are_refused():
    with pytest.raises(UserError, match="there are 10 particles"):
        subset_sizes(10, ResLogSettings(smallest=20))


# Truth

SIDE, VOXEL_A, BFACTOR_A2 = 64, 2.0, 200.0


def test_a_gaussian_falloff_under_white_noise_has_its_own_bfactor():
    """Each half is signal of power exp(-B k²/2) and white noise over n/2, so FSC/(1 - FSC) = c
    (n/2) exp(-B k²/2).

    Where it is 0.143/0.857, k² = 2/B (ln n + const): the fit must find B. A shell at the crossing
    has some 2000 components, so that k is off by about a tenth of a shell in each of 18 points, and
    B by about 3 %; 10 % are allowed.
    """
    frequency = torch.fft.fftfreq(SIDE, VOXEL_A)
    k2 = (
        frequency[:, None, None] ** 2
        + frequency[:, None] ** 2
        + torch.fft.rfftfreq(SIDE, VOXEL_A) ** 2
    )
    generator = torch.Generator().manual_seed(3)

    def white():
        return torch.randn(SIDE, SIDE, SIDE, generator=generator)

    signal = torch.fft.irfftn(
        torch.fft.rfftn(white()) * torch.exp(-BFACTOR_A2 * k2 / 4), s=(SIDE,) * 3
    )
    sizes = np.array([200, 400, 800, 1600, 3200, 6400])
    resolutions = np.zeros((3, len(sizes)))
    for repeat in range(3):
        noise, before = [torch.zeros(SIDE, SIDE, SIDE) for _ in range(2)], 0
        for index, count in enumerate(sizes):
            noise = [half + 10 * math.sqrt((count - before) / 2) * white() for half in noise]
            before = count
            halves = [(signal + half / (count / 2))[None] for half in noise]
            fsc = half_map_fsc(*halves, (VOXEL_A,) * 3, FSCSettings())
            resolutions[repeat, index] = 1 / fsc.crossing_A(fsc.unmasked, 0.143)
    fit = fit_reslog(ResLogCurve(sizes, resolutions, 0.5 / VOXEL_A))
    assert fit.bfactor_A2.value == pytest.approx(BFACTOR_A2, rel=0.1)
    log_n = np.log(sizes)
    expected = np.sqrt(2 / BFACTOR_A2 * (log_n + np.log(0.857 / 0.143 / 2 / 100)))
    expected_slope = np.polynomial.polynomial.polyfit(log_n / math.log(10), expected, 1)[1]
    assert fit.slope_per_A.value == pytest.approx(expected_slope, rel=0.1)
