"""A run is resumed as it was started, or not at all."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from half_pairs import as_prepared, half_pair

import restore
from restore.cli.main import main
from restore.errors import UserError
from restore.model.checkpoint import load_model, load_tensors, save_model, save_tensors
from restore.model.general import GENERAL_MODEL_PATH
from restore.preprocessing import Recipe
from restore.training.patches import PatchWriter
from restore.training.resuming import require_same_start
from restore.training.run import train
from restore.training.settings import TrainingSettings
from restore.training.start import named_start
from restore.training.state import KIND, RunInputs, RunRecord

SMALL = "--batch_size 2 --patch_px 32 --filters 4 --device cpu"


@pytest.fixture
def here(make_patches, monkeypatch):
    path = make_patches(recipe=Recipe(4.5))
    monkeypatch.chdir(path.parent)
    path.rename("training_data.hdf")
    return path.parent


def typed(line):
    return main(line.split())


def test_another_preset_and_another_initial_model_are_refused_on_resuming(here, capsys):
    assert typed(f"train -t training_data.hdf --steps 1 {SMALL} --from_scratch") == 0
    assert load_model(here / "Models/model.safetensors").provenance["inputs"]["preset"] == "cpu"
    for options, words in (
        ("--preset gpu", "--preset is gpu, but the run to resume has cpu"),
        ("-i a.st", "--initial_model is a.st, but the run to resume started from random weights"),
    ):
        capsys.readouterr()
        assert typed(f"train --resume --device cpu --steps 2 {options}") == 1
        assert words in capsys.readouterr().err
    assert typed("train --resume --device cpu --steps 2 --preset cpu") == 0
    assert load_model(here / "Models/model.safetensors").provenance["inputs"]["preset"] == "cpu"


def test_the_same_initial_model_is_accepted_however_its_path_is_given(here):
    record = RunRecord(TrainingSettings(), RunInputs("a.hdf", initial="Models/first.safetensors"))
    for same in ("Models/first.safetensors", here / "Models/../Models/first.safetensors", None):
        require_same_start(record, None, same)
    with pytest.raises(UserError, match=r"is b\.safetensors, but .* from Models/first.safetensors"):
        require_same_start(record, None, "b.safetensors")


def test_the_same_initial_model_is_accepted_in_another_folder(here):
    start = named_start(TrainingSettings(), GENERAL_MODEL_PATH)
    inputs = RunInputs("a.hdf", initial="Models/first.safetensors", start=start.card)
    record = RunRecord(TrainingSettings(), inputs)
    shutil.copy(GENERAL_MODEL_PATH, "first.safetensors")
    require_same_start(record, None, "first.safetensors")
    other = load_model(GENERAL_MODEL_PATH)
    save_model(Path("other.safetensors"), replace(other, recipe=Recipe(7.0)))
    for wrong in ("other.safetensors", "absent.safetensors"):
        with pytest.raises(UserError, match=f"is {wrong}, but .* from Models/first.safetensors"):
            require_same_start(record, None, wrong)


def test_a_run_that_did_not_record_its_preset_is_resumed_with_any(here):
    require_same_start(RunRecord(TrainingSettings(), RunInputs("a.hdf")), "gpu", None)


def test_a_recipe_that_is_not_that_of_the_patch_file_is_refused(here):
    small = {"steps": 1, "batch_size": 2, "patch_px": 32, "filters": 4}
    both = r"4\.5.*3\.4"
    with pytest.raises(UserError, match=both):
        restore.train(recipe=Recipe(3.4), settings=small, device="cpu")
    restore.train(recipe=Recipe(4.5), settings=small, device="cpu")
    with pytest.raises(UserError, match=both):
        restore.train(recipe=Recipe(3.4), steps=2, resume=True, device="cpu")


TINY = {"filters": 4, "batch_size": 1, "patch_px": 16, "batches_per_epoch": 1}
OTHER_AREAS = "other areas are held out"


def train_tiny(folder, steps, **more):
    settings = {**TINY, "steps": steps, **more}
    return train(folder / "p.hdf", settings, model_directory=folder, resume=steps > 1, device="cpu")


def write_patches(folder, count):
    """Micrographs of which the last rows hold no data."""
    blank = torch.zeros(80, 48, dtype=torch.bool)
    blank[-4:] = True
    with PatchWriter(folder / "p.hdf", Recipe(phase_flip=False), "float32") as writer:
        for index in range(count):
            halves = half_pair((80, 48), 1.0, index)
            even, odd = (replace(as_prepared(half), blank=blank) for half in halves)
            writer.add(f"mic{index}.mrc", even, odd)
        writer.finish({})


def replace_kept_out(folder, kept_out=None):
    """Change what a training state says was kept out of training; None makes it as older versions
    wrote it. Returns what it said.
    """
    path = folder / "model.state.safetensors"
    tensors, card = load_tensors(path, KIND)
    before = card["run"]["inputs"].pop("kept_out")
    if kept_out is not None:
        card["run"]["inputs"]["kept_out"] = kept_out
    save_tensors(path, tensors, card)
    return before


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_resumed_with_the_same_held_out_areas_warns_of_nothing(tmp_path, caplog, count):
    write_patches(tmp_path, count)
    first, resumed = train_tiny(tmp_path, 1), train_tiny(tmp_path, 2)
    assert OTHER_AREAS not in caplog.text
    assert resumed.training["held_out"] == first.training["held_out"] != []
    kept_out = resumed.provenance["inputs"]["kept_out"]
    assert len(kept_out) == count and kept_out == first.provenance["inputs"]["kept_out"]
    if count == 1:
        assert kept_out == ["mic0.mrc, rows 60 to 76, columns 0 to 48"]


def test_a_run_of_an_older_version_that_held_out_another_strip_warns(tmp_path, caplog):
    write_patches(tmp_path, 1)
    train_tiny(tmp_path, 1)
    assert replace_kept_out(tmp_path)
    model = train_tiny(tmp_path, 2)
    assert OTHER_AREAS in caplog.text and "held out now of mic0.mrc" in caplog.text
    assert model.training["trained_on"] == ["mic0.mrc"] and not model.training["held_out"]
    caplog.clear()
    assert not train_tiny(tmp_path, 3).training["held_out"]  # not forgotten when resumed again
    assert OTHER_AREAS not in caplog.text


def test_a_run_of_an_older_version_without_blank_areas_warns_of_nothing(make_patches, caplog):
    folder = make_patches(name="p.hdf").parent
    held_out = train_tiny(folder, 1).training["held_out"]
    assert replace_kept_out(folder)
    assert train_tiny(folder, 2).training["held_out"] == held_out != []
    assert OTHER_AREAS not in caplog.text


def test_micrographs_that_the_run_was_trained_on_do_not_count_as_held_out(make_patches, caplog):
    folder = make_patches(name="p.hdf").parent
    (held_out,) = train_tiny(folder, 1).training["held_out"]
    kept_out = replace_kept_out(folder, ["another.mrc"])
    training = train_tiny(folder, 2).training
    assert OTHER_AREAS in caplog.text and f"held out now of {kept_out[0]}" in caplog.text
    assert not training["held_out"] and held_out in training["trained_on"]
