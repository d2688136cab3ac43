"""The stages of a long run, each with its outputs: one that is there already, made alike from the
same files, is kept.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.io.atomic import write_text
from restore.provenance import as_json, plain
from restore.version import __version__

log = logging.getLogger(__name__)

FOLDER_NAME = "stages"


@dataclass(frozen=True)
class Stage:
    """One stage: ``made_with`` is all that decides its outputs, beside the contents of its
    ``inputs``.
    """

    name: str
    made_with: object
    inputs: Sequence[Path]
    outputs: Sequence[Path]


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
        path = self.folder / FOLDER_NAME / f"{stage.name}.json"
        if not self._overwrite and (kept := self._kept(path, stage)) is not None:
            log.info("%s: kept, as nothing that it depends on has changed", stage.name)
            return kept
        path.unlink(missing_ok=True)
        found = plain(work())
        outputs = [self.name_of(output) for output in stage.outputs] + list(found.get("files", ()))
        states = {name: _state(self.folder / name) for name in outputs}
        write_text(
            path,
            as_json({"fingerprint": self._fingerprint(stage), "outputs": states, "found": found})
            + "\n",
        )
        return json.loads(json.dumps(found))

    def name_of(self, path: Path) -> str:
        """The name of a file in the folder; of any other, its whole path."""
        whole, folder = path.absolute(), self.folder.absolute()
        return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)

    def _fingerprint(self, stage: Stage) -> str:
        """What the stage's outputs depend on, as a short text; files count by name, size and time
        of change.
        """
        files = [[self.name_of(path), *_state(path)] for path in sorted(set(stage.inputs))]
        text = json.dumps(plain([__version__, stage.name, stage.made_with, files]), default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def _kept(self, path: Path, stage: Stage) -> dict[str, Any] | None:
        """What a stage gave before; None where it is not there whole, or was made otherwise or from
        other files.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            outputs = {name: _state(self.folder / name) for name in record["outputs"]}
            same = (
                record["fingerprint"] == self._fingerprint(stage) and record["outputs"] == outputs
            )
            return dict(record["found"]) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _state(path: Path) -> list[int]:
    """The size of a file and the time of its last change in ns."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]
