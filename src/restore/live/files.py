"""Recognising files that have arrived completely; files that are still being copied are left alone.

Network disks do not report changes, so files are checked repeatedly. A file has settled when its
size and time have not changed for some seconds by this machine's own clock; the times in the file
system, which may come from another clock, are only compared with each other. An image must also
have as many bytes as its header says, because copying may pause for a while.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from restore.errors import UserError
from restore.io.images.image import read_image_header
from restore.micrograph import Micrograph
from restore.runtime.jobs import file_state

MicrographKey = tuple[Micrograph, tuple[tuple[int, ...] | None, ...]]
"""A micrograph without its row's number, and the states of its image and halves."""


@dataclass
class _Seen:
    """A file as it was at the last check; ``since`` is when it was first seen in this state.
    ``problem`` says why it is not a complete image, and is None if that is not known yet.
    """

    state: list[int]
    since: float
    problem: str | None = None


class ArrivingFiles:
    """Files that are being written, checked repeatedly."""

    def __init__(self, settle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_s, self._clock = settle_s, clock
        self._files: dict[Path, _Seen] = {}
        self.changed_at = clock()
        """When a file was last seen to appear or to change."""

    def look(self, paths: Iterable[Path]) -> None:
        """Check the state of these files. Files that no longer exist are forgotten."""
        for path in paths:
            state, before = file_state(path), self._files.get(path)
            if state is None:
                self._files.pop(path, None)
            elif before is None or before.state != state:
                self.changed_at = self._clock()
                self._files[path] = _Seen(state, self.changed_at)

    def state(self, path: Path) -> tuple[int, ...] | None:
        """Size and time of a file at the last check; None if it did not exist."""
        seen = self._files.get(path)
        return tuple(seen.state) if seen else None

    def key(self, micrograph: Micrograph) -> MicrographKey:
        """What changes if the row of a micrograph or one of its files changes, but not if other
        rows are inserted in front of it.
        """
        paths = (micrograph.image, micrograph.even, micrograph.odd)
        states = tuple(self.state(path) if path else None for path in paths)
        return replace(micrograph, row=0), states

    def has_settled(self, path: Path) -> bool:
        """Whether a file exists and has not changed for long enough."""
        seen = self._files.get(path)
        return seen is not None and self._clock() - seen.since >= self._settle_s

    def problem(self, path: Path) -> str:
        """The reason why a settled file is not a complete image; empty if it is one.

        The file is read again only when it has changed.
        """
        seen = self._files[path]
        if seen.problem is None:
            seen.problem = _problem(path)
        return seen.problem

    def is_unsettled(self, path: Path) -> bool:
        """Whether a file exists and may still be changing."""
        return path in self._files and not self.has_settled(path)


def _problem(path: Path) -> str:
    try:
        read_image_header(path)
    except UserError as error:
        return str(error)
    return ""
