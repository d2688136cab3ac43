"""Observers of a training run, which show it, log it and save its state."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from restore.training.preview import Preview
from restore.training.run_files import Journal
from restore.training.schedules import Budget
from restore.training.state import TrainingState
from restore.training.validation import epoch_words

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """An observer of a run, which shows it, logs it and saves its state."""

    def step(self, progress: float, state: TrainingState) -> None:
        """A step has been completed; ``progress`` goes from 0 to 1."""
        ...

    def epoch(self, state: TrainingState) -> None:
        """An epoch has ended; its row is the last of ``state.history``."""
        ...

    def interrupted(self, state: TrainingState) -> None:
        """The run has been interrupted."""
        ...


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training run has come.

    Attributes
    ----------
    fraction
        Share of the run that is done, from 0 to 1.
    step
        Number of steps of the optimiser so far.
    patches
        Number of patches that all processes together have seen.
    seconds
        Time spent on training so far, in s.
    budget
        Planned length of the run.
    epoch
        The losses of the last epoch.
    """

    fraction: float
    step: int
    patches: int
    seconds: float
    budget: Budget
    epoch: Mapping[str, float]


Progress = Callable[[TrainingProgress], None]
"""Called after every step, in the main process only."""


class SilentWatcher:
    """A watcher that does nothing, for the other processes."""

    def step(self, progress: float, state: TrainingState) -> None:
        """Nothing."""

    def epoch(self, state: TrainingState) -> None:
        """Nothing."""

    def interrupted(self, state: TrainingState) -> None:
        """Nothing."""


class RunWatcher:
    """A watcher that keeps the journal, logs the losses, draws the preview and reports progress."""

    def __init__(
        self,
        journal: Journal,
        preview: Preview,
        budget: Budget,
        batch_size: int,
        progress: Progress | None,
        *,
        resume_words: str,
    ) -> None:
        self._journal, self._preview = journal, preview
        self._budget, self._progress = budget, progress
        self._batch_size, self._resume_words = batch_size, resume_words

    def step(self, progress: float, state: TrainingState) -> None:
        """Report the progress."""
        if self._progress is not None:
            self._progress(
                TrainingProgress(
                    progress,
                    state.step,
                    state.step * self._batch_size,
                    state.seconds,
                    self._budget,
                    state.history[-1] if state.history else {},
                )
            )

    def epoch(self, state: TrainingState) -> None:
        """Log the losses, save the state, and now and then draw the preview."""
        self._journal.epoch(state)
        self._preview.draw_if_due(state)
        log.info(epoch_words(state.history[-1]))

    def interrupted(self, state: TrainingState) -> None:
        """Save the state and say how to go on."""
        self._journal.save(state)
        log.warning("stopped after step %d; %s", state.step, self._resume_words)
