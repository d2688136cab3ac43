"""What a command leaves: the table of a whole set, and what is said of micrographs that failed."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.atomic import write_bytes, write_text
from restore.provenance import as_json
from restore.runtime.jobs import Job, Outcome


def refuse_foreign(files: Iterable[Path], table: Path, overwrite: bool, do: str) -> None:
    """UserError where one of the ``table``'s files is there already, and is not restore's."""
    if overwrite or table.with_suffix(".settings.json").exists():
        return
    for path in files:
        if path.exists():
            found = f"a {path.suffix[1:].upper()} file stands here that restore did not write"
            raise UserError(found, where=path, do=f"{do}, or --overwrite")


def write_table(path: Path, files: Mapping[Path, bytes], made: dict[str, Any]) -> None:
    """Write a table's files, if they are not there as they are to be, and before them the record by
    which a rerun knows it.
    """
    stale = {
        file: content
        for file, content in files.items()
        if not file.exists() or file.read_bytes() != content
    }
    if stale:
        write_text(path.with_suffix(".settings.json"), as_json(made) + "\n")
    for file, content in stale.items():
        write_bytes(file, content)


def report_failures(outcome: Outcome[Job], verb: str) -> int:
    """Say what failed, and why; the exit status comes back."""
    if not outcome.failed:
        return 0
    total = len(outcome.failed) + len(outcome.good)
    print(f"{len(outcome.failed)} of {total} micrographs were not {verb}:", file=sys.stderr)
    for job, reason in outcome.failed:
        print(f"  {job.micrograph.name}: {reason}", file=sys.stderr)
    return 1
