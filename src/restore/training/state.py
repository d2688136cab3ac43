"""The training state: what a resumed run goes on from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from restore.io.reading import reading
from restore.model.checkpoint import (
    load_tensors,
    named_under,
    part_of_card,
    save_tensors,
    tensors_under,
)
from restore.model.network import Network


@dataclass
class TrainingState:
    """Everything that a run needs to go on: weights, optimiser, place, and the best weights so far.

    ``average`` is the moving average of the weights, empty where none is kept; it is what is
    validated, and what ``best_weights`` are copies of. ``rate_factor`` multiplies the learning
    rate; it is halved each time the run falls back to them. ``flat_since`` is the step from which
    on a run without a given length winds down, or None.
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


_RUN_AGAIN = "start the run again from the beginning"


_PLACE_TYPES: dict[str, Any] = {
    "step": int,
    "epoch": int,
    "loss_steps": int,
    "history": list,
    "flat_since": int | None,
}


_PLACE = (
    *("step", "epoch", "seconds", "loss_sum", "loss_steps", "best_loss", "history"),
    *("rate_factor", "flat_since"),
)


def save_state(path: Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Write the training state and the record of the run that it belongs to, beside and renamed."""
    tensors = named_under("network", state.network.state_dict())
    tensors |= named_under("best", state.best_weights) | named_under("average", state.average)
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= named_under(f"adam.{index}", moments)
    place = {name: getattr(state, name) for name in _PLACE} | {"loss_sum": float(state.loss_sum)}
    save_tensors(path, tensors, {"kind": "training state", "place": place, "run": run})


def load_run(path: Path) -> dict[str, Any]:
    """The record of the run that a training state belongs to."""
    _, card = load_tensors(path, "training state")
    with reading(path, "", "the training state is damaged", _RUN_AGAIN):
        return part_of_card(card, "run")


def restore_state(path: Path, state: TrainingState) -> None:
    """Put what `save_state` wrote into ``state``: its network, its optimiser, and its place, all
    changed here.
    """
    tensors, card = load_tensors(path, "training state")
    with reading(path, "", "the training state does not fit this run", _RUN_AGAIN):
        place = _place(card)
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
        for name in _PLACE:
            setattr(state, name, place[name])


def _place(card: Mapping[str, Any]) -> dict[str, Any]:
    """Where the run stood, each part of the type that `TrainingState` gives it."""
    place = part_of_card(card, "place")
    for name in _PLACE:
        kind = _PLACE_TYPES.get(name, int | float)
        if not isinstance(place[name], kind) or isinstance(place[name], bool):
            raise TypeError(f"{name} is {str(place[name])[:40]}")
    if not all(isinstance(row, dict) for row in place["history"]):
        raise TypeError("a row of the history is not a record")
    return place


def _laid_out_like(parameter: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments in their parameter's memory layout: fused Adam walks through memory, whatever the
    strides say.
    """
    return {
        name: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        for name, value in moments.items()
    }
