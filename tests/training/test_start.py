"""What a run starts from: the general model where it suits, and the record of it."""

import logging
from dataclasses import replace

import pytest
import torch

from restore.errors import UserError
from restore.model.checkpoint import load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model
from restore.preprocessing import Recipe
from restore.training.run import train
from restore.training.settings import PRESETS
from restore.training.start import choose_start, named_start

CPU = PRESETS["cpu"]
STILL = {"steps": 1, "batch_size": 2, "patch_px": 32, "learning_rate": 1e-12, "held_out": 0.25}


def trained(path, folder, settings, **more):
    return train(path, settings, model_directory=folder, device="cpu", **more)


def general_weights():
    return load_general_model().network.state_dict()


def is_general(model):
    weights = model.network.state_dict()
    return all(
        torch.allclose(weights[name], value, atol=1e-6) for name, value in general_weights().items()
    )


@pytest.mark.parametrize("recipe", [Recipe(6.0), Recipe(4.5, phase_flip=False)])
def test_the_general_model_is_the_start_where_it_suits(recipe):
    start = choose_start(CPU, recipe)
    assert start.name == "general.safetensors"
    general = load_model(GENERAL_MODEL_PATH)
    steps = general.training["steps"]
    assert start.card == {"model": start.name, "digest": general.digest(), "steps": steps}
    assert f"general model (general.safetensors, {steps:,} steps)" in start.words


@pytest.mark.parametrize(
    ("settings", "recipe", "reason"),
    [
        (replace(CPU, from_scratch=True), Recipe(6.0), "asked for"),
        (replace(CPU, architecture="waunet"), Recipe(6.0), "waunet of 32 × 4.*unet of 32 × 1"),
        (replace(CPU, filters=16), Recipe(6.0), "unet of 16 × 1.*unet of 32 × 1"),
        (PRESETS["paper"], Recipe(6.0), "asked for"),
        (replace(PRESETS["paper"], architecture="unet"), Recipe(6.0), "asked for"),
        (CPU, Recipe(3.4), "3.4 Å, not 4.5 to 12 Å"),
        (CPU, Recipe(6.0, highpass_A=400.0), "highpass_A is 400"),
    ],
)
def test_a_run_starts_from_nothing_where_it_does_not(settings, recipe, reason):
    start = choose_start(settings, recipe)
    assert start.model is None and start.card is None
    pattern = f"^training starts from nothing: .*{reason}"
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(start.words)


def test_a_named_start_and_a_start_from_nothing_exclude_each_other():
    with pytest.raises(UserError, match=r"`initial_model` and `from_scratch`"):
        named_start(replace(CPU, from_scratch=True), GENERAL_MODEL_PATH)


def test_a_run_starts_from_the_general_model_and_its_card_says_so(make_patches, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    model = trained(make_patches(), tmp_path / "Models", STILL)
    assert is_general(model)
    start = load_model(tmp_path / "Models/model.safetensors").provenance["inputs"]["start"]
    assert start["digest"] == load_model(GENERAL_MODEL_PATH).digest()
    assert "training starts from the general model" in caplog.text
    first, last = model.training["history"]
    assert (first["step"], last["step"]) == (0, 1)
    assert first["held_out_loss"] == pytest.approx(last["held_out_loss"], rel=1e-4)
    assert "before training: validation loss" in caplog.text
    trained(None, tmp_path / "Models", {"steps": 2}, resume=True)
    resumed = load_model(tmp_path / "Models/model.safetensors")
    assert resumed.provenance["inputs"]["start"] == start
    assert [row["step"] for row in resumed.training["history"]] == [0, 1, 2]


def test_a_run_from_scratch_does_not(make_patches, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    model = trained(make_patches(), tmp_path, {**STILL, "from_scratch": True})
    assert not is_general(model)
    assert model.provenance["inputs"]["start"] is None
    assert [row["step"] for row in model.training["history"]] == [1]
    assert caplog.text.count("starts from nothing") == 1


def test_training_that_only_harms_gives_the_start_back(make_patches, tmp_path):
    harmful = {**STILL, "steps": 12, "learning_rate": 0.3, "gradient_clip": 0.0}
    model = trained(make_patches(), tmp_path, harmful)
    losses = [row["held_out_loss"] for row in model.training["history"]]
    assert min(losses) == losses[0] and model.training["best"]["step"] == 0
    assert is_general(model)


def test_a_run_from_the_general_model_learns_at_half_the_rate_unless_one_is_given(
    make_patches, tmp_path
):
    def rate(name, more):
        settings = {"steps": 1, "batch_size": 2, "patch_px": 32, "held_out": 0.25, **more}
        model = trained(make_patches(), tmp_path, settings, model_prefix=name)
        return model.training["settings"]["learning_rate"]

    assert rate("general", {}) == CPU.learning_rate / 2
    assert rate("scratch", {"from_scratch": True}) == CPU.learning_rate
    assert rate("given", {"learning_rate": 3e-4}) == 3e-4
