"""A set measured, micrograph by micrograph: what is there already is left, what fails is noted and
skipped.
"""

import errno
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from restore.errors import UserError
from restore.evaluation.estimators.decomposition import PAIRS
from restore.evaluation.measure import (
    BinnedHalves,
    Halves,
    Sampling,
    Views,
    load_measurement,
    measure,
    save_measurement,
    support_of,
)
from restore.evaluation.previews import save_previews
from restore.io.denoised_halves import DenoisedFiles
from restore.io.endings import split_ending
from restore.io.images.image import read_image
from restore.micrograph import Micrograph
from restore.provenance import plain
from restore.runtime.prefetch import read_ahead

log = logging.getLogger(__name__)

_FAILURES = (UserError, OSError, MemoryError, torch.OutOfMemoryError)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Subject:
    """One micrograph to be measured, and where its measurement and its previews go (``preview`` is
    the start of a name).
    """

    micrograph: Micrograph
    path: Path
    preview: Path
    fingerprint: str
    denoised: DenoisedFiles | None = None

    @property
    def inputs(self) -> list[Path]:
        """Every file that the measurement depends on."""
        found = [self.micrograph.even, self.micrograph.odd]
        if self.denoised is not None:
            found += [self.denoised.even, self.denoised.odd]
        return [path for path in found if path is not None]

    def is_current(self) -> bool:
        """Whether the measurement is there, whole, made in the same way, and not older than what it
        was made of.
        """
        if not self.path.exists():
            return False
        try:
            found = load_measurement(self.path).facts.get("fingerprint")
        except UserError:
            return False
        newest = max(path.stat().st_mtime for path in self.inputs)
        return found == self.fingerprint and self.path.stat().st_mtime >= newest


@dataclass(frozen=True)
class Method:
    """How micrographs are measured: ``views`` compares the halves (and another program's versions
    of them).
    """

    views: Callable[[Halves, Halves | None, Micrograph], Views]
    sampling: Sampling
    support_window_A: float
    device: torch.device


def subjects(
    micrographs: Sequence[Micrograph],
    folder: Path,
    made_with: object,
    denoised: Sequence[DenoisedFiles] | None,
) -> list[Subject]:
    """The micrographs with their places in the evaluation's folder; ``made_with`` is all that
    decides the numbers.
    """
    digest = hashlib.sha256(json.dumps(plain([PAIRS, made_with]), default=str).encode())
    found: list[Subject] = []
    for index, micrograph in enumerate(micrographs):
        files = denoised[index] if denoised else None
        own = digest.copy()
        own.update(
            json.dumps(
                plain([micrograph.name, micrograph.pixel_size_A, micrograph.ctf, files])
            ).encode()
        )
        name = f"{micrograph.row:05d}_{split_ending(micrograph.image.name)[0]}"
        paths = folder / "measured" / f"{name}.npz", folder / "previews" / name
        found.append(Subject(micrograph, *paths, own.hexdigest()[:24], files))
    return found


def examine(
    chosen: Sequence[Subject], method: Method, progress: Callable[[int], None]
) -> list[tuple[Subject, str]]:
    """Measure every micrograph, reading ahead; those that failed come back with the reasons.

    Each is compared with the one before it as well (the first with the last), as an unrelated
    micrograph. A full disk ends it with a UserError: the others would fail too.
    """
    failed: list[tuple[Subject, str]] = []
    first: tuple[Subject, Views] | None = None
    before: Views | None = None
    for count, (subject, exposure) in enumerate(read_ahead(chosen, _read, depth=1), 1):
        try:
            views = _views(subject, exposure, method)
            if before is None:
                first = subject, views
            else:
                _finish(subject, views, before, method)
            before = views
        except _FAILURES as error:
            _fail(failed, subject, error)
        progress(count)
    if first is not None:
        others = before if before is not first[1] else None
        try:
            _finish(*first, others, method)
        except _FAILURES as error:
            _fail(failed, first[0], error)
    return failed


def _read(subject: Subject) -> tuple[Halves, BinnedHalves | None]:
    def pair(even: Path | None, odd: Path | None) -> Halves:
        if even is None or odd is None:
            raise UserError(
                "it has no halves", where=subject.micrograph.name, wanted="An evaluation needs both"
            )
        return torch.from_numpy(read_image(even).data), torch.from_numpy(read_image(odd).data)

    raw = pair(subject.micrograph.even, subject.micrograph.odd)
    return raw, pair(subject.denoised.even, subject.denoised.odd) if subject.denoised else None


def _views(
    subject: Subject, exposure: Future[tuple[Halves, Halves | None]], method: Method
) -> Views:
    def on_device(images: tuple[Tensor, Tensor]) -> Halves:
        return images[0].to(method.device), images[1].to(method.device)

    raw, denoised = exposure.result()
    return method.views(
        on_device(raw), on_device(denoised) if denoised else None, subject.micrograph
    )


def _finish(subject: Subject, views: Views, neighbour: Views | None, method: Method) -> None:
    """Measure and write: the previews first, so that a measurement that is there is complete."""
    support = support_of(views, method.support_window_A)
    found = measure(views, neighbour, method.sampling)
    preview = save_previews(
        subject.preview, views.raw, views.denoised, support, views.grid.pixel_size_yx_A
    )
    facts = {
        "fingerprint": subject.fingerprint,
        "preview": preview,
        "confirmed": support.share(support.confirmed),
        "refuted": support.share(support.refuted),
    }
    save_measurement(subject.path, replace(found, facts=found.facts | facts))


def _fail(failed: list[tuple[Subject, str]], subject: Subject, error: BaseException) -> None:
    if any(
        isinstance(each, OSError) and each.errno in _NO_ROOM for each in (error, error.__cause__)
    ):
        raise UserError(
            "no room is left for the measurements", where=subject.path.parent, do="free some"
        ) from None
    log.warning("%s: %s", subject.micrograph.name, error)
    failed.append((subject, str(error)))
