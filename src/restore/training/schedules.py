"""The length of a run, and its learning rate over time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP = 0.02
MIN_STEPS = 50


def cosine(progress: float) -> float:
    """A linear warm-up over the first 2 % of the run, then half a cosine down to a hundredth."""
    if progress < WARM_UP:
        return (progress + WARM_UP / 20) / (WARM_UP * 1.05)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def staircase(progress: float) -> float:
    """The paper's schedule: 1, ¾, ½ and ¼ of the initial rate, for a quarter of the run each
    (Palovcak S2.3).
    """
    return 1 - 0.25 * min(int(progress * 4), 3)


def constant(progress: float) -> float:  # noqa: ARG001
    """The initial rate throughout."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": cosine,
    "staircase": staircase,
    "constant": constant,
}


@dataclass(frozen=True)
class Budget:
    """The length of a run in steps or, if those are None, in seconds; and its number of epochs.

    An ``open_ended`` run ends when it no longer improves, after ``steps`` at the latest.
    """

    steps: int | None
    seconds: float | None
    epochs: int
    open_ended: bool = False

    def progress(self, step: int, seconds: float) -> float:
        """The fraction of the run that is done, from 0 to 1, after this many steps and seconds."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        return min(seconds / (self.seconds or 1.0), 1.0)

    def epoch(self, progress: float) -> int:
        """The epoch at this point of the run, counted from 0; it is ``epochs`` at the end."""
        return int(progress * self.epochs + 1e-9)

    def ends_epoch(self, progress: float, epoch: int, steps: int) -> bool:
        """Whether an epoch ends here, ``steps`` after ``epoch`` did.

        On a slow machine, a run bounded by minutes has longer epochs, of at least 50 steps, because
        measuring the validation loss at the end of each costs as much as several steps.
        """
        if (
            progress >= 1
        ):  # the end, also of a run whose length was changed while it was interrupted
            return steps > 0
        long_enough = self.steps is not None or steps >= MIN_STEPS
        return self.epoch(progress) > epoch and long_enough


MOST_EPOCHS = 100
"""The number of epochs after which a run without a given length ends at the latest."""


def budget(
    steps: int | None, minutes: float | None, epochs: int | None, batches_per_epoch: int
) -> Budget:
    """The requested length of a run: ``steps``, else ``minutes``, else ``epochs`` of
    ``batches_per_epoch`` steps, else open-ended.

    An epoch of a run bounded by steps is a twentieth of the run, but at least 50 steps and at most
    ``batches_per_epoch``. A run bounded by minutes has 20 epochs, or more if they would exceed ten
    minutes, so that losing the machine never costs more than that.
    """
    if steps is not None:
        length = min(batches_per_epoch, max(MIN_STEPS, math.ceil(steps / 20)))
        return Budget(steps, None, math.ceil(steps / length))
    if minutes is not None:
        return Budget(None, 60 * minutes, max(20, math.ceil(minutes / 10)))
    if epochs is not None:
        return Budget(epochs * batches_per_epoch, None, epochs)
    return Budget(MOST_EPOCHS * batches_per_epoch, None, MOST_EPOCHS, open_ended=True)


def words_of_open_end(budget: Budget, on_cpu: bool, validated: bool = True) -> str:
    """A message about when a run without a given length ends, and how to shorten or stop it;
    ``validated`` says whether it has a validation loss, without which it does not end early.
    """
    where = ", which on a CPU can take hours" if on_cpu else ""
    end = (
        f"training ends when the validation loss no longer improves, or after {budget.steps} steps"
        if validated
        else f"nothing is held out for validation, so training ends after {budget.steps} steps only"
    )
    return (
        f"{end}{where}; give `minutes` for a shorter run, or interrupt it (^C) and go on later "
        "with `resume=True`"
    )
