"""A session followed while it is collected: what has arrived is denoised, again and again."""

import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restore.denoising.denoise import DenoisingSettings, merge_band
from restore.denoising.targets import OutputSettings
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.half_names import Suffixes, parse_suffixes
from restore.io.lock import locked
from restore.io.micrographs import MicrographSet
from restore.live.denoised import NamedModel, SessionImages
from restore.live.files import ArrivingFiles
from restore.live.settings import WatchSettings
from restore.live.sources import FolderSource, TableSource, source_of
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model
from restore.runtime.distributed import launch, pick_device
from restore.runtime.progress import Bars, no_bars

log = logging.getLogger(__name__)

AT_ONCE = 8
"""So many micrographs are denoised before it is looked again for new ones."""


@dataclass(frozen=True)
class WatchedSession:
    """What became of a session: the names of the micrographs that are denoised, of those that are
    not, and why; and the table, None where there is none.
    """

    denoised: tuple[str, ...]
    failed: dict[str, str]
    table: Path | None

    @property
    def total(self) -> int:
        """The number of micrographs that have arrived."""
        return len(self.denoised) + len(self.failed)


def watch(
    source: str | Path,
    output_directory: str | Path,
    model: Model,
    *,
    model_name: str = "",
    settings: WatchSettings | None = None,
    denoising: DenoisingSettings | None = None,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    device: str = "auto",
    bars: Bars = no_bars,
) -> WatchedSession:
    """Denoise the micrographs of a session as they appear.

    Started again, it goes on where it stopped, however it ended.

    Parameters
    ----------
    source
        A RELION STAR file, or a cryoSPARC ``.cs`` or ``.csg`` file, that is rewritten as the
        session goes on, and need not be there yet; or a folder in which images appear.
    output_directory
        Folder of all output.
    model
        The model to denoise with, and in ``model_name`` what labels and records call it.
    settings
        How files are looked at, and when to end.
    denoising
        What is done with the network's output.
    suffixes
        How the names of a full sum and its halves differ, as ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å of images that no table lists (the headers', where it is None).
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    bars
        Shows how far each step has come.

    Returns
    -------
    WatchedSession
        Where the session was idle for long enough; without such a limit it goes on for ever.

    Raises
    ------
    UserError
        There is no such folder, an output would replace what restore did not write, another
        process follows the same session, or the disk is full; and in the end, where the table
        could not be read or no image has come.
    KeyboardInterrupt
        After ^C or SIGTERM. What is finished is kept.
    """
    settings, denoising = settings or WatchSettings(), denoising or DenoisingSettings()
    folder = Path(output_directory)
    if launch(os.environ) is not None:
        raise UserError("a session is followed by one process", do="start it without torchrun")
    merge_band(denoising, model.recipe.max_resolution_A)
    files = ArrivingFiles(settings.settle)
    listing = source_of(
        source,
        pattern=settings.pattern,
        not_in=folder,
        files=files,
        suffixes=parse_suffixes(suffixes) if suffixes else Suffixes(),
        pixel_size_A=pixel_size_A,
        phase_flip=model.recipe.phase_flip,
    )
    require_writable(folder)
    output = OutputSettings(output_directory=folder)
    named = NamedModel(model, model_name)
    with _followed(source, folder):
        images = SessionImages(named, denoising, output, pick_device(device), files)
        session = _Session(listing, images, files, settings, bars)
        log.info("watching %s; ^C ends it", source)
        session.follow()
        return session.results()


@contextmanager
def _followed(source: str | Path, folder: Path) -> Generator[None]:
    """Inside it no other process follows a session into ``folder``."""
    try:
        with locked(folder / "session"):
            yield
    except UserError as error:
        if error.where != str(folder / "session"):
            raise
        found = error.found.replace("is writing it", "is following this session")
        raise error.instead(
            found=found, where=source, do="give another `output_directory`"
        ) from None


