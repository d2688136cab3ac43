"""The model of a session, trained once, on the first micrographs that have arrived with halves."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.face.patches import make_patches
from restore.io.file_checks import HALVES, check_files
from restore.io.micrographs import MicrographSet
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model, NamedModel, load_model
from restore.preprocessing import Recipe
from restore.training.run import train
from restore.training.run_files import RunFiles
from restore.training.watchers import TrainingProgress

log = logging.getLogger(__name__)

ShowTraining = Callable[[], AbstractContextManager[Callable[[TrainingProgress], None]]]
"""Makes the progress display of a training."""

_PREFIX = "session"
_RESUME_WORDS = "started again, the session continues from there"


class MeanwhileError(Exception):
    """An error of what is done during a training, not of the training itself, which handlers of the
    latter do not take for theirs.
    """

    def __init__(self, error: UserError) -> None:
        super().__init__(str(error))
        self.error = error


def unseen_training() -> AbstractContextManager[Callable[[TrainingProgress], None]]:
    """Training without a progress display."""
    return nullcontext(lambda _: None)


@dataclass
class TrainingSet:
    """The micrographs that a session's model is trained on, once there are ``enough`` (with 0,
    never). A single one that cannot be used is left out, and does not prevent the training.
    """

    enough: int
    _left_out: dict[str, str] = field(default_factory=dict[str, str])

    def of(
        self, with_halves: Sequence[Micrograph], unusable: Collection[str]
    ) -> Sequence[Micrograph]:
        """Those with halves that can be used, as far as their headers tell; none if they are not
        enough. ``unusable`` are the names of some that cannot.
        """
        good = self._without(with_halves, unusable)
        if not self.enough or len(good) < self.enough:
            return []
        _, problems = check_files(good, HALVES, warns=False)
        for problem in problems:
            self._leave_out(problem.micrograph, problem.message)
        good = self._without(good, ())
        return good if len(good) >= self.enough else []

    def leave_out_culprit(self, chosen: Sequence[Micrograph], error: UserError) -> bool:
        """Leave out the micrograph that an error of the training names; whether it names one."""
        for micrograph in chosen:
            files = (micrograph.image, micrograph.even, micrograph.odd)
            if error.where in (micrograph.name, *map(str, files)):
                self._leave_out(micrograph, str(error))
                return True
        return False

    def _without(
        self, micrographs: Sequence[Micrograph], unusable: Collection[str]
    ) -> list[Micrograph]:
        return [
            micrograph
            for micrograph in micrographs
            if micrograph.name not in self._left_out and micrograph.name not in unusable
        ]

    def _leave_out(self, micrograph: Micrograph, reason: str) -> None:
        self._left_out[micrograph.name] = reason
        log.warning("%s is left out of the training: %s", micrograph.name, reason)


@dataclass(frozen=True)
class SessionTraining:
    """The training of a session's model, and its files in the session's output folder. ``settings``
    are training settings that differ from the device's defaults.
    """

    folder: Path
    recipe: Recipe
    device: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def files(self) -> RunFiles:
        """The files of the training."""
        return RunFiles(self.folder / "Models", _PREFIX)

    def trained_before(self) -> NamedModel | None:
        """The model, if it has been trained.

        Raises
        ------
        UserError
            The model was trained with another recipe.
        """
        if not self.files.model.exists():
            return None
        model = load_model(self.files.model)
        if model.recipe != self.recipe:
            raise UserError(
                f"the session's model was trained for {_words(model.recipe)}",
                where=self.files.model,
                wanted=f"the session is to be denoised for {_words(self.recipe)}",
                do="give the settings of before, or another `output_directory`",
            )
        return self._named(model)

    @property
    def is_interrupted(self) -> bool:
        """Whether a training was started and has not finished."""
        return self.files.state.exists() and not self.files.model.exists()

    def train(
        self, chosen: MicrographSet, show: ShowTraining, meanwhile: Callable[[], None]
    ) -> NamedModel:
        """Train on micrographs with halves, or resume an interrupted training; ``meanwhile`` is
        called after every step.

        Raises
        ------
        UserError
            The halves cannot be learned from; or as `restore.training.run.train`.
        MeanwhileError
            ``meanwhile`` raised a UserError. The training is interrupted, and can be resumed.
        """
        with show() as shown:

            def progress(how_far: TrainingProgress) -> None:
                shown(how_far)
                try:
                    meanwhile()
                except UserError as error:
                    raise MeanwhileError(error) from error

            if self.is_interrupted:
                try:
                    return self._train(None, progress)
                except UserError as error:
                    log.warning("the training begins again: %s", error)
            return self._train(chosen, progress)

    def _train(
        self, chosen: MicrographSet | None, progress: Callable[[TrainingProgress], None]
    ) -> NamedModel:
        """Train on these micrographs, or resume if there are none."""

        def make(patch_px: int) -> Path:
            assert chosen is not None
            # The run to resume names its patches, wherever it is started from.
            path = self.folder.absolute() / "training_data.hdf"
            return make_patches(chosen, path, self.recipe, patch_px=patch_px, overwrite=True)

        model = train(
            make if chosen is not None else None,
            self.settings,
            model_directory=self.files.directory,
            model_prefix=_PREFIX,
            resume=chosen is None,
            overwrite=chosen is not None,
            device=self.device,
            progress=progress,
            resume_words=_RESUME_WORDS,
        )
        return self._named(model)

    def _named(self, model: Model) -> NamedModel:
        return NamedModel(model, str(self.files.model))


def _words(recipe: Recipe) -> str:
    phases = "phases flipped" if recipe.phase_flip else "phases as they are"
    return f"{recipe.max_resolution_A:g} Å, {phases}"
