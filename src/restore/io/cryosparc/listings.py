"""Denoised exposures in cryoSPARC's form: a ``.cs`` table and the ``.csg`` that Import Result Group
takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from restore.io.cryosparc.blobs import DENOISED_BLOB, blob_columns
from restore.io.cryosparc.datasets import Dataset
from restore.io.cryosparc.exposures import BLOB
from restore.io.cryosparc.paths import project_folder, reference
from restore.io.cryosparc.tables import cs_bytes
from restore.io.cryosparc.writing import (
    GroupKind,
    group_text,
    moved_columns,
    refuse_to_replace_inputs,
)
from restore.io.listings import WrittenImage
from restore.micrograph import Micrograph

_SLOT_TYPES = {
    "micrograph_blob": "micrograph_blob",
    DENOISED_BLOB: "micrograph_blob",
    "micrograph_blob_non_dw": "micrograph_blob",
    "micrograph_blob_thumb": "micrograph_blob",
    "background_blob": "stat_blob",
    "ctf": "ctf",
    "ctf_stats": "ctf_stats",
    "mscope_params": "mscope_params",
    "movie_blob": "movie_blob",
    "gain_ref_blob": "gain_ref_blob",
}
EXPOSURES = GroupKind("exposure", "exposures", "Denoised exposures", _SLOT_TYPES)


@dataclass(frozen=True)
class CryosparcListing:
    """Exposures as cryoSPARC lists them, and the micrographs read from the rows.

    Denoised images are listed in the slot ``micrograph_blob_denoised``, where cryoSPARC's own
    Micrograph Denoiser puts them, beside the raw ones in ``micrograph_blob``. With ``replace_raw``
    they are listed in ``micrograph_blob``, from which every job takes its pixels.
    """

    data: Dataset
    micrographs: Sequence[Micrograph]
    replace_raw: bool = False

    @property
    def ending(self) -> str:
        """``.cs`` or ``.csg``, whichever was given; both are written."""
        return self.data.source.suffix.lower()

    def denoised(self, path: Path, outputs: Mapping[int, WrittenImage]) -> dict[Path, bytes]:
        """The ``.cs`` and the ``.csg``, as `restore.io.listings.Listing` says.

        The tables of a group become one, as in cryoSPARC's own exports. The slot of the denoised
        images is described in `restore.io.cryosparc.blobs.blob_columns`. If the table goes to
        another folder, exported paths, which are relative to the table's folder, change
        accordingly.

        Raises
        ------
        UserError
            One of the two files would replace a table that was read.
        """
        table, group = path.with_suffix(".cs"), path.with_suffix(".csg")
        companion = group if path == table else table
        refuse_to_replace_inputs(self.data, table, group)
        rows = sorted(outputs)
        columns = self._columns(rows, outputs, path.parent)
        files = {
            table: cs_bytes(columns),
            group: self._group(table.name, len(rows), columns).encode("utf-8"),
        }
        return {name: files[name] for name in (companion, path)}

    def _columns(
        self, rows: Sequence[int], outputs: Mapping[int, WrittenImage], folder: Path
    ) -> dict[str, NDArray[Any]]:
        """The columns of some rows, in the order of the tables, for a table in ``folder``."""
        of_row = {micrograph.row: micrograph for micrograph in self.micrographs}
        images = [outputs[row].path for row in rows]
        project = project_folder(self.data.source)
        columns = moved_columns(self.data, rows, folder)
        names = [reference(image, folder, project) for image in images]
        sizes_A = [of_row[row].pixel_size_A for row in rows]
        slot = blob_columns(self._slot, columns, names, images, sizes_A)
        return _with_slot(columns, self._slot, slot)

    @property
    def _slot(self) -> str:
        return BLOB if self.replace_raw else DENOISED_BLOB

    def _group(self, table: str, count: int, columns: Mapping[str, NDArray[Any]]) -> str:
        """The text of the group, with the slot of the denoised images."""
        data = self.data
        if data.group:
            slot_type = f"exposure.{_SLOT_TYPES[self._slot]}"
            data = replace(data, group=data.group.with_slot(self._slot, slot_type))
        return group_text(data, table, columns, count, EXPOSURES)


def _with_slot(
    columns: Mapping[str, NDArray[Any]], slot: str, changed: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The columns with those of a slot replaced in place, or inserted after the raw images'."""
    rest = {name: column for name, column in columns.items() if not name.startswith(f"{slot}/")}
    if slot == BLOB:
        return {name: changed.get(name, column) for name, column in columns.items()}
    last = max(index for index, name in enumerate(rest) if name.startswith(f"{BLOB}/")) + 1
    items = list(rest.items())
    return dict([*items[:last], *changed.items(), *items[last:]])
