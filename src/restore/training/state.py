"""The training state, from which a resumed run continues."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from restore.io.reading import reading
from restore.model.checkpoint import load_tensors, named_under, save_tensors, tensors_under
from restore.model.network import Network
from restore.records import MAY_BE_INFINITE, decoded
from restore.training.settings import TrainingSettings


@dataclass
class TrainingState:
    """Everything that a run needs to continue: weights, optimiser, position, and the best weights
    so far.

    ``average`` is the moving average of the weights, empty if none is kept; the average is
    validated and copied to ``best_weights``. ``rate_factor`` multiplies the learning rate; it is
    halved each time the run falls back to the best weights. ``flat_since`` is the step at which an
    open-ended run starts to lower its learning rate, or None.
    """

    network: Network
    optimizer: Optimizer
    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    loss_sum: Tensor | float = 0.0
    loss_steps: int = 0
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    average: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    rate_factor: float = 1.0
    flat_since: int | None = None


KIND = "training state"
"""The name of the file's kind in messages and in its card."""

_RUN_AGAIN = "start the run again from the beginning"

COLUMNS: tuple[str, ...] = (
    "epoch",
    "step",
    "seconds",
    "learning_rate",
    "train_loss",
    "held_out_loss",
    "perfect_loss",
    "wiener_loss",
)
"""The possible entries of a row of the history; epoch and step are always present."""


@dataclass(frozen=True)
class RunPlace:
    """The position of a run, as in the card of its state; the fields are described in
    `TrainingState`.
    """

    step: int
    epoch: int
    seconds: float
    loss_sum: float
    loss_steps: int
    best_loss: float = field(metadata=MAY_BE_INFINITE)
    history: list[dict[str, int | float | None]]
    rate_factor: float
    flat_since: int | None

    def __post_init__(self) -> None:
        if min(self.step, self.epoch, self.loss_steps, self.flat_since or 0) < 0:
            raise ValueError("a count is negative")
        if not (self.rate_factor > 0 and self.seconds >= 0):
            raise ValueError("a rate or a time is impossible")
        for row in self.history:
            if not {"epoch", "step"} <= set(row) <= set(COLUMNS):
                raise ValueError(f"a row of the history has {', '.join(row) or 'no values'}"[:200])

    def rows(self) -> list[dict[str, float]]:
        """The history; losses that are null in JSON become NaN."""
        return [
            {name: math.nan if value is None else value for name, value in row.items()}
            for row in self.history
        ]


@dataclass(frozen=True)
class RunInputs:
    """The data that a run was trained on, the model it started from, the preset of its settings,
    and what it kept out of training (`kept_out`); the latter two are None if the run is of an older
    version, and the preset also if it had none.
    """

    patches: str
    made_of: str | None = None
    initial: str | None = None
    start: Mapping[str, Any] | None = None
    trained_on_before: tuple[str, ...] = ()
    preset: str | None = None
    kept_out: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RunRecord:
    """The part of a run's record that is needed to continue it."""

    settings: TrainingSettings
    inputs: RunInputs


@dataclass(frozen=True)
class _PlaceCard:
    """The part of a training state's card with the position of the run."""

    place: RunPlace


@dataclass(frozen=True)
class _StateCard:
    """The card of a training state."""

    place: RunPlace
    run: RunRecord


def save_state(path: Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Write the training state and the record of its run, under a temporary name that is then
    renamed.
    """
    tensors = named_under("network", state.network.state_dict())
    tensors |= named_under("best", state.best_weights) | named_under("average", state.average)
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= named_under(f"adam.{index}", moments)
    names = (part.name for part in fields(RunPlace))
    place = {name: getattr(state, name) for name in names} | {"loss_sum": float(state.loss_sum)}
    save_tensors(path, tensors, {"kind": KIND, "place": place, "run": run})


def load_run(path: Path) -> RunRecord:
    """The record of the run that a training state belongs to. Raises UserError if it is damaged."""
    return decoded(_StateCard, load_tensors(path, KIND)[1], path, KIND, _RUN_AGAIN).run


def load_place(path: Path) -> RunPlace:
    """The position of the run of a training state. Raises UserError if it is damaged."""
    return decoded(_StateCard, load_tensors(path, KIND)[1], path, KIND, _RUN_AGAIN).place


def restore_state(path: Path, state: TrainingState) -> None:
    """Load what `save_state` wrote into ``state``: its network, its optimiser and its position are
    changed in place.
    """
    tensors, card = load_tensors(path, KIND)
    place = decoded(_PlaceCard, card, path, KIND, _RUN_AGAIN).place
    with reading(path, "", "the training state does not fit this run", _RUN_AGAIN):
        state.network.load_state_dict(tensors_under(tensors, "network"))
        groups = state.optimizer.state_dict()["param_groups"]
        adam_states = {
            index: _laid_out_like(parameter, tensors_under(tensors, f"adam.{index}"))
            for index, parameter in zip(
                groups[0]["params"], state.optimizer.param_groups[0]["params"], strict=True
            )
        }
        moments = {
            index: of_parameter for index, of_parameter in adam_states.items() if of_parameter
        }
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.best_weights = tensors_under(tensors, "best")
        parameters = dict(state.network.named_parameters())
        state.average = {
            name: torch.empty_like(parameters[name]).copy_(value)
            for name, value in tensors_under(tensors, "average").items()
        }
        for part in fields(RunPlace):
            setattr(state, part.name, getattr(place, part.name))
        state.history = place.rows()


def _laid_out_like(parameter: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments in their parameter's memory layout: fused Adam walks through memory and ignores
    strides.
    """
    return {
        name: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        for name, value in moments.items()
    }
