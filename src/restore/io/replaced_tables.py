"""The tables that restore writes, when another set is to be listed under the same name."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from restore.errors import UserError
from restore.io.cryosparc.tables import UID
from restore.io.relion.micrographs import NAME
from restore.io.relion.particle_columns import IMAGE
from restore.io.relion.tilt_series import SERIES
from restore.io.star import parse_star
from restore.records import parse_json

_COLUMNS = (IMAGE, NAME, SERIES)
"""The columns that tell rows of STAR files apart: of particles, micrographs, tilt series."""


def origin(source: str | Path, table: Path) -> str:
    """The input of a table, as its record keeps it: the path relative to the table's folder, so
    that a project that is moved as a whole keeps it.
    """
    return os.path.relpath(os.path.realpath(source), os.path.realpath(table.parent))


def refuse_other_source(
    table: Path, files: Mapping[Path, bytes], source: str | Path, elsewhere: str
) -> None:
    """Raise UserError if a table that restore wrote from another input would be replaced, and with
    it the list of images that the new table does not have.

    ``files`` are the contents of the new table, and ``elsewhere`` says how to write it to another
    place. Tables from the same ``source`` may be replaced, and those that the new one contains.
    """
    listing = table.with_suffix(".cs") if table.suffix == ".csg" else table
    record = table.with_suffix(".settings.json")
    if listing not in files or not listing.is_file() or not record.is_file():
        return
    known = _inputs(record)
    earlier = known.get("micrographs") or known.get("particles") or ""
    if (known.get("origin") or (earlier and origin(earlier, table))) == origin(source, table):
        return
    lost = _rows(listing, listing.read_bytes()) - _rows(listing, files[listing])
    if lost:
        images = "1 image that is" if len(lost) == 1 else f"{len(lost)} images that are"
        raise UserError(
            f"this table of an earlier run lists {images} not in {_short(str(source))}",
            where=table,
            wanted=f"It was made from {_short(earlier or 'an unknown input')}",
            do=f"{elsewhere}, or `overwrite=True` to replace it, "
            "or remove this table, which keeps its images",
        )


def _short(names: str) -> str:
    """At most 100 characters of the names of inputs, which may be thousands."""
    return names if len(names) <= 100 else f"{names[:99]}…"


def _inputs(record: Path) -> dict[str, str]:
    """The inputs that a table's record names, as texts; empty if it cannot be read."""
    try:
        inputs = parse_json(record.read_bytes(), record)["inputs"]
        return {str(key): str(value) for key, value in inputs.items()}
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return {}


def _rows(path: Path, content: bytes) -> set[str]:
    """What tells the rows of a table apart: the names of images, or cryoSPARC's identifiers; empty
    for a table that cannot be read.
    """
    try:
        if path.suffix == ".cs":
            table = np.load(io.BytesIO(content), allow_pickle=False)
            return {str(uid) for uid in table[UID].tolist()}
        star = parse_star(content.decode("utf-8", "surrogateescape"), path)
    except (UserError, ValueError, IndexError, EOFError):
        return set()
    for column in _COLUMNS:
        blocks = [block for block in star.blocks if column in block.columns]
        if blocks:
            names = {name for block in blocks for name in block.column(column)}
            return names if column == SERIES else {_real(name) for name in names}
    return set()


def _real(name: str) -> str:
    """The name of an image, with its section if it has one, with the real path of its file."""
    section, at, file = name.rpartition("@")
    return f"{section}{at}{os.path.realpath(file)}"
