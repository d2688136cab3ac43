"""A run is resumed as it was started, or not at all."""

import pytest

import restore
from restore.cli.main import main
from restore.errors import UserError
from restore.model.checkpoint import load_model
from restore.preprocessing import Recipe
from restore.training.resuming import require_same_start
from restore.training.settings import TrainingSettings
from restore.training.state import RunInputs, RunRecord

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
