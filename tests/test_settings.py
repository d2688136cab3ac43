"""Fields of settings: what they say of themselves, and the presets."""

from dataclasses import MISSING, dataclass, fields, replace

import pytest
import torch

from restore.denoising.settings import DenoisingSettings
from restore.denoising.targets import OutputSettings
from restore.errors import UserError
from restore.settings import Option, setting
from restore.training.settings import PRESETS, TrainingSettings, resolve_settings


def test_a_setting_carries_its_default_and_what_a_command_line_says_of_it():
    @dataclass(frozen=True)
    class Settings:
        name: str = setting(MISSING, "its name", choices=("a", "b"))
        side_px: int = setting(32, "side", "-p", group="size", metavar="N")

    assert Settings(name="a") == Settings("a", 32)
    options = [field.metadata["option"] for field in fields(Settings)]
    assert options == [
        Option("its name", choices=("a", "b")),
        Option("side", ("-p",), group="size", metavar="N"),
    ]
    with pytest.raises(TypeError, match="name"):
        Settings()


@pytest.mark.parametrize("record", [TrainingSettings, DenoisingSettings, OutputSettings])
def test_every_setting_has_a_sentence(record):
    for field in fields(record):
        words = field.metadata["option"].words
        assert len(words) > 10 and not words.endswith("."), field.name


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": 1.0},
        {"learning_rate": float("nan")},
        {"number_of_epochs": 0},
        {"batches_per_epoch": 0},
        {"steps": 0},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"patch_px": 100},
        {"patch_px": 8},
        {"held_out": 1.0},
        {"held_out": -0.1},
        {"filters": 1},
        {"blocks": 0},
    ],
)
def test_an_impossible_training_setting_is_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"^{name} is {value:g}\. It must be .*\.$") as refused:
        replace(TrainingSettings(), **wrong)
    assert refused.value.field == name


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("before", "given", "steps", "seconds"),
    [
        ({"steps": 7}, {"minutes": 1}, None, 60),
        ({"minutes": 9.0}, {"number_of_epochs": 2}, 1000, None),
        ({"minutes": 9.0}, {"steps": 5, "minutes": None}, 5, None),
        ({"steps": 7}, TrainingSettings(minutes=1), None, 60),
        ({"steps": 7, "number_of_epochs": 100}, {}, 7, None),
        ({}, {"minutes": 1}, None, 60),
    ],
)
def test_the_length_that_is_given_on_resuming_replaces_that_of_the_run(
    before, given, steps, seconds
):
    resumed = TrainingSettings(**before)
    budget = resolve_settings(given, None, CPU, resumed=resumed).budget
    assert (budget.steps, budget.seconds, budget.open_ended) == (steps, seconds, False)


@pytest.mark.parametrize("resumed", [None, TrainingSettings(steps=7)])
def test_a_run_has_one_length(resumed):
    with pytest.raises(UserError, match=r"^`steps` and `minutes` are given"):
        resolve_settings({"minutes": 60, "steps": 100_000}, None, CPU, resumed)
    assert resolve_settings({"steps": 3}, "paper", CPU).budget.steps == 3  # and not its 100 epochs


def test_a_schedule_is_refused_in_a_run_that_would_not_follow_it():
    with pytest.raises(
        UserError, match="schedule is staircase, but the run has no length"
    ) as refused:
        resolve_settings({"schedule": "staircase"}, None, CPU)
    assert refused.value.field == "schedule"
    for usable in ({"schedule": "staircase", "steps": 9}, {"schedule": "cosine"}, {}):
        resolve_settings(usable, None, CPU)
    resolve_settings({"schedule": "staircase"}, "paper", CPU)
    resolve_settings({"steps": 9}, None, CPU, resumed=TrainingSettings(schedule="staircase"))


def test_the_paper_preset_is_the_paper():
    paper = PRESETS["paper"]
    assert (paper.batch_size, paper.learning_rate, paper.patch_px) == (10, 1e-4, 192)
    assert (paper.number_of_epochs, paper.batches_per_epoch, paper.schedule) == (
        100,
        500,
        "staircase",
    )
    network = paper.network
    assert (network.name, network.filters, network.blocks) == ("waunet", 32, 4)
    assert (paper.loss, paper.precision) == ("l2", "float32")
    assert PRESETS["gpu"] == TrainingSettings()
