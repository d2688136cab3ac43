"""A run of the general model's training in several sittings: batches, options, specimens."""

import sys
import time
from argparse import Namespace

import pytest

from restore.model.checkpoint import load_model


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


@pytest.fixture
def words(tmp_path):
    """What is typed for a run, after the script's name."""
    specimens = tmp_path / "specimens"
    specimens.mkdir()
    (specimens / "1abc.pdb").touch()
    (tmp_path / "run").mkdir()
    return [str(tmp_path / "run"), "--specimens", str(specimens), "--pool", "4"]


@pytest.fixture
def stopped(train, words):
    """A run that was stopped: its state is there."""
    chosen = train.parsed(None, words)
    run = train.new_run(chosen)
    run.step = 7
    train.save(run, train.state_of(chosen), chosen)
    return run


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "2"], "pool.seed was 1, and is 2 now; seed was 1, and is 2 now"),
        (["--pool", "3"], r"pool\.fields was 4, and is 3 now.*--change"),
        (["--unflipped-share", "0"], r"pool\.ranges\.unflipped_share was 0\.3, and is 0\.0 now"),
    ],
)
def test_a_later_sitting_with_other_options_ends_before_anything_is_simulated(
    train, words, stopped, monkeypatch, more, message
):
    monkeypatch.setattr(sys, "argv", ["train.py", *words, *more])
    monkeypatch.setattr(train, "start_producer", lambda: pytest.fail("the simulation began"))
    with pytest.raises(SystemExit, match=message):
        train.main()


def test_options_that_may_change_stand_in_the_card_with_the_step_of_the_change(
    train, words, stopped
):
    chosen = train.parsed(None, [*words, "--noise-alone", "0.15", "--change"])
    run = train.begun(chosen)
    assert run.step == 7
    train.save(run, train.state_of(chosen), chosen)
    same = train.parsed(None, [*words, "--noise-alone", "0.15", "--threads", "1", "--duty", "0.5"])
    assert train.begun(same).earlier_options == [{"until_step": 7, "noise_alone": 0.0}]
    card = load_model(chosen.folder / "general.safetensors").training
    assert card["noise_alone"] == 0.15
    assert card["earlier_options"] == [{"until_step": 7, "noise_alone": 0.0}]


def test_an_option_that_an_older_state_does_not_name_is_not_compared(train):
    now = {"seed": 1, "batch": 6, "pool": {"fields": 4, "ranges": {"low": [1, 2]}}}
    assert train.changed_options({"seed": 1, "pool": {"fields": 4}, "steps": 9}, now) == {}
    before = {"seed": 2, "pool": {"fields": 4, "ranges": {"low": [1, 3]}}}
    changed = {"seed": (2, 1), "pool.ranges.low": ([1, 3], [1, 2])}
    assert train.changed_options(before, now) == changed


def test_a_smaller_pool_keeps_no_field_that_it_would_never_renew(scripts, tmp_path):
    for number in range(4):
        (tmp_path / f"{number:05d}.npz").touch()
    scripts[0].shrink(tmp_path, 2)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["00000", "00001"]


def test_specimens_for_the_examination_are_left_out_however_their_files_are_called(
    train, scripts, tmp_path, monkeypatch
):
    names = ("3J9I.cif", "1IHM-assembly1.cif", "6z6u_apoferritin.pdb", "pdb2cg9.ent", "1bxn.pdb",
             "4v4r_30s.pdb")  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(scripts[0], "read_particle", lambda path: path.name)
    assert scripts[0].load_particles(tmp_path) == ["1bxn.pdb", "4v4r_30s.pdb"]
    chosen = train.parsed(None, [str(tmp_path), "--specimens", str(tmp_path)])
    assert train.recorded_options(chosen)["specimens"] == ["1bxn.pdb", "4v4r_30s.pdb"]
