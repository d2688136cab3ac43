"""What a training run leaves beside its model."""

import csv
from dataclasses import asdict

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from restore.errors import UserError
from restore.model.network import NetworkSettings, add_weight_norm, build_network
from restore.training.run_files import COLUMNS, Journal, RunFiles
from restore.training.settings import TrainingSettings
from restore.training.state import (
    RunInputs,
    RunRecord,
    TrainingState,
    load_run,
    restore_state,
)


def state(seed=0):
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(seed)
    )
    add_weight_norm(network)
    return TrainingState(network, torch.optim.Adam(network.parameters()))


def row(epoch, **more):
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "seconds": 1.5,
        "train_loss": 1 / epoch,
        "learning_rate": 1e-3,
        **more,
    }


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path / "Models", "mine")


def test_every_epoch_leaves_a_row_a_curve_and_a_state_to_go_on_from(files):
    kept = state()
    settings = TrainingSettings(steps=20)
    journal = Journal(files, {"settings": asdict(settings), "inputs": {"patches": "a.hdf"}})
    for epoch in (1, 2):
        kept.epoch = epoch
        kept.history.append(row(epoch, held_out_loss=2.0 / epoch, perfect_loss=0.5))
        journal.epoch(kept)
    journal.close()
    with files.table.open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["epoch"], row["held_out_loss"]) for row in rows] == [("1", "2.0"), ("2", "1.0")]
    again = state(1)
    restore_state(files.state, again)
    assert again.epoch == 2 and again.history == kept.history
    assert load_run(files.state) == RunRecord(settings, RunInputs("a.hdf"))
    curves = EventAccumulator(str(files.tensorboard)).Reload()
    assert set(curves.Tags()["scalars"]) == {
        "learning_rate",
        "train_loss",
        "held_out_loss",
        "perfect_loss",
    }
    assert [(scalar.step, scalar.value) for scalar in curves.Scalars("held_out_loss")] == [
        (10, 2.0),
        (20, 1.0),
    ]


def test_a_run_without_held_out_micrographs_leaves_those_columns_empty(files):
    kept = state()
    kept.history.append(row(1))
    journal = Journal(files, {})
    journal.epoch(kept)
    journal.close()
    assert files.table.read_text().splitlines()[1].endswith(",1.0,,,")


def touched(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")


def test_a_run_that_is_there_is_not_replaced_unless_one_says_so(files):
    files.refuse_to_replace(resume=False, overwrite=False)
    touched(files.model)
    with pytest.raises(
        UserError, match=r"mine\.safetensors: there is already a run called mine.*`overwrite=True`"
    ):
        files.refuse_to_replace(resume=False, overwrite=False)
    files.refuse_to_replace(resume=False, overwrite=True)


def test_an_unfinished_run_can_be_resumed_and_the_message_says_so(files):
    touched(files.state)
    with pytest.raises(UserError, match="`resume=True` to continue it"):
        files.refuse_to_replace(resume=False, overwrite=False)
    files.refuse_to_replace(resume=True, overwrite=False)


def test_a_finished_run_can_be_trained_for_longer_and_the_message_says_so(files):
    touched(files.model)
    touched(files.state)
    with pytest.raises(UserError, match="`resume=True` to continue it"):
        files.refuse_to_replace(resume=False, overwrite=False)


def test_a_model_without_a_training_state_is_not_replaced_by_a_resumed_run(files):
    touched(files.model)
    with pytest.raises(
        UserError,
        match=r"mine\.state\.safetensors: there is no training state to resume, but .* a model",
    ):
        files.refuse_to_replace(resume=True, overwrite=False)
    files.refuse_to_replace(resume=True, overwrite=True)


def test_a_run_that_left_nothing_to_resume_starts_from_the_beginning_and_says_so(files, caplog):
    files.refuse_to_replace(resume=True, overwrite=False)
    with caplog.at_level("INFO", logger="restore"):
        assert not files.can_resume()
    assert "mine.state.safetensors: nothing to resume, so training starts" in caplog.text
    touched(files.state)
    assert files.can_resume()


@pytest.mark.parametrize("prefix", ["../esc", "/tmp/esc", "a/b", "", "..", ".", "a\0b", "a/"])
def test_a_prefix_that_would_leave_the_folder_is_refused(tmp_path, prefix):
    with pytest.raises(UserError, match="is not the name of a file") as error:
        RunFiles(tmp_path / "Models", prefix)
    assert error.value.field == "model_prefix"
