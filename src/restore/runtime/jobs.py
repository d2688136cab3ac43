"""The engine of all long work: which jobs are planned, current, run, or failed.

A `Job` reads some files and writes others. It is current if all of its outputs exist and have its
fingerprint, a digest of everything that determines them: the settings, and every input's path, size
and time of change when the job was planned, before anything was read. If an input is replaced while
it is read, the output gets the old input's fingerprint, and the next run does the job again.
"""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from restore.errors import UserError
from restore.records import plain
from restore.runtime.distributed import Place
from restore.runtime.memory import memory_errors
from restore.runtime.prefetch import WriteBehind, read_ahead
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)

ALONE = Place(0, 1, torch.device("cpu"))
"""The place of a single process, on the CPU."""

FAILURES = (UserError, OSError, MemoryError, torch.OutOfMemoryError)
"""Exceptions that end one job but not the others."""

_ENDS_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

Subject = TypeVar("Subject")
Data = TypeVar("Data")

Write = Callable[[], None]
"""A function that writes the computed outputs of a job."""


@dataclass(frozen=True)
class Job(Generic[Subject]):
    """One piece of work: its subject, its name in messages, its output files, and the digest of
    everything that determines them (`fingerprint`).
    """

    subject: Subject
    name: str
    outputs: tuple[Path, ...]
    fingerprint: str


@dataclass
class JobResults(Generic[Subject]):
    """The jobs of a set that were done now, were current before, or failed (with the reasons); and
    remarks.
    """

    done: list[Job[Subject]] = field(default_factory=list[Job[Subject]])
    current: list[Job[Subject]] = field(default_factory=list[Job[Subject]])
    failed: list[tuple[Job[Subject], str]] = field(default_factory=list[tuple[Job[Subject], str]])
    remarks: list[str] = field(default_factory=list[str])

    @property
    def good(self) -> list[Job[Subject]]:
        """The jobs that have a good output, old or new."""
        return self.done + self.current

    def fail(self, job: Job[Subject], error: BaseException) -> None:
        """Record a failure, and log it."""
        log.warning("%s is skipped: %s", job.name, error)
        self.failed.append((job, str(error)))


