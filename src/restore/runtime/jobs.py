"""What becomes of a set of jobs, one for each micrograph: done, failed and why, or current already."""

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch

from restore.errors import UserError
from restore.micrograph import Micrograph
from restore.runtime.prefetch import WriteBehind

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FAILURES = (UserError, OSError, MemoryError, torch.OutOfMemoryError)


class AboutOne(Protocol):
    """A job that is about one micrograph."""

    @property
    def micrograph(self) -> Micrograph:
        """Which one."""
        ...


Job = TypeVar("Job", bound=AboutOne)

Write = Callable[[], None]
"""Writes what has been computed of a job."""


@dataclass
class Outcome(Generic[Job]):
    """Jobs with a good output (old or new), the failures with their reasons, and what is to be said
    of those done.
    """

    done: list[Job] = field(default_factory=list[Job])
    up_to_date: list[Job] = field(default_factory=list[Job])
    failed: list[tuple[Job, str]] = field(default_factory=list[tuple[Job, str]])
    remarks: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> list[Job]:
        """The jobs that have a good output."""
        return self.done + self.up_to_date

    def fail(self, job: Job, error: BaseException) -> None:
        """Note a failure, and say it in the log."""
        log.warning("%s is skipped: %s", job.micrograph.name, error)
        self.failed.append((job, str(error)))


def do_all(
    work: Iterable[tuple[Job, Callable[[], Write]]],
    outcome: Outcome[Job],
    progress: Callable[[Outcome[Job]], None],
) -> None:
    """Compute each job and write behind; one that fails is noted in ``outcome`` and skipped.

    A full disk ends it with a UserError: the others would fail too.
    """
    with WriteBehind() as writer:
        for job, compute in work:
            try:
                write = compute()
            except _FAILURES as error:
                outcome.fail(job, error)
            else:
                writer.submit(partial(_write, outcome, job, write))
            progress(outcome)
    progress(outcome)


def _write(outcome: Outcome[Job], job: Job, write: Write) -> None:
    try:
        write()
    except _FAILURES as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_ROOM:
            raise  # no use in computing the others
        outcome.fail(job, error)
    else:
        outcome.done.append(job)


def refuse_clashes(
    outputs: Sequence[tuple[Job, Path]], inputs: Iterable[Path], what: str, do: str
) -> None:
    """UserError where the output of a job, called ``what``, would replace an input or another job's
    output.
    """
    raw = {path.resolve() for path in inputs}
    taken: dict[Path, Job] = {}
    for job, path in outputs:
        resolved, name = path.resolve(), job.micrograph.name
        if resolved in raw:
            raise UserError(f"the {what} {name} would replace an input image", where=path, do=do)
        if resolved in taken:
            raise UserError(
                f"{taken[resolved].micrograph.name} and {name} would both be written here",
                where=path,
            )
        taken[resolved] = job
