"""Learning rates along a run, and how long a run is."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from restore.training.schedules import (
    SCHEDULES,
    WARM_UP,
    Budget,
    budget,
    constant,
    cosine,
    staircase,
)


def test_the_staircase_is_the_papers():
    steps = [staircase(epoch / 100) for epoch in (0, 24, 25, 49, 50, 74, 75, 99, 100)]
    assert steps == [1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_the_cosine_warms_up_to_the_whole_rate_and_falls_to_a_hundredth():
    assert 0 < cosine(0) < 0.1
    assert cosine(WARM_UP - 1e-9) == pytest.approx(1, abs=1e-6)
    assert cosine(WARM_UP) == 1
    assert cosine((1 + WARM_UP) / 2) == pytest.approx(0.505)
    assert cosine(1) == pytest.approx(0.01)
    falling = [cosine(WARM_UP + (1 - WARM_UP) * step / 50) for step in range(51)]
    assert falling == sorted(falling, reverse=True)
    climbing = [cosine(WARM_UP * step / 50) for step in range(50)]
    assert climbing == sorted(climbing)


def test_the_constant_schedule_is_one():
    assert {constant(step / 10) for step in range(11)} == {1.0}


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_no_schedule_exceeds_the_initial_rate_or_stops_learning(name, progress):
    assert 0 < SCHEDULES[name](progress) <= 1


def test_steps_come_before_minutes_and_minutes_before_epochs():
    assert budget(7, 3.0, 100, 500) == Budget(7, None, 1)
    assert budget(None, 3.0, 100, 500) == Budget(None, 180.0, 20)
    assert budget(None, None, 100, 500) == Budget(50_000, None, 100)
    assert budget(None, None, None, 500) == Budget(50_000, None, 100, open_ended=True)


def test_an_epoch_of_a_bounded_run_is_at_most_500_steps_or_ten_minutes():
    assert budget(100, None, 1, 500).epochs == 2
    assert budget(20, None, 1, 5).epochs == 4
    assert budget(2000, None, 1, 500).epochs == 20
    assert budget(15_001, None, 1, 500).epochs == 31
    assert budget(None, 600.0, 1, 500).epochs == 60


def test_progress_is_told_in_steps_or_in_seconds_and_ends_at_one():
    by_steps, by_time = Budget(40, None, 4), Budget(None, 40.0, 4)
    assert by_steps.progress(10, 1e9) == 0.25 and by_time.progress(10**9, 10.0) == 0.25
    assert by_steps.progress(41, 0) == by_time.progress(0, 41.0) == 1


@given(st.integers(1, 3000), st.integers(1, 60))
@example(100, 100)  # 0.29 × 100 is 28.999999999999996
def test_every_epoch_of_a_run_ends_exactly_once(steps, epochs):
    run = Budget(steps, None, min(epochs, steps))
    ends = [run.epoch(run.progress(step, 0)) for step in range(steps + 1)]
    assert ends[0] == 0 and ends[-1] == run.epochs
    assert all(0 <= after - before <= 1 for before, after in pairwise(ends))


def test_a_run_of_minutes_measures_its_loss_no_more_often_than_every_fifty_steps():
    slow, counted = budget(None, 2, 1, 500), budget(100, None, 1, 500)
    assert (
        not slow.ends_epoch(0.5, 0, 49) and slow.ends_epoch(0.5, 0, 50) and slow.ends_epoch(1, 0, 1)
    )
    assert not slow.ends_epoch(0.5, slow.epoch(0.5), 50)
    assert counted.ends_epoch(0.5, 0, 1)
