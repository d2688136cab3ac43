"""Measuring a set, micrograph by micrograph: existing measurements are kept, failures are recorded
and skipped.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from restore.errors import UserError
from restore.evaluation.estimators.decomposition import PAIRS
from restore.evaluation.half_checks import require_pair
from restore.evaluation.measure import (
    BinnedHalves,
    Halves,
    Measurement,
    Sampling,
    Views,
    load_measurement,
    measure,
    save_measurement,
    support_of,
)
from restore.evaluation.previews import save_previews
from restore.image_tensors import read_halves, read_tensor
from restore.io.denoised_halves import DenoisedFiles
from restore.io.endings import split_ending
from restore.micrograph import Micrograph
from restore.runtime.distributed import Place
from restore.runtime.jobs import (
    ALONE,
    FAILURES,
    Job,
    JobResults,
    Steps,
    Write,
    fingerprint,
    run_jobs,
    stale_jobs,
)
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)

# Besides PAIRS: what measurements of older versions lack.
_MEASURED = "covariances, lattices, remarks"
_Images = tuple[Halves, BinnedHalves | None]


@dataclass(frozen=True)
class Subject:
    """A micrograph to be measured, and the paths of its measurement and previews (``preview`` is
    the start of their names, to which `_write` adds the fingerprint).
    """

    micrograph: Micrograph
    path: Path
    preview: Path
    denoised: DenoisedFiles | None = None

    @property
    def inputs(self) -> list[Path]:
        """All files that are read for it."""
        paths = [self.micrograph.even, self.micrograph.odd]
        if self.denoised is not None:
            paths += [self.denoised.even, self.denoised.odd]
        return [path for path in paths if path is not None]


@dataclass(frozen=True)
class Method:
    """How micrographs are measured: ``views`` compares the halves (and another program's versions
    of them).
    """

    views: Callable[[Halves, BinnedHalves | None, Micrograph], Views]
    sampling: Sampling
    support_window_A: float
    device: torch.device


def plan(
    micrographs: Sequence[Micrograph],
    folder: Path,
    made_with: object,
    denoised: Sequence[DenoisedFiles] | None,
) -> list[Job[Subject]]:
    """The jobs of a set, in the evaluation's folder; ``made_with`` is everything that determines
    the numbers besides the micrographs.

    Each micrograph is also compared with an unrelated one, the first of `unrelated`. A
    measurement depends on both, but on nothing else in the set.
    """
    chosen: list[Subject] = []
    for index, micrograph in enumerate(micrographs):
        name = f"{micrograph.row:05d}_{split_ending(micrograph.image.name)[0]}"
        paths = folder / "measured" / f"{name}.npz", folder / "previews" / name
        chosen.append(Subject(micrograph, *paths, denoised[index] if denoised else None))
    jobs: list[Job[Subject]] = []
    for index, subject in enumerate(chosen):
        both = [subject, *(chosen[other] for other in islice(unrelated(micrographs, index), 1))]
        facts = [
            (half.micrograph.name, half.micrograph.pixel_size_A, half.micrograph.ctf)
            for half in both
        ]
        inputs = [path for half in both for path in half.inputs]
        digest = fingerprint([PAIRS, _MEASURED, made_with, facts], inputs, folder)
        jobs.append(Job(subject, subject.micrograph.name, (subject.path,), digest))
    return jobs


def unrelated(micrographs: Sequence[Micrograph], index: int) -> Iterator[int]:
    """The other micrographs that show another specimen: the preceding ones, the nearest first, then
    from the last one down. All images of one tilt series show the same specimen.
    """
    series, count = micrographs[index].series, len(micrographs)
    others = ((index - step) % count for step in range(1, count))
    return (other for other in others if not series or micrographs[other].series != series)


def fingerprint_in(path: Path) -> str:
    """The fingerprint in a measurement; empty if it is damaged."""
    try:
        return load_measurement(path).facts.fingerprint
    except UserError:
        return ""


def measure_jobs(
    jobs: Sequence[Job[Subject]], method: Method, *, bars: Bars = no_bars, place: Place = ALONE
) -> JobResults[Subject]:
    """Measure the micrographs of a set that are not current, by `restore.runtime.jobs.run_jobs`.
    ``jobs`` is the whole set, in its order.
    """
    to_do = stale_jobs(jobs, fingerprint_in, "are already measured", place=place)
    if to_do and to_do[0] is jobs[0]:
        # The first is compared with the last. Its views are kept from when the second needed them.
        to_do = [*to_do[1:], to_do[0]]
    compared = _Compared(jobs, method)
    steps = Steps(lambda job: _read(job.subject), compared.measured, "measuring", depth=1)
    return run_jobs(jobs, steps, bars, place, stale=to_do)


class _Compared:
    """The micrographs of a set, each measured beside an unrelated one, mostly that before it; the
    views of the latest and of the first are kept, and of the one that the next is compared with.
    """

    def __init__(self, jobs: Sequence[Job[Subject]], method: Method) -> None:
        self._subjects, self._method = [job.subject for job in jobs], method
        self._micrographs = [subject.micrograph for subject in self._subjects]
        self._numbers = {id(job): index for index, job in enumerate(jobs)}
        self._views: dict[int, Views] = {}
        self._unusable: set[int] = set()

    def measured(self, job: Job[Subject], images: Future[_Images]) -> Write:
        """Measure one micrograph, and return the function that writes the measurement."""
        index, method = self._numbers[id(job)], self._method
        views = self._views_of(index, images.result)
        measurement = measure(views, self._neighbour(index), method.sampling)
        following = (index + 1) % len(self._subjects)
        needed = {0, index, *islice(unrelated(self._micrographs, following), 1)}
        self._views = {kept: self._views[kept] for kept in needed & self._views.keys()}
        return partial(_write, job, views, measurement, method.support_window_A)

    def _neighbour(self, index: int) -> Views | None:
        """The views of the first `unrelated` micrograph that can be read, or None."""
        for neighbour in unrelated(self._micrographs, index):
            if neighbour not in self._unusable:
                try:
                    return self._views_of(neighbour, partial(_read, self._subjects[neighbour]))
                except FAILURES as error:
                    name = self._micrographs[neighbour].name
                    log.debug("%s cannot be used as a neighbour: %s", name, error)
        return None

    def _views_of(self, index: int, read: Callable[[], _Images]) -> Views:
        if index not in self._views:
            device = self._method.device
            try:
                raw, denoised = read()
                micrograph = self._micrographs[index]
                views = self._method.views(
                    _on(device, raw), _on(device, denoised) if denoised else None, micrograph
                )
                self._views[index] = views.remarked(require_pair(views, micrograph.name))
            except FAILURES:
                self._unusable.add(index)
                raise
        return self._views[index]


def _read(subject: Subject) -> _Images:
    raw, files = (
        read_halves(subject.micrograph, ("An evaluation needs both halves")),
        subject.denoised,
    )
    return raw, (read_tensor(files.even), read_tensor(files.odd)) if files else None


def _on(device: torch.device, images: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return images[0].to(device), images[1].to(device)


def _write(
    job: Job[Subject],
    views: Views,
    measurement: Measurement,
    support_window_A: float,
) -> None:
    """Write the previews, then the measurement, so that a measurement that exists is complete.

    The previews have the fingerprint in their names: the record of an earlier evaluation, which
    stays until the end of this one, must not name pictures of this one. Those of the measurement
    that is replaced are removed.
    """
    subject, support = job.subject, support_of(views, support_window_A)
    older = _previews_of(subject)
    start = subject.preview.with_name(f"{subject.preview.name}_{job.fingerprint[:8]}")
    preview = save_previews(start, views.raw, views.denoised, support, views.grid.pixel_size_yx_A)
    facts = replace(
        measurement.facts,
        fingerprint=job.fingerprint,
        preview=preview,
        confirmed=support.share(support.confirmed),
        refuted=support.share(support.refuted),
    )
    save_measurement(subject.path, replace(measurement, facts=facts))
    for path in older - _previews_of(subject):
        path.unlink(missing_ok=True)


def _previews_of(subject: Subject) -> set[Path]:
    """The previews that an existing measurement names."""
    try:
        preview = load_measurement(subject.path).facts.preview
    except UserError:
        return set()
    names = (preview.raw, preview.denoised, preview.support) if preview else ()
    return {subject.preview.with_name(Path(name).name) for name in names if name}
