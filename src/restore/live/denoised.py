"""The denoised images of a session: existing ones, those still to be made, and their table."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from restore.denoising.batch import denoise_jobs
from restore.denoising.denoise import Denoiser, denoiser_for
from restore.denoising.inputs import table_path, uses_halves, with_usable_halves
from restore.denoising.outputs import PlannedTable, require_outputs
from restore.denoising.settings import DenoisingSettings
from restore.denoising.targets import (
    OutputSettings,
    Target,
    fingerprint_in,
    made_with,
    plan,
    target_of,
)
from restore.errors import UserError
from restore.io.micrographs import MicrographSet
from restore.io.outputs import write_table
from restore.io.replaced_tables import origin
from restore.live.files import ArrivingFiles, MicrographKey
from restore.micrograph import Micrograph
from restore.model.checkpoint import NamedModel
from restore.provenance import provenance
from restore.runtime.jobs import Job, is_current
from restore.runtime.progress import Bars

log = logging.getLogger(__name__)


@dataclass
class _Entry:
    """The state of one micrograph: its row and files, the job that denoises them, whether this is
    done, and why it failed if it did.
    """

    key: MicrographKey
    job: Job[Target]
    is_done: bool = False
    reason: str = ""


class SessionImages:
    """The denoised images of a session, made with one model after another.

    An image is made again when its row, its files or the model has changed. Failed ones are tried
    again only then.
    """

    def __init__(
        self,
        model: NamedModel,
        settings: DenoisingSettings,
        output: OutputSettings,
        device: torch.device,
        files: ArrivingFiles,
    ) -> None:
        self._settings, self._output, self._device, self._files = settings, output, device, files
        self._entries: dict[str, _Entry] = {}
        self._written: dict[str, Target] = {}
        self._owners: dict[Path, str] = {}
        self._may_write = False
        self.use(model)

    def use(self, model: NamedModel) -> None:
        """Use this model from now on, also to denoise existing images again."""
        self.model = model
        self._denoiser: Denoiser | None = None
        self._made_with = made_with(model.model, self._settings)
        self._entries.clear()

    @property
    def written(self) -> dict[str, Target]:
        """The existing denoised images by the names of their micrographs, the newest last; some may
        be from an earlier model.
        """
        return self._written

    @property
    def failed(self) -> dict[str, str]:
        """The micrographs that could not be denoised, and why."""
        return {name: entry.reason for name, entry in self._entries.items() if entry.reason}

    def waiting(self, micrographs: Sequence[Micrograph]) -> list[Job[Target]]:
        """The micrographs to denoise; those without a denoised image come first.

        Raises
        ------
        UserError
            There is a file that restore did not write at the path of a denoised image.
        """
        adopted = 0
        for micrograph in micrographs:
            key = self._files.key(micrograph)
            entry = self._entries.get(micrograph.name)
            if entry is None or entry.key != key:
                self._entries[micrograph.name] = self._entry(micrograph, key)
                adopted += self._entries[micrograph.name].is_done
        if adopted:
            log.info("%d of %d micrographs are already denoised", adopted, len(micrographs))
        entries = (self._entries[micrograph.name] for micrograph in micrographs)
        jobs = [entry.job for entry in entries if not entry.is_done and not entry.reason]
        return sorted(jobs, key=lambda job: job.name in self._written)

    def denoise(self, jobs: Sequence[Job[Target]], bars: Bars) -> int:
        """Denoise micrographs; returns the number done.

        Raises
        ------
        UserError
            The disk is full, or the folder of the output was removed.
        """
        if self._denoiser is None:
            self._denoiser = denoiser_for(self.model.model, self._settings, self._device)
        results = denoise_jobs(jobs, self._denoiser, Path(self.model.name).name, bars=bars)
        for job in results.good:
            self._entries[job.name].is_done = True
            self._written.pop(job.name, None)
            self._written[job.name] = job.subject
        for job, reason in results.failed:
            self._entries[job.name].reason = reason
        return len(results.good)

    def write_table(self, chosen: MicrographSet) -> Path | None:
        """Write the table of the denoised images, like that of the session; returns its path, or
        None if there are no images.

        Raises
        ------
        UserError
            The table would replace the session's own, or a file that restore did not write.
        """
        table = table_path(chosen, self._output)
        written = {
            micrograph.row: self._written[micrograph.name].written
            for micrograph in chosen.micrographs
            if micrograph.name in self._written
        }
        self.require_table(chosen)
        if not written:
            return None
        inputs = {
            "micrographs": chosen.source,
            "origin": origin(chosen.source, table),
            "model": self.model.name,
            "output": self._output,
        }
        files = chosen.listing.denoised(table, written)
        write_table(table, files, provenance(self._settings, inputs))
        return table

    def require_table(self, chosen: MicrographSet) -> None:
        """Raise UserError, at the first call, if the session's table would replace its own input,
        a file that restore did not write, or the table of another session.
        """
        if self._may_write:
            return
        table = table_path(chosen, self._output)
        planned = {
            micrograph.row: target_of(micrograph, Path(micrograph.name), self._output).written
            for micrograph in chosen.micrographs
        }
        files = chosen.listing.denoised(table, planned)
        try:
            require_outputs(PlannedTable(table, chosen.source, files), None, [], self._output)
        except UserError as error:
            raise error.instead(do="give another `output_directory`") from None
        self._may_write = True

    def _entry(self, micrograph: Micrograph, key: MicrographKey) -> _Entry:
        """The present state of a micrograph, including whether its denoised image exists
        already.
        """
        if self._settings.calibration == "rings" and not self._settings.average_halves:
            micrograph = with_usable_halves(micrograph)
        with_halves = partial(uses_halves, settings=self._settings)
        (job,) = plan([micrograph], self._output, self._made_with, with_halves)
        path = job.subject.path
        owner = self._owners.setdefault(path, job.name)
        if owner != job.name:
            reason = f"its denoised image would be written to the same file as that of {owner}"
            return _Entry(key, job, reason=f"{reason}: {path}.")
        try:
            done = is_current(job, fingerprint_in)
        except UserError as error:
            raise error.instead(do="give another `output_directory`") from None
        if done or (path.exists() and job.name not in self._written):
            self._written[job.name] = job.subject
        return _Entry(key, job, is_done=done)
