"""A run of the general model's training in several sittings: batches, options, specimens."""

import time
from argparse import Namespace

import pytest


@pytest.fixture
def chosen():
    """The options that a run cannot do without."""
    return Namespace(seed=1, rate=1e-3, average=0.9, minutes=60.0)


def numbers_of(sitting, count):
    """The numbers of the batches of a sitting, each followed by a step."""
    numbers = []
    for _ in range(count):
        numbers.append(sitting.next_batch())
        sitting.run.step += 1
    return numbers


def test_no_two_sittings_draw_the_same_batch(train, scripts, chosen, tmp_path):
    run, drawn = train.new_run(chosen), []
    for _ in range(3):
        drawn += numbers_of(train.Sitting(run, chosen, 0.0, time.monotonic()), 6)
        scripts[1].save_run(tmp_path / "state.safetensors", run, {})
        run = train.new_run(chosen)
        scripts[1].resume_run(tmp_path / "state.safetensors", run)
    assert len(set(drawn)) == len(drawn) == 18


def test_a_state_that_did_not_count_its_batches_goes_on_beyond_them(
    train, scripts, chosen, tmp_path, monkeypatch
):
    _, learning = scripts
    run = train.new_run(chosen)
    run.step, run.windows = 100, 600  # of its batches, none had a higher number than 200
    with monkeypatch.context() as before:
        before.setattr(learning, "_PLACE", ("step", "seconds", "windows", "history"))
        learning.save_run(tmp_path / "state.safetensors", run, {})
    again = train.new_run(chosen)
    learning.resume_run(tmp_path / "state.safetensors", again)
    assert train.Sitting(again, chosen, 0.0, time.monotonic()).next_batch() > 200