class _Session:
    """One run of `watch`."""

    def __init__(
        self,
        source: TableSource | FolderSource,
        images: SessionImages,
        files: ArrivingFiles,
        settings: WatchSettings,
        bars: Bars,
    ) -> None:
        self._source, self._images, self._files = source, images, files
        self._settings, self._bars = settings, bars
        self._listed: MicrographSet | None = None
        self._ready: Sequence[Micrograph] = ()
        self._table: Path | None = None
        self._looked_at, self._pause_s = -float("inf"), settings.poll
        self._worked_at = time.monotonic()

    def follow(self) -> None:
        """Go on until nothing has changed for as long as the settings say."""
        while True:
            self._look()
            if self._step():
                self._worked_at = time.monotonic()
            elif self._is_idle():
                break
            else:
                time.sleep(self._pause_s)

    def results(self) -> WatchedSession:
        """What has become of the session. UserError where there was nothing to denoise."""
        failed = {**self._unusable(), **self._images.failed}
        denoised = tuple(name for name in self._images.written if name not in failed)
        if not denoised and not failed and self._source.problem is not None:
            raise self._source.problem
        return WatchedSession(denoised, failed, self._table)

    def _look(self) -> None:
        """See what has arrived, unless that was seen a moment ago."""
        if time.monotonic() - self._looked_at < self._pause_s and self._ready:
            return
        began = time.monotonic()
        self._listed = self._source.look()
        if self._listed is not None:
            micrographs = self._listed.micrographs
            self._files.look(path for micrograph in micrographs for path in _paths(micrograph))
            self._ready = [micrograph for micrograph in micrographs if self._is_ready(micrograph)]
        self._looked_at = time.monotonic()
        # A slow disk is not asked more than half of the time.
        self._pause_s = max(self._settings.poll, self._looked_at - began)

    def _is_ready(self, micrograph: Micrograph) -> bool:
        """Whether a micrograph's image is there and whole, and none of its halves on its way."""
        halves = (micrograph.even, micrograph.odd)
        return (
            self._files.has_settled(micrograph.image)
            and not any(half and self._files.is_unsettled(half) for half in halves)
            and not self._files.problem(micrograph.image)
        )

    def _step(self) -> bool:
        """Do what is most urgent; whether there was anything comes back."""
        return self._denoise_some()

    def _denoise_some(self) -> bool:
        if self._listed is None:
            return False
        jobs = self._images.waiting(self._ready)
        if not jobs and self._table is not None:
            return False
        if jobs:
            done = self._images.denoise(jobs[:AT_ONCE], self._bars)
            log.info("%d denoised, %d in all", done, len(self._images.written))
        self._table = self._images.write_table(self._listed)
        return bool(jobs)

    def _is_idle(self) -> bool:
        """Whether nothing has changed for as long as is waited, and nothing is on its way."""
        if self._settings.until_idle is None or self._source.waits:
            return False
        listed = self._listed.micrographs if self._listed else ()
        on_its_way = any(
            self._files.is_unsettled(path) for micrograph in listed for path in _paths(micrograph)
        )
        last = max(self._worked_at, self._files.changed_at)
        return not on_its_way and time.monotonic() - last >= self._settings.until_idle

    def _unusable(self) -> dict[str, str]:
        """The micrographs that are listed and cannot be used, and why."""
        if isinstance(self._source, FolderSource):
            return self._source.unreadable
        if self._listed is None:
            return {}
        unusable = {row.name: row.reason for row in self._listed.problems.values()}
        for micrograph in self._listed.micrographs:
            if micrograph.name in self._images.written:
                continue
            if self._files.state(micrograph.image) is None:
                unusable[micrograph.name] = f"{micrograph.image}: it has not come."
            elif problem := self._files.problem(micrograph.image):
                unusable[micrograph.name] = problem
        return unusable


def _paths(micrograph: Micrograph) -> list[Path]:
    """The files of a micrograph."""
    paths = (micrograph.image, micrograph.even, micrograph.odd)
    return [path for path in paths if path is not None]
