"""cryoSPARC's data of exposures or particles: one ``.cs`` table, or the tables of a ``.csg``,
joined by ``uid``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.groups import ResultGroup, groups_with, read_group
from restore.io.cryosparc.tables import UID, read_cs

ENDINGS = (".cs", ".csg")


def is_cryosparc(path: Path) -> bool:
    """Whether, by its name, a file is one of cryoSPARC's."""
    return path.suffix.lower() in ENDINGS


@dataclass(frozen=True)
class Table:
    """A ``.cs`` file, and the rows that match the items of the first table, in their order (None:
    all rows in the file's order).
    """

    path: Path
    rows: NDArray[Any]
    order: Int[np.ndarray, "n"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.rows.dtype.names or ()

    def column(self, name: str) -> NDArray[Any]:
        """A column, item by item."""
        return self.rows[name] if self.order is None else self.rows[name][self.order]


@dataclass(frozen=True)
class Dataset:
    """Items and their columns. ``source`` is the file that was given, ``group`` its content if it
    is a ``.csg``.

    A column is taken from the file that holds its slot (the part before "/"), else from the first
    file that has it.
    """

    source: Path
    tables: tuple[Table, ...]
    group: ResultGroup | None = None

    def __len__(self) -> int:
        return len(self.tables[0].rows)

    def names(self) -> Iterator[str]:
        """The names of all columns, each once."""
        return iter(dict.fromkeys(name for table in self.tables for name in table.columns))

    def table_of(self, name: str) -> Table | None:
        """The table that a column is taken from, or None if there is no such column."""
        having = [table for table in self.tables if name in table.columns]
        slot = name.partition("/")[0]
        if self.group and slot in self.group.metafiles:
            own = self.group.file_of(slot)
            having.sort(key=lambda table: table.path != own)
        return having[0] if having else None

    def column(self, name: str) -> NDArray[Any] | None:
        """A column, item by item, or None if there is no column of this name."""
        table = self.table_of(name)
        return table.column(name) if table else None

    def place(self, name: str, item: int) -> str:
        """The place of an item's value as a text for messages; items are counted from zero."""
        table = self.table_of(name)
        if table is None:
            return str(self.source)
        row = item if table.order is None else int(table.order[item])
        return f"{table.path}, row {row + 1}"

    def where_to_find(self) -> str:
        """Advice for a ``.cs`` file that lacks columns: the group that joins it with
        other tables.
        """
        groups = groups_with(self.source) if self.group is None else []
        return f"give {groups[0].path}, which joins it with the others" if groups else ""


def read_dataset(path: Path) -> Dataset:
    """The items of a ``.cs`` or a ``.csg`` file.

    Raises
    ------
    UserError
        As :func:`read_cs` and :func:`read_group`; or a table of the group has no ``uid``, has one
        twice, or does not have the same ones as the others.
    """
    if path.suffix.lower() != ".csg":
        return Dataset(path, (Table(path, read_cs(path)),))
    group = read_group(path)
    files = group.files
    tables = [Table(file, read_cs(file)) for file in files]
    if len(tables) == 1:
        return Dataset(path, tuple(tables), group)
    uids = [_uids(table) for table in tables]
    joined = [
        Table(table.path, table.rows, _order(tables[0], uids[0], table, own))
        for table, own in zip(tables[1:], uids[1:], strict=True)
    ]
    return Dataset(path, (tables[0], *joined), group)


def _uids(table: Table) -> NDArray[np.uint64]:
    """The identifiers of a table's rows, which must be unique."""
    if UID not in table.columns:
        wanted = "The tables of a group are joined by it"
        raise UserError(
            f"{UID} is missing", where=table.path, wanted=wanted, do="export the result group again"
        )
    uids = table.rows[UID]
    _, first, counts = np.unique(uids, return_index=True, return_counts=True)
    if (counts > 1).any():
        uid = uids[first[counts > 1][0]]
        rows = " and ".join(str(row + 1) for row in np.flatnonzero(uids == uid)[:2])
        raise UserError(
            f"rows {rows} both have {UID} {uid}",
            where=table.path,
            wanted="Every row must have an identifier of its own",
            do="export the table from cryoSPARC again",
        )
    return uids


def _order(
    first: Table, wanted: NDArray[np.uint64], table: Table, uids: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """The rows of a table that match the items of the first one; both must hold the same items."""
    missing, extra = ~np.isin(wanted, uids), ~np.isin(uids, wanted)
    for lacks, other, which in ((table, first, wanted[missing]), (first, table, uids[extra])):
        if len(which):
            problem = (
                f"{len(which)} of the {len(other.rows)} {UID}s of {other.path} are missing, the "
                f"first {which[0]}"
            )
            do = "export the result group again, or give one .cs file"
            raise UserError(
                problem,
                where=lacks.path,
                wanted="The tables of a group must have the same ones",
                do=do,
            )
    sorter = np.argsort(uids)
    return sorter[np.searchsorted(uids, wanted, sorter=sorter)]
