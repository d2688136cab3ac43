"""The loop that follows a session: look, denoise, train, measure, look again."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from restore.denoising.targets import Target
from restore.errors import UserError
from restore.io.micrographs import MicrographSet
from restore.live.denoised import SessionImages
from restore.live.evaluation import SessionEvaluation
from restore.live.files import ArrivingFiles
from restore.live.page import SessionPage, SessionState
from restore.live.settings import WatchSettings
from restore.live.sources import FolderSource, TableSource
from restore.live.training import MeanwhileError, SessionTraining, ShowTraining, TrainingSet
from restore.micrograph import Micrograph
from restore.runtime.jobs import Job
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)

AT_ONCE = 8
"""The number of micrographs that are denoised before looking for new ones."""


@dataclass(frozen=True)
class Shown:
    """The progress bars of a session's steps and of its training."""

    bars: Bars
    training: ShowTraining


@dataclass(frozen=True)
class WatchedSession:
    """The result of a session.

    Attributes
    ----------
    denoised
        Names of the micrographs that were denoised.
    failed
        Names of those that were not, with the reasons.
    table
        The STAR or cryoSPARC table of the denoised images. None if there is none.
    """

    denoised: tuple[str, ...]
    failed: dict[str, str]
    table: Path | None

    @property
    def total(self) -> int:
        """The number of micrographs that are listed or have arrived."""
        return len(self.denoised) + len(self.failed)


