"""Denoised exposures in cryoSPARC's form: a ``.cs`` table and the ``.csg`` that Import Result Group
takes.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.datasets import Dataset
from restore.io.cryosparc.exposures import BLOB, INDEX, PATH
from restore.io.cryosparc.groups import groups_with, quoted
from restore.io.cryosparc.paths import MARK, project_folder, reference, without_mark
from restore.io.cryosparc.tables import cs_bytes, text_column, texts
from restore.io.images.mrc import MrcHeader, read_mrc_header
from restore.micrograph import Micrograph

_log = logging.getLogger(__name__)

SHAPE, FORMAT, FLAT = f"{BLOB}/shape", f"{BLOB}/format", f"{BLOB}/is_background_subtracted"
SLOT_TYPES = {
    "micrograph_blob": "micrograph_blob",
    "micrograph_blob_non_dw": "micrograph_blob",
    "background_blob": "stat_blob",
    "ctf": "ctf",
    "ctf_stats": "ctf_stats",
    "mscope_params": "mscope_params",
    "movie_blob": "movie_blob",
    "gain_ref_blob": "gain_ref_blob",
}
"""The types of an exposure's slots, as the documentation and the tests of cryosparc-tools name
them.
"""

_FORMATS = {2: "MRC/12", 4: "MRC/2"}
"""What cryoSPARC calls the MRC files that restore writes, by the bytes of a pixel: their mode
stands after the slash.
"""

_VERSION = "v4.0.0"


@dataclass(frozen=True)
class CryosparcListing:
    """Exposures as cryoSPARC lists them, and the micrographs read from them, row by row."""

    data: Dataset
    micrographs: Sequence[Micrograph]

    @property
    def ending(self) -> str:
        """``.cs`` or ``.csg``, as it was given; both are written."""
        return self.data.source.suffix.lower()

    def denoised(self, path: Path, outputs: Mapping[int, str]) -> dict[Path, bytes]:
        """The ``.cs`` and the ``.csg``, as `restore.io.listings.Listing` says.

        The tables of a group become one, as in an export of cryoSPARC's own. Changed are
        ``micrograph_blob``'s path, shape, ``idx`` (zero), and ``is_background_subtracted`` (one:
        the model takes the background off); and where the table goes to another folder, the
        exported paths, which start at its own.

        Raises
        ------
        UserError
            One of the two would replace a table that was read.
        """
        table, group = path.with_suffix(".cs"), path.with_suffix(".csg")
        companion = group if path == table else table
        self._refuse_to_replace(table, group)
        rows = sorted(outputs)
        columns = self._columns(rows, outputs, path.parent)
        files = {
            table: cs_bytes(columns),
            group: self._group(table.name, len(rows), columns).encode("utf-8"),
        }
        return {name: files[name] for name in (companion, path)}

    def _refuse_to_replace(self, *files: Path) -> None:
        inputs = {self.data.source.resolve(), *(table.path.resolve() for table in self.data.tables)}
        replaced = next((file for file in files if file.resolve() in inputs), None)
        if replaced:
            raise UserError(
                "the output would replace an input",
                where=replaced,
                do="give another `output_suffix`",
            )

    def _columns(
        self, rows: Sequence[int], outputs: Mapping[int, str], folder: Path
    ) -> dict[str, NDArray[Any]]:
        """The columns of some rows, in the order of the tables, as they are to be in a table in
        ``folder``.
        """
        of_row = {micrograph.row: micrograph for micrograph in self.micrographs}
        images = [_image(of_row[row], outputs[row]) for row in rows]
        project = project_folder(self.data.source)
        columns: dict[str, NDArray[Any]] = {}
        for name in self.data.names():
            column = self.data.column(name)
            if column is not None:
                columns[name] = self._moved(name, column[rows], folder, project)
        columns[PATH] = text_column([reference(image, folder, project) for image in images])
        _describe(columns, images)
        return columns

    def _moved(
        self, name: str, column: NDArray[Any], folder: Path, project: Path | None
    ) -> NDArray[Any]:
        """A column whose exported paths, which start at its table's folder, are right in a table in
        ``folder``.
        """
        table = self.data.table_of(name)
        start = table.path.parent if table else folder
        if (
            "path" not in name
            or column.dtype.kind not in "SU"
            or start.resolve() == folder.resolve()
        ):
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

    def _group(self, table: str, count: int, columns: Mapping[str, NDArray[Any]]) -> str:
        """The text of the group whose slots are all in the file ``table``: the one that was read,
        or a new one.
        """
        if self.data.group:
            return self.data.group.of(table, count)
        slots = sorted({name.partition("/")[0] for name in columns if "/" in name})
        unknown = [slot for slot in slots if slot not in SLOT_TYPES]
        if unknown and count:
            _log.warning(
                "the .csg leaves out %s: give the job's .csg as input to keep them",
                ", ".join(unknown),
            )
        known = [slot for slot in slots if slot in SLOT_TYPES]
        versions = [group.version for group in groups_with(self.data.source) if group.version]
        changed = datetime.fromtimestamp(self.data.source.stat().st_mtime, UTC)
        results = "".join(
            f"  {slot}:\n    metafile: {quoted(MARK + table)}\n    num_items: {count}\n    type: "
            f"exposure.{SLOT_TYPES[slot]}\n"
            for slot in known
        )
        return (
            f"created: {changed:%Y-%m-%d %H:%M:%S.%f}\ngroup:\n  description: Denoised by "
            "restore\n  name: exposures\n"
            f"  title: Denoised exposures\n  type: exposure\nresults:\n{results}version: "
            f"{(versions or [_VERSION])[0]}\n"
        )


def _describe(columns: dict[str, NDArray[Any]], images: Sequence[Path]) -> None:
    """Put what the denoised images are into the columns that say it; images that are yet to be made
    are as the raw ones.
    """
    headers = [_header(image) for image in images]
    if SHAPE in columns:
        shapes = zip(headers, columns[SHAPE].tolist(), strict=True)
        new = [header.shape if header else shape for header, shape in shapes]
        columns[SHAPE] = np.array(new, dtype=columns[SHAPE].dtype).reshape(-1, 2)
    if FORMAT in columns:
        formats = zip(headers, texts(columns[FORMAT]), strict=True)
        columns[FORMAT] = text_column(
            [
                _FORMATS.get(header.dtype.itemsize, text) if header else text
                for header, text in formats
            ]
        )
    for name, value in ((INDEX, 0), (FLAT, 1)):
        if name in columns:
            columns[name] = np.full_like(columns[name], value)


def _header(image: Path) -> MrcHeader | None:
    try:
        return read_mrc_header(image)
    except UserError:
        return None


def _image(micrograph: Micrograph, written_name: str) -> Path:
    """The denoised image: beside the raw one where its name is in the same folder, else where the
    name says.
    """
    name = Path(written_name)
    beside = micrograph.image.with_name(name.name)
    return beside if name.parent == Path(micrograph.name).parent and beside.is_file() else name
