"""Stability of a run: averaging of the weights, recovery from divergence, and the decision when to
end.
"""

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from restore.errors import UserError
from restore.training.schedules import Budget
from restore.training.settings import TrainingSettings
from restore.training.state import TrainingState

log = logging.getLogger(__name__)

CHECK_STEPS = 20
"""The interval, in steps, between checks of the loss, each of which waits for the GPU."""

DIVERGED_AT = 10.0
"""A run has diverged if its loss exceeds that of an empty output by this factor."""

MOST_FALLS = 6
"""The number of recoveries after which a run is abandoned."""

WARM_UP_STEPS = 100
FLAT_EPOCHS = 4
FLAT_GAIN = 0.01


def update_average(state: TrainingState, decay: float) -> None:
    """Move the average of the weights towards the weights, in place; do nothing if no average is
    kept.

    The decay grows with the number of steps n, min(decay, (1 + n) / (10 + n)), so that the average
    of a short run does not retain its initial weights.
    """
    if state.average:
        kept = min(decay, (1 + state.step) / (10 + state.step))
        weights = dict(state.network.named_parameters())
        with torch.no_grad():
            for name, mean in state.average.items():
                mean.lerp_(weights[name].detach(), 1 - kept)


@contextmanager
def averaged(state: TrainingState) -> Generator[None]:
    """A block within which the network has its averaged weights, if they are kept."""
    if not state.average:
        yield
        return
    weights = copied(state.network.state_dict())
    state.network.load_state_dict(state.average)
    try:
        yield
    finally:
        state.network.load_state_dict(weights)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached copies of the tensors."""
    return {name: value.detach().clone() for name, value in tensors.items()}


def has_diverged(loss: float, empty_loss: float) -> bool:
    """Whether a loss is not a number, or is far above that of an output of zeros."""
    return not math.isfinite(loss) or loss > DIVERGED_AT * empty_loss


def fall_back(state: TrainingState) -> None:
    """Restore the best weights so far, at half the learning rate and with a new optimiser.

    Raises UserError if that has happened too often.
    """
    if state.rate_factor <= 0.5**MOST_FALLS:
        raise UserError(
            "training keeps diverging, even at a sixtieth of its learning rate",
            do="check the halves, or give a lower `learning_rate`, or `precision=float32`",
        )
    state.rate_factor /= 2
    state.network.load_state_dict(state.best_weights)
    if state.average:
        state.average = copied(dict(state.network.named_parameters()))
    state.optimizer.state.clear()
    state.loss_sum, state.loss_steps = 0.0, 0
    log.warning(
        "the loss diverged at step %d: training continues from its best weights so far, at %g of "
        "the learning rate",
        state.step,
        state.rate_factor,
    )


def is_flat(history: Sequence[Mapping[str, float]]) -> bool:
    """Whether the validation loss has stopped improving.

    The criterion is its excess over the noise floor: it is flat if the best of the last third of
    the epochs (at least four) is not at least a hundredth below the best before.
    """
    excess = [
        row["held_out_loss"] - row["perfect_loss"] for row in history if "held_out_loss" in row
    ]
    recent = max(FLAT_EPOCHS, len(excess) // 3)
    if len(excess) <= recent:
        return False
    before = min(excess[:-recent])
    return min(excess[-recent:]) > before - FLAT_GAIN * abs(before)


def open_ended_rate(state: TrainingState, settings: TrainingSettings) -> float:
    """The relative learning rate of an open-ended run: 1, then half a cosine down to 0.01."""
    if state.flat_since is None:
        return min(1.0, (state.step + 1) / WARM_UP_STEPS)
    done = (state.step - state.flat_since) / cool_down_steps(state, settings)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def cool_down_steps(state: TrainingState, settings: TrainingSettings) -> int:
    """The number of steps over which the rate falls once the loss is flat: a quarter of the run, at
    least an epoch.
    """
    return max(settings.batches_per_epoch, (state.flat_since or 0) // 4)


def progress_of(state: TrainingState, run: Budget, settings: TrainingSettings) -> float:
    """The fraction of the run that is done, from 0 to 1; for an open-ended run, a lower bound."""
    progress = run.progress(state.step, state.seconds)
    if not run.open_ended or state.flat_since is None:
        return progress
    return 1.0 if state.step >= state.flat_since + cool_down_steps(state, settings) else progress
