"""The table and the picture of a denoised set: their paths, and whether they may be written."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.denoising.targets import ELSEWHERE, OutputSettings
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.outputs import refuse_foreign, write_table
from restore.io.paths import resolved
from restore.io.replaced_tables import refuse_other_source
from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.jobs import Job, JobResults

log = logging.getLogger(__name__)


def output_table(
    source: Path, folder: Path, stem: str, ending: str, output: OutputSettings
) -> Path:
    """The path of the table that lists the denoised images: at the top of the output folder, else
    in ``folder``. Raises UserError if it would replace ``source``, the input's.
    """
    path = (output.output_directory or folder) / f"{stem}{output.suffix}{ending}"
    if resolved(path) == resolved(source):
        problem = f"the output {ending[1:].upper()} would replace the input's"
        raise UserError(problem, where=path, do="give another `output_suffix`")
    return path


@dataclass(frozen=True)
class PlannedTable:
    """A table before anything is denoised: its path, its input, and its files as they will be if
    every image is denoised.
    """

    table: Path
    source: str | Path
    files: Mapping[Path, bytes]


def require_outputs(
    planned: PlannedTable, picture: Path | None, jobs: Iterable[Job[Any]], output: OutputSettings
) -> None:
    """Raise UserError if the table's files or the picture would replace a file that restore did
    not write, or the table of another set; or a folder cannot be written to.

    The table of a RELION job is the job's own, and may be replaced.
    """
    table, files = planned.table, planned.files
    refuse_foreign([*files, *filter(None, [picture])], table, output.overwrite, ELSEWHERE)
    if not output.overwrite and not output.within_job:
        refuse_other_source(table, files, planned.source, ELSEWHERE)
    for folder in {path.parent for path in (*files, *(job.outputs[0] for job in jobs))}:
        require_writable(folder)


@dataclass(frozen=True)
class SetFiles:
    """The files of the table that lists a denoised set (none for a single image), and the record of
    how they were made.
    """

    table: Path
    files: Mapping[Path, bytes]
    record: Mapping[str, Any]


def write_outputs(
    results: JobResults[Any],
    written: SetFiles,
    panels: Callable[[], Sequence[Panel]],
    picture: Path | None,
) -> None:
    """Write the table, if there is one, and draw the ``panels`` if a picture is wanted."""
    if written.files:
        write_table(written.table, written.files, written.record)
    if picture is not None:
        draw_raw_beside_denoised(results, panels, picture)


def draw_raw_beside_denoised(
    results: JobResults[Any], panels: Callable[[], Sequence[Panel]], path: Path
) -> None:
    """Draw a picture, if any result is new or the picture does not exist.

    If it cannot be written, only a warning is logged.
    """
    if not results.done and path.exists():
        return
    try:
        save_picture(side_by_side(list(panels())), path)
    except UserError as error:
        log.warning("%s", error)
