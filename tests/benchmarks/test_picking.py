"""The picking benchmark: matching, precision and recall, and the files of the pickers."""

import sys

import numpy as np
import pytest
from folders import ROOT
from hypothesis import given
from hypothesis import strategies as st

FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def metrics():
    """A module of the benchmark, which is no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        import picking_metrics

        yield picking_metrics
    finally:
        sys.path.remove(str(FOLDER))


def picks_of(metrics, *rows):
    """Picks from rows of x, y, figure of merit."""
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return metrics.Picks(table[:, :2], table[:, 2])


def truth_of(metrics, *centres, tolerance=10.0, margin=20.0):
    """Particles in an image of 200 by 100 pixels."""
    return metrics.Truth(
        np.array(centres, dtype=float).reshape(-1, 2), (200, 100), tolerance, margin
    )


def test_a_pick_within_the_tolerance_is_true_and_one_beyond_it_is_false(metrics):
    truth = truth_of(metrics, (50, 50), (120, 50))
    verdict = metrics.judge(picks_of(metrics, (56, 58, 2), (120, 60.1, 1)), truth)
    assert verdict.is_true.tolist() == [True, False]
    assert verdict.particles == 2


def test_one_particle_makes_only_the_best_of_two_picks_true(metrics):
    truth = truth_of(metrics, (50, 50))
    verdict = metrics.judge(picks_of(metrics, (50, 50, 1), (54, 50, 3)), truth)
    assert verdict.is_true.tolist() == [False, True]


def test_a_second_pick_gets_the_particle_that_the_first_left(metrics):
    truth = truth_of(metrics, (50, 50), (58, 50))
    verdict = metrics.judge(picks_of(metrics, (53, 50, 3), (52, 50, 1)), truth)
    assert metrics.match(picks_of(metrics, (53, 50, 3), (52, 50, 1)), truth).tolist() == [0, 1]
    assert verdict.is_true.all()


def test_x_and_y_are_not_exchanged(metrics):
    truth = truth_of(metrics, (150, 30))
    assert metrics.judge(picks_of(metrics, (150, 30, 1)), truth).is_true.tolist() == [True]
    assert metrics.judge(picks_of(metrics, (30, 50, 1)), truth).is_true.tolist() == [False]


def test_nothing_counts_near_the_border(metrics):
    truth = truth_of(metrics, (15, 50), (50, 50))
    picks = picks_of(metrics, (15, 50, 4), (21, 50, 3), (190, 90, 2), (50, 50, 1))
    verdict = metrics.judge(picks, truth)
    # The first has the particle at the border, the second is false, the third is at the border.
    assert verdict.is_true.tolist() == [False, True]
    assert verdict.figure_of_merit.tolist() == [3, 1]
    assert verdict.particles == 1


def test_a_particle_that_counts_makes_its_pick_count_wherever_it_is(metrics):
    verdict = metrics.judge(picks_of(metrics, (18, 50, 1)), truth_of(metrics, (21, 50)))
    assert verdict.is_true.tolist() == [True]


def test_without_particles_every_pick_is_false_and_without_picks_nothing_is_found(metrics):
    nothing = metrics.judge(picks_of(metrics, (50, 50, 1)), truth_of(metrics))
    assert nothing.is_true.tolist() == [False]
    curve = metrics.curve_of(metrics.judge(picks_of(metrics), truth_of(metrics, (50, 50))))
    assert metrics.average_precision(curve) == 0
    assert metrics.recall_at(curve, 0.9) == 0


def verdict_of(metrics, hits, particles, merits=None):
    merits = range(len(hits), 0, -1) if merits is None else merits
    return metrics.Verdict(np.array(merits, float), np.array(hits, bool), particles)


def test_precision_and_recall_of_a_ranking_worked_out_by_hand(metrics):
    curve = metrics.curve_of(verdict_of(metrics, [1, 1, 0, 1, 0], particles=4))
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.recall.tolist() == pytest.approx([0.25, 0.5, 0.5, 0.75, 0.75])
    assert metrics.average_precision(curve) == pytest.approx(0.25 * (1 + 1 + 0.75))
    assert metrics.recall_at(curve, 0.9) == 0.5
    assert metrics.recall_at(curve, 0.75) == 0.75


def test_a_false_best_pick_does_not_hide_what_a_lower_threshold_reaches(metrics):
    curve = metrics.curve_of(verdict_of(metrics, [0] + 19 * [1], particles=19))
    assert curve.precision[0] == 0
    assert metrics.recall_at(curve, 0.9) == 1


def test_picks_of_one_figure_of_merit_come_together(metrics):
    """No order among equals can make the curve better than it is."""
    for hits in ([1, 0, 0], [0, 0, 1]):
        curve = metrics.curve_of(verdict_of(metrics, hits, 1, merits=[5, 5, 5]))
        assert curve.precision.tolist() == pytest.approx([1 / 3])
        assert metrics.average_precision(curve) == pytest.approx(1 / 3)


def test_the_picks_of_several_micrographs_are_ranked_together(metrics):
    first = verdict_of(metrics, [1, 0], 1, merits=[0.9, 0.1])
    second = verdict_of(metrics, [0, 1], 2, merits=[0.5, 0.3])
    curve = metrics.curve_of(metrics.together([first, second]))
    assert curve.threshold.tolist() == [0.9, 0.5, 0.3, 0.1]
    assert curve.recall.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 20))
def test_the_measures_stay_in_their_bounds_and_depend_on_the_order_of_merit_alone(
    metrics, hits, missed
):
    particles = sum(hits) + missed
    verdict = verdict_of(metrics, hits, particles)
    curve = metrics.curve_of(verdict)
    precision = metrics.average_precision(curve)
    assert 0 <= precision <= sum(hits) / max(particles, 1) + 1e-12
    squashed = metrics.Verdict(np.tanh(verdict.figure_of_merit / 50), verdict.is_true, particles)
    assert metrics.average_precision(metrics.curve_of(squashed)) == pytest.approx(precision)


def test_the_error_is_zero_where_all_micrographs_are_alike_and_not_where_they_differ(metrics):
    good, bad = verdict_of(metrics, [1, 1], 2), verdict_of(metrics, [0, 0], 2)
    assert metrics.recall_error([[good, good]], 0.9) == 0
    assert metrics.recall_error([[good, bad]], 0.9) > 0.2
