"""The stages of a long run, each with its outputs. A stage that was already done with the same
files and settings is kept.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
"""The advice for a damaged record of a stage."""


@dataclass(frozen=True)
class Stage:
    """One stage: ``made_with`` is everything that determines its outputs, besides the contents of
    its ``inputs``.

    ``roles`` are further inputs, by what each is used as: the stage is done again if a file gets
    another role.
    """

    name: str
    made_with: object
    inputs: Sequence[Path]
    outputs: Sequence[Path]
    roles: Mapping[str, Path] = field(default_factory=dict[str, Path])


@dataclass(frozen=True)
class _StageRecord:
    """The record that a stage leaves beside its outputs: their states, by name, and the result of
    its work.
    """

    fingerprint: str
    outputs: Mapping[str, Any]
    result: dict[str, Any]


class Stages:
    """The stages with records in a folder; with ``overwrite`` every stage is done again."""

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        self.folder, self._overwrite = folder, overwrite

    def run(self, stage: Stage, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result of ``work``, which must be expressible in JSON; if the stage is current, the
        earlier result.

        The record is written after the outputs, so that an interrupted stage is done again. Outputs
        that are not known beforehand can be listed in the result of ``work`` as "files", by their
        names in the folder.
        """
        path = self.path_of(stage)
        digest = self._fingerprint_of(stage)
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
        """The path of a stage's record."""
        return self.folder / FOLDER_NAME / f"{stage.name}.json"

    def name_of(self, path: Path) -> str:
        """The name of a file in the folder; for any other file, its full path."""
        whole, folder = path.absolute(), self.folder.absolute()
        return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)

    def _fingerprint_of(self, stage: Stage) -> str:
        """The digest of everything that determines a stage's outputs; it stays the same if a
        project is moved as a whole.
        """
        start = os.path.realpath(self.folder)
        roles = {
            role: os.path.relpath(os.path.realpath(path), start)
            for role, path in stage.roles.items()
        }
        made_with = [__version__, stage.name, stage.made_with, roles]
        return fingerprint(made_with, sorted({*stage.inputs, *stage.roles.values()}), self.folder)

    def _fingerprint_in(self, path: Path) -> str:
        """The fingerprint in a stage's record; empty if that is damaged, or an output is missing or
        was changed.
        """
        try:
            record = _record(path)
            outputs = {name: file_state(self.folder / name) for name in record.outputs}
        except (OSError, ValueError, UserError):
            return ""
        return record.fingerprint if record.outputs == outputs else ""


def _record(path: Path) -> _StageRecord:
    """Read a stage's record. Raises OSError, and UserError if the record is damaged."""
    return decoded(_StageRecord, parse_json(path.read_bytes(), path, "stage", REDO), path, "stage")