class Session:
    """One run of `restore.live.session.watch`."""

    def __init__(
        self,
        source: TableSource | FolderSource,
        *,
        images: SessionImages,
        files: ArrivingFiles,
        training: SessionTraining,
        evaluation: SessionEvaluation,
        page: SessionPage,
        settings: WatchSettings,
        shown: Shown,
    ) -> None:
        self._source, self._images, self._files = source, images, files
        self._training, self._evaluation, self._page = training, evaluation, page
        self._settings, self._shown = settings, shown
        self._listed: MicrographSet | None = None
        self._ready: Sequence[Micrograph] = ()
        self._table: Path | None = None
        self._looked_at, self._pause_s = -float("inf"), settings.poll
        self._worked_at = time.monotonic()
        self._may_train = settings.train_after > 0 and not training.files.model.exists()
        self._training_set = TrainingSet(settings.train_after)

    def follow(self) -> None:
        """Follow the session until nothing has changed for the time in the settings.

        Raises KeyboardInterrupt after ^C or SIGTERM; the page says so.
        """
        try:
            self._follow()
        except KeyboardInterrupt:
            self._write_page(f"stopped at {time.strftime('%H:%M')}", is_followed=False)
            raise

    def _follow(self) -> None:
        is_quiet = False
        while True:
            self._look()
            if self._denoise_some() or self._train_if_due() or self._measure_some():
                self._worked_at, is_quiet = time.monotonic(), False
                continue
            ends = self._is_idle()
            if ends or not is_quiet:
                is_quiet = True
                self._write_page(
                    "ended" if ends else "waiting for micrographs", is_followed=not ends
                )
            if ends:
                return
            time.sleep(self._pause_s)

    def results(self) -> WatchedSession:
        """The result of the session. Raises UserError if there was nothing to denoise."""
        failed = self._failed()
        denoised = tuple(name for name in self._images.written if name not in failed)
        if not denoised and not failed and self._source.problem is not None:
            raise self._source.problem
        return WatchedSession(denoised, failed, self._table)

    def _look(self) -> None:
        """Look for new files, unless this was done a moment ago."""
        if time.monotonic() - self._looked_at < self._pause_s:
            return
        began = time.monotonic()
        self._listed = self._source.look()
        if self._listed is not None:
            micrographs = self._listed.micrographs
            self._files.look(path for micrograph in micrographs for path in _paths(micrograph))
            self._ready = [micrograph for micrograph in micrographs if self._is_ready(micrograph)]
        self._looked_at = time.monotonic()
        # On a slow disk, looking takes at most half of the time.
        self._pause_s = max(self._settings.poll, self._looked_at - began)

    def _is_ready(self, micrograph: Micrograph) -> bool:
        """Whether a micrograph's image is complete, and none of its halves is still arriving."""
        halves = (micrograph.even, micrograph.odd)
        return (
            self._files.has_settled(micrograph.image)
            and not any(half and self._files.is_unsettled(half) for half in halves)
            and not self._files.problem(micrograph.image)
        )

    def _with_halves(self) -> list[Micrograph]:
        """The micrographs that have arrived with both halves."""
        return [
            micrograph
            for micrograph in self._ready
            if all(
                half is not None and self._files.has_settled(half) and not self._files.problem(half)
                for half in (micrograph.even, micrograph.odd)
            )
        ]

    def _denoise_some(self) -> bool:
        """Denoise a few of the waiting micrographs; returns whether there were any."""
        if self._listed is None:
            return False
        jobs = self._images.waiting(self._ready)
        if jobs or self._table is None:
            self._denoise(jobs, self._shown.bars, "denoising")
        return bool(jobs)

    def _denoise(self, jobs: Sequence[Job[Target]], bars: Bars, doing: str) -> None:
        """Denoise the first of these jobs, and write table and page."""
        assert self._listed is not None
        self._images.require_table(self._listed)
        if jobs:
            count = self._images.denoise(jobs[:AT_ONCE], bars)
            model = Path(self._images.model.name).name
            if count:
                log.info("%d denoised with %s, %d in all", count, model, len(self._images.written))
        self._table = self._images.write_table(self._listed)
        self._write_page(doing, max(len(jobs) - AT_ONCE, 0))

    def _train_if_due(self) -> bool:
        """Train once there are enough micrographs, and switch to the new model; returns whether it
        was time to do so. Raises UserError as the denoising meanwhile does.
        """
        if not self._may_train or self._listed is None:
            return False
        problems = {row.name for row in self._listed.problems.values()}
        chosen = self._training_set.of(self._with_halves(), {*self._images.failed, *problems})
        if not chosen:
            return False
        if self._training.is_interrupted:
            log.info("the interrupted training continues")
        else:
            log.info(
                "%d micrographs have arrived with halves: a model is now trained on them",
                len(chosen),
            )
        self._write_page(self._training_words())
        try:
            model = self._training.train(
                self._subset(chosen), self._shown.training, self._denoise_meanwhile
            )
        except MeanwhileError as meanwhile:
            raise meanwhile.error from None
        except UserError as error:
            if not self._training_set.leave_out_culprit(chosen, error):
                self._may_train = False
                log.warning("the session continues without a model of its own: %s", error)
            return True
        self._may_train = False
        log.info("switched to %s; micrographs denoised before are denoised again", model.name)
        self._images.use(model)
        self._evaluation.begin_again()
        return True

    def _training_words(self) -> str:
        return f"training for {self._settings.minutes:g} minutes since {time.strftime('%H:%M')}"

    def _denoise_meanwhile(self) -> None:
        """Denoise what has arrived since, at most half of the time."""
        before = self._looked_at
        self._look()
        if self._looked_at == before or self._listed is None:
            return
        waiting = self._images.waiting(self._ready)
        jobs = [job for job in waiting if job.name not in self._images.written]
        if jobs:
            self._denoise(jobs, no_bars, self._training_words())
        self._pause_s = max(self._pause_s, time.monotonic() - self._looked_at)
        self._looked_at = time.monotonic()

    def _measure_some(self) -> bool:
        """Measure a few more micrographs, and write the report; returns whether there were any."""
        if not self._settings.evaluate or self._listed is None:
            return False
        micrographs = self._evaluation.waiting(self._with_halves())
        if not micrographs:
            return False
        subset = self._subset(micrographs)
        self._evaluation.measure(subset, self._images.model, self._shown.bars)
        self._write_page("measuring")
        return True

    def _subset(self, micrographs: Sequence[Micrograph]) -> MicrographSet:
        """Some of the micrographs that are listed."""
        assert self._listed is not None
        return replace(self._listed, micrographs=tuple(micrographs), problems={})

    def _write_page(self, doing: str, waiting: int = 0, is_followed: bool = True) -> None:
        written = self._images.written
        latest = written[next(reversed(written))] if written else None
        model = self._images.model.name
        failed = self._failed(with_absent=False)
        state = SessionState(model, doing, len(written), latest, waiting, failed, is_followed)
        self._page.write(state, self._evaluation.latest, self._evaluation.folder)

    def _is_idle(self) -> bool:
        """Whether nothing has changed for the waiting time, and nothing is arriving."""
        if self._settings.until_idle is None or self._source.waits:
            return False
        listed = self._listed.micrographs if self._listed else ()
        on_its_way = any(
            self._files.is_unsettled(path) for micrograph in listed for path in _paths(micrograph)
        )
        last = max(self._worked_at, self._files.changed_at)
        return not on_its_way and time.monotonic() - last >= self._settings.until_idle

    def _failed(self, with_absent: bool = True) -> dict[str, str]:
        """The micrographs that cannot be used at present, with the reasons; including those that
        are listed but have not arrived.
        """
        failed = self._images.failed
        if isinstance(self._source, FolderSource):
            return {**self._source.unreadable, **failed}
        if self._listed is None:
            return failed
        unusable = {row.name: row.reason for row in self._listed.problems.values()}
        for micrograph in self._listed.micrographs:
            path = micrograph.image
            if micrograph.name in self._images.written:
                continue
            if self._files.state(path) is None:
                if with_absent:
                    unusable[micrograph.name] = f"{path}: it has not arrived."
            elif self._files.has_settled(path) and (problem := self._files.problem(path)):
                unusable[micrograph.name] = problem
        return {**unusable, **failed}


def _paths(micrograph: Micrograph) -> list[Path]:
    """The files of a micrograph."""
    paths = (micrograph.image, micrograph.even, micrograph.odd)
    return [path for path in paths if path is not None]
