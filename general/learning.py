"""How the general model learns: its loss, the average of its weights, its learning rate, and the
state of a run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from fields_pool import ring_of_component
from restore import fourier
from restore.model.checkpoint import load_tensors, named_under, save_tensors, tensors_under

WEAKEST = 0.02
"""No ring's error is weighted as if the Wiener filter left less than this share of the largest
ring's.
"""


LEAST_DENSITY = 1e-3
"""Added to the signal's density (noise: about one), so that empty fields do not count most."""


def relative_loss(
    denoised: Float[Tensor, "b 1 y x"],
    truth: Float[Tensor, "b 1 y x"],
    signal: Float[Tensor, "b rings"],
    wiener_error: Float[Tensor, "b rings"],
    fine_share: float,
) -> Float[Tensor, "b"]:
    """The share of each window's signal that is missed: its squared error over the signal's power.

    Weak micrographs so count as much as strong ones. ``fine_share`` of the loss weighs rings by
    the inverse root of their Wiener error, so that fine rings count more than they do in the plain
    mean squared error, which is the rest.
    """
    shape = (truth.shape[-2], truth.shape[-1])
    error = fourier.spectrum_of((denoised - truth)[:, 0]).abs().square()
    error = error * fourier.friedel_weights(shape)
    rings = ring_of_component(shape)
    counts = torch.zeros(signal.shape[1]).index_add_(
        0, rings.flatten(), fourier.friedel_weights(shape).expand(shape[0], -1).flatten()
    )
    counts = counts / counts.sum()
    floor = WEAKEST * wiener_error.amax(dim=1, keepdim=True) + 1e-9
    inverse_root = (wiener_error + floor).rsqrt()
    plain = torch.ones_like(inverse_root)
    loss = torch.zeros(len(error))
    for share, weight in ((1 - fine_share, plain), (fine_share, inverse_root)):
        # In each ring the density, times the ring's share of all components, is a part of the
        # variance.
        all_of_it = (weight * (signal + LEAST_DENSITY) * counts).sum(dim=1)
        loss = loss + share * (error * weight[:, rings]).sum(dim=(1, 2)) / all_of_it
    return loss


class Average:
    """An exponential moving average of a network's weights."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's weights: faster in the beginning, when they are far off."""
        decay = min(self.decay, (1 + step) / (20 + step))
        current = network.state_dict()
        torch._foreach_lerp_(
            list(self.weights.values()), [current[name] for name in self.weights], 1 - decay
        )


class GradientClipping:
    """Clips the gradient's norm at a multiple of its running level, whatever the loss's scale."""

    def __init__(self, factor: float = 2.0, memory: float = 0.99) -> None:
        self.factor, self.memory, self.level = factor, memory, 0.0

    def __call__(self, network: nn.Module) -> float:
        """Clip, in place; the norm as it was comes back. One that is not finite leaves the level as
        it is, or all later gradients would be scaled by it.
        """
        limit = self.factor * self.level if self.level else 1e9
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), limit))
        if not math.isfinite(norm):
            return norm
        kept = min(norm, limit) if self.level else norm
        self.level = self.memory * self.level + (1 - self.memory) * kept if self.level else kept
        return norm


def learning_rate(share: float, highest: float) -> float:
    """The rate after a share of the run: a short warm-up, the highest rate, and from 60 % on down
    to 2 % of it.
    """
    if share < 0.01:
        return highest * max(share / 0.01, 0.05)
    return highest * min(1.0, max((1 - share) / 0.4, 0.02))


@dataclass
class Run:
    """Where a run stands: network, optimiser, average, and the numbers that go on counting.

    ``drawn`` batches were drawn, and ``step`` steps taken. ``earlier_options`` are those that were
    changed on the way: their old values, and the step ("until_step") up to which they held.
    """

    network: nn.Module
    optimizer: Optimizer
    average: Average
    clipping: GradientClipping = field(default_factory=GradientClipping)
    step: int = 0
    drawn: int = 0
    seconds: float = 0.0
    windows: int = 0
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    earlier_options: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


_PLACE = ("step", "drawn", "seconds", "windows", "history", "earlier_options")
_KIND = "state of the general model's training"


def save_run(path: Path, run: Run, card: Mapping[str, Any]) -> None:
    """Write all that a run needs to go on, beside and renamed."""
    tensors = named_under("network", run.network.state_dict()) | named_under(
        "average", run.average.weights
    )
    for index, moments in run.optimizer.state_dict()["state"].items():
        tensors |= named_under(f"adam.{index}", moments)
    place = {name: getattr(run, name) for name in _PLACE} | {"level": run.clipping.level}
    save_tensors(path, tensors, {"kind": _KIND, "place": place, "card": dict(card)})


def resume_run(path: Path, run: Run) -> dict[str, Any]:
    """Put what `save_run` wrote into a run of the same network, which is changed here; its card
    comes back.
    """
    tensors, card = load_tensors(path, _KIND)
    run.network.load_state_dict(tensors_under(tensors, "network"))
    run.average.weights = tensors_under(tensors, "average")
    groups = run.optimizer.state_dict()["param_groups"]
    parameters = run.optimizer.param_groups[0]["params"]
    moments = {
        index: _laid_out_like(parameter, tensors_under(tensors, f"adam.{index}"))
        for index, parameter in zip(groups[0]["params"], parameters, strict=True)
    }
    run.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    place = card["place"]
    # States from before batches were counted: no batch of theirs had a higher number than this.
    place.setdefault("drawn", place["step"] + place["windows"])
    for name in _PLACE:
        if name in place:
            setattr(run, name, place[name])
    run.clipping.level = place["level"]
    return card["card"]


def _laid_out_like(parameter: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments in their parameter's memory layout: fused Adam walks through memory, whatever the
    strides say.
    """
    return {
        name: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        for name, value in moments.items()
    }
