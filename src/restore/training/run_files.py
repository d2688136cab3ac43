"""The files that a training run writes beside its model: state, CSV, TensorBoard log."""

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.training.state import COLUMNS, TrainingState, save_state

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """Paths of the files of the run called ``prefix``, all in ``directory``. Raises UserError if
    the prefix cannot be a file name.
    """

    directory: Path
    prefix: str

    def __post_init__(self) -> None:
        if (
            not self.prefix
            or "\0" in self.prefix
            or self.prefix == ".."
            or (Path(self.prefix).name != self.prefix)
        ):
            raise UserError(
                f"the prefix {self.prefix!r} is not the name of a file",
                field="model_prefix",
                wanted="it must be a name without a folder",
                do="give the folder as `model_directory`",
            )

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.directory / f"{self.prefix}.safetensors"

    @property
    def state(self) -> Path:
        """The training state, from which a resumed run continues."""
        return self.directory / f"{self.prefix}.state.safetensors"

    @property
    def table(self) -> Path:
        """The table of losses, one row per epoch."""
        return self.directory / f"{self.prefix}.csv"

    @property
    def picture(self) -> Path:
        """The plot of the losses."""
        return self.directory / f"{self.prefix}.png"

    @property
    def preview(self) -> Path:
        """The picture of a part of a held-out half: raw, denoised, and Wiener-filtered."""
        return self.directory / f"{self.prefix}.preview.png"

    @property
    def settings(self) -> Path:
        """The record of the run's settings and inputs."""
        return self.directory / f"{self.prefix}.settings.json"

    @property
    def tensorboard(self) -> Path:
        """The folder of the TensorBoard log."""
        return self.directory / f"{self.prefix}.tensorboard"

    def can_resume(self) -> bool:
        """Whether there is a training state; if there is none, that is logged."""
        if not self.state.exists():
            log.info("%s: nothing to resume, so training starts from the beginning", self.state)
        return self.state.exists()

    def refuse_to_replace(self, resume: bool, overwrite: bool) -> None:
        """Raise UserError if a run of this name exists and is not to be resumed or replaced, or a
        finished model has no training state to resume.
        """
        if overwrite or (resume and self.state.exists()):
            return
        if resume and self.model.exists():
            raise UserError(
                "there is no training state to resume, but there is a model of this name",
                where=self.state,
                do="check `model_directory` and `model_prefix`, or give `overwrite=True` "
                "to train it again from the beginning",
            )
        for path in (self.model, self.state):
            if path.exists():
                more = ", `resume=True` to continue it," if self.state.exists() else ""
                raise UserError(
                    f"there is already a run called {self.prefix}",
                    where=path,
                    do=f"give another `model_prefix`{more} or `overwrite=True`",
                )


class Journal:
    """Writes a run's files while training proceeds; only the main process has one."""

    def __init__(self, files: RunFiles, run: dict[str, Any]) -> None:
        self._files, self._run = files, run
        self._board = _tensorboard(files.tensorboard)

    def epoch(self, state: TrainingState) -> None:
        """Save the state, and add the epoch's losses to the table and the TensorBoard log."""
        self.save(state)
        write_text(self._files.table, _as_csv(state))
        row = state.history[-1]
        if self._board is not None:
            for name in COLUMNS[3:]:
                if name in row:
                    self._board.add_scalar(name, row[name], int(row["step"]))
            self._board.flush()

    def save(self, state: TrainingState) -> None:
        """Save the state."""
        save_state(self._files.state, state, self._run)

    def close(self) -> None:
        """Close the TensorBoard log."""
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path) -> "SummaryWriter | None":
    """The writer of the TensorBoard log; None if TensorBoard is not installed, or the folder's name
    is not UTF-8, which TensorBoard cannot write.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        return SummaryWriter(str(folder))
    except ImportError:
        log.debug("no TensorBoard log is written, because TensorBoard is not installed")
    except UnicodeEncodeError:
        log.warning("%s: TensorBoard cannot write there; the losses are in the CSV", folder)
    return None


def _as_csv(state: TrainingState) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(state.history)
    return text.getvalue()
