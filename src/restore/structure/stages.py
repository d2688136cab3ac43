"""The stages of a long run, each with its outputs: one that is there already, made alike from the
same files, is kept.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.provenance import as_json, plain
from restore.records import decoded, parse_json
from restore.runtime.jobs import Job, file_state, fingerprint, is_current
from restore.version import __version__

log = logging.getLogger(__name__)

FOLDER_NAME = "stages"
REDO = "delete it and run restore structure again"
"""What to do about the damaged record of a stage."""


@dataclass(frozen=True)
class Stage:
    """One stage: ``made_with`` is all that decides its outputs, beside the contents of its
    ``inputs``.
    """

    name: str
    made_with: object
    inputs: Sequence[Path]
    outputs: Sequence[Path]


@dataclass(frozen=True)
class _StageRecord:
    """What a stage leaves beside its outputs: their states, by name, and what its work gave."""

    fingerprint: str
    outputs: Mapping[str, Any]
    result: dict[str, Any]


class Stages:
    """The stages whose records lie in a folder; with ``overwrite`` each is done again."""

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        self.folder, self._overwrite = folder, overwrite

    def run(self, stage: Stage, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What ``work`` gives, which JSON must be able to say; where the stage is current, what it
        gave before.

        Its record is written after its outputs, so that a stage that was interrupted is done again.
        Outputs that are not known before can be in what ``work`` gives, as "files": their names in
        the folder.
        """
        path = self.path_of(stage)
        digest = fingerprint(
            [__version__, stage.name, stage.made_with], sorted(set(stage.inputs)), self.folder
        )
        job = Job(stage, stage.name, (path,), digest)
        if not self._overwrite and is_current(job, self._fingerprint_in):
            log.info("%s: kept, because nothing that it depends on has changed", stage.name)
            return _record(path).result
        path.unlink(missing_ok=True)
        result = plain(work())
        outputs = [self.name_of(output) for output in stage.outputs] + list(result.get("files", ()))
        states = {name: file_state(self.folder / name) for name in outputs}
        record = {"fingerprint": digest, "outputs": states, "result": result}
        write_text(path, as_json(record) + "\n")
        return _record(path).result

    def path_of(self, stage: Stage) -> Path:
        """Where a stage's record lies."""
        return self.folder / FOLDER_NAME / f"{stage.name}.json"

    def name_of(self, path: Path) -> str:
        """The name of a file in the folder; of any other, its whole path."""
        whole, folder = path.absolute(), self.folder.absolute()
        return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)

    def _fingerprint_in(self, path: Path) -> str:
        """The fingerprint in a stage's record; nothing where that is damaged, or an output is gone
        or was changed.
        """
        try:
            record = _record(path)
            outputs = {name: file_state(self.folder / name) for name in record.outputs}
        except (OSError, ValueError, UserError):
            return ""
        return record.fingerprint if record.outputs == outputs else ""


def _record(path: Path) -> _StageRecord:
    """Raises OSError, and UserError where the record is damaged."""
    return decoded(_StageRecord, parse_json(path.read_bytes(), path, "stage", REDO), path, "stage")
