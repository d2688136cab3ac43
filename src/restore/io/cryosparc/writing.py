"""What all tables that restore writes for cryoSPARC have in common: columns that stay valid in
another folder, and the group that names the table.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.datasets import Dataset
from restore.io.cryosparc.groups import groups_with, quoted
from restore.io.cryosparc.paths import MARK, project_folder, reference, without_mark
from restore.io.cryosparc.tables import text_column, texts
from restore.io.paths import resolved

_log = logging.getLogger(__name__)

_VERSION = "v4.0.0"


@dataclass(frozen=True)
class GroupKind:
    """A kind of result group: cryoSPARC's type ("exposure"), the name and title of a new group, and
    the types of its slots, named as in the documentation and tests of cryosparc-tools.
    """

    type: str
    name: str
    title: str
    slot_types: Mapping[str, str]


def refuse_to_replace_inputs(data: Dataset, *files: Path) -> None:
    """Raise UserError if one of the files is a table or group that was read."""
    inputs = {resolved(data.source), *(resolved(table.path) for table in data.tables)}
    replaced = next((file for file in files if resolved(file) in inputs), None)
    if replaced:
        raise UserError(
            "the output would replace an input",
            where=replaced,
            do="give another `output_suffix`",
        )


def moved_columns(data: Dataset, rows: Sequence[int], folder: Path) -> dict[str, NDArray[Any]]:
    """The columns of some rows, in the order of the tables, for a table in ``folder``: exported
    paths, which are relative to their table's folder, are adapted.
    """
    project = project_folder(data.source)
    columns: dict[str, NDArray[Any]] = {}
    for name in data.names():
        column = data.column(name)
        if column is not None:
            columns[name] = _moved(data, name, column[rows], folder, project)
    return columns


def _moved(
    data: Dataset, name: str, column: NDArray[Any], folder: Path, project: Path | None
) -> NDArray[Any]:
    table = data.table_of(name)
    start = table.path.parent if table else folder
    if "path" not in name or column.dtype.kind not in "SU" or resolved(start) == resolved(folder):
        return column
    values = texts(column)
    if not any(value.startswith(MARK) for value in values):
        return column
    return text_column(
        [
            reference(start / without_mark(value), folder, project)
            if value.startswith(MARK)
            else value
            for value in values
        ]
    )


def group_text(
    data: Dataset, table: str, columns: Mapping[str, NDArray[Any]], count: int, kind: GroupKind
) -> str:
    """The text of a group whose slots are all in the file ``table`` of ``count`` rows: the group
    that was read, or a new one of ``kind``.
    """
    if data.group:
        return data.group.of(table, count)
    slots = sorted({name.partition("/")[0] for name in columns if "/" in name})
    unknown = [slot for slot in slots if slot not in kind.slot_types]
    if unknown and count:
        _log.warning(
            "the .csg leaves out %s: give the job's .csg as input to keep them",
            ", ".join(unknown),
        )
    known = [slot for slot in slots if slot in kind.slot_types]
    versions = [group.version for group in groups_with(data.source) if group.version]
    changed = datetime.fromtimestamp(data.source.stat().st_mtime, UTC)
    results = "".join(
        f"  {slot}:\n    metafile: {quoted(MARK + table)}\n    num_items: {count}\n    type: "
        f"{kind.type}.{kind.slot_types[slot]}\n"
        for slot in known
    )
    return (
        f"created: {changed:%Y-%m-%d %H:%M:%S.%f}\ngroup:\n  description: Denoised by "
        f"restore\n  name: {kind.name}\n"
        f"  title: {kind.title}\n  type: {kind.type}\nresults:\n{results}version: "
        f"{(versions or [_VERSION])[0]}\n"
    )