def fingerprint(made_with: object, inputs: Iterable[Path] = (), folder: Path = Path()) -> str:
    """A digest of settings (records and plain values) and of the state of every input file.

    Links are followed. Paths are relative to ``folder``, that of the outputs, so that a project
    that is moved as a whole stays current.
    """
    start = os.path.realpath(folder)
    files = [
        [os.path.relpath(os.path.realpath(path), start), *(file_state(path) or ())]
        for path in dict.fromkeys(inputs)
    ]
    text = json.dumps(plain([made_with, files]), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def file_state(path: Path) -> list[int] | None:
    """The size of a file in bytes and the time of its last change in ns; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def is_current(job: Job[Any], fingerprint_in: Callable[[Path], str]) -> bool:
    """Whether every output of a job exists and has its fingerprint.

    ``fingerprint_in`` reads it from a file, and returns "" for an incomplete one; it may raise
    UserError if the file is another program's.
    """
    there = [path for path in job.outputs if path.exists()]
    fingerprints = {fingerprint_in(path) for path in there}  # including an incomplete set
    return len(there) == len(job.outputs) and fingerprints == {job.fingerprint}


def stale_jobs(
    jobs: Sequence[Job[Subject]],
    fingerprint_in: Callable[[Path], str],
    already: str = "are already done",
    overwrite: bool = False,
    place: Place = ALONE,
) -> list[Job[Subject]]:
    """The jobs without a current output, or with ``overwrite`` all jobs. The log says how many
    micrographs ``already`` have one.

    Every process gets the same answer, whatever another has finished in the meantime.
    """
    stale = [n for n, job in enumerate(jobs) if overwrite or not is_current(job, fingerprint_in)]
    to_do = [jobs[index] for index in sorted(set(place.gather(stale)))]
    if len(to_do) < len(jobs) and place.is_main:
        log.info("%d of %d micrographs %s", len(jobs) - len(to_do), len(jobs), already)
    return to_do


@dataclass(frozen=True)
class Steps(Generic[Subject, Data]):
    """How a set of jobs is done, and its name in the progress bar.

    ``read`` runs ahead in its own thread. ``compute`` gets its result as a finished future, which
    raises any exception of reading, and returns the `Write` of the outputs, which runs in another
    thread.
    """

    read: Callable[[Job[Subject]], Data]
    compute: Callable[[Job[Subject], Future[Data]], Write]
    words: str
    unit: str = "micrographs"
    depth: int = 2


def run_jobs(
    jobs: Sequence[Job[Subject]],
    steps: Steps[Subject, Data],
    bars: Bars = no_bars,
    place: Place = ALONE,
    *,
    stale: Sequence[Job[Subject]] | None = None,
) -> JobResults[Subject]:
    """Do jobs, each process of a run a contiguous part; all get the results of all.

    Only those that are ``stale`` are done, in that order; the others are current. A job that fails
    is recorded and skipped. The main process shows its own progress.

    Raises
    ------
    UserError
        The disk is full, a file is too large, or the folder of an output was removed during the
        run: the other jobs would fail, too.
    """
    to_do = jobs if stale is None else stale
    first, last = (len(to_do) * rank // place.world_size for rank in (place.rank, place.rank + 1))
    mine = to_do[first:last]
    results = JobResults[Subject]()
    if mine:
        with (bars if place.is_main else no_bars)(len(mine), steps.unit, steps.words) as bar:
            _run(mine, steps, results, bar.to)
    numbers = {id(job): index for index, job in enumerate(to_do)}
    done = place.gather([numbers[id(job)] for job in results.done])
    failed = dict(zip(
        place.gather([numbers[id(job)] for job, _ in results.failed]),
        place.gather([reason for _, reason in results.failed]),
        strict=True,
    ))  # fmt: skip
    return JobResults(
        done=[to_do[index] for index in sorted(done)],
        current=[job for job in jobs if id(job) not in numbers],
        failed=[(to_do[index], failed[index]) for index in sorted(failed)],
        remarks=place.gather(results.remarks),
    )


def _run(
    jobs: Sequence[Job[Subject]],
    steps: Steps[Subject, Data],
    results: JobResults[Subject],
    progress: Callable[[float], None],
) -> None:
    folders: set[Path] = set()
    with WriteBehind() as writer:
        for job, data in read_ahead(jobs, steps.read, steps.depth):
            try:
                with memory_errors():
                    write = steps.compute(job, data)
            except FAILURES as error:
                results.fail(job, error)
            else:
                writer.submit(partial(_write, job, write, results, folders))
            progress(len(results.done) + len(results.failed))
    progress(len(results.done) + len(results.failed))


def _write(
    job: Job[Subject], write: Write, results: JobResults[Subject], folders: set[Path]
) -> None:
    """Write what was computed; ``folders`` were written to before, and must still exist."""
    _require(folders)
    try:
        write()
    except FAILURES as error:
        causes = (error, error.__cause__)
        if any(isinstance(cause, OSError) and cause.errno in _ENDS_ALL for cause in causes):
            raise
        _require(folders)
        results.fail(job, error)
    else:
        folders.update(path.parent for path in job.outputs)
        results.done.append(job)


def _require(folders: Iterable[Path]) -> None:
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                "the output folder was removed during the run",
                where=folder,
                do="start again: only the missing files are made",
            )


def refuse_clashes(jobs: Iterable[Job[Any]], inputs: Iterable[Path], what: str, do: str) -> None:
    """Raise UserError if an output of a job, called ``what``, would replace an input or another
    job's output.
    """
    # Not Path.resolve(), which raises where links lead in a circle: that is reported later.
    raw = {os.path.realpath(path) for path in inputs}
    taken: dict[str, Job[Any]] = {}
    for job in jobs:
        for path in job.outputs:
            resolved = os.path.realpath(path)
            if resolved in raw:
                problem = f"the {what} {job.name} would replace an input image"
                raise UserError(problem, where=path, do=do)
            if resolved in taken:
                names = f"{taken[resolved].name} and {job.name}"
                raise UserError(f"{names} would both be written to this file", where=path)
            taken[resolved] = job


@dataclass(frozen=True)
class SetResults:
    """The result of each micrograph of a set, by name.

    Attributes
    ----------
    done, current
        Those processed in this run, and those whose output was up to date.
    failed
        Those that could not be processed, and why.
    table
        The table that lists the outputs; None if none was written.
    remarks, images
        Remarks on single micrographs, and the first output of each.
    """

    done: tuple[str, ...]
    current: tuple[str, ...]
    failed: Mapping[str, str]
    table: Path | None = None
    remarks: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()

    @property
    def total(self) -> int:
        """The number of micrographs of the set."""
        return len(self.done) + len(self.current) + len(self.failed)

    @classmethod
    def of(
        cls, results: JobResults[Any], rejected: Mapping[str, str], table: Path | None = None
    ) -> "SetResults":
        """The results of jobs by name; ``rejected`` are those that never became jobs, and why."""
        return cls(
            tuple(job.name for job in results.done),
            tuple(job.name for job in results.current),
            {**rejected, **{job.name: reason for job, reason in results.failed}},
            table,
            tuple(results.remarks),
            tuple(job.outputs[0] for job in results.good),
        )
