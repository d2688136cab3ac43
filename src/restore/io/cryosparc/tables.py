"""cryoSPARC's ``.cs`` files: plain numpy tables of named columns, such as
``micrograph_blob/path``.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.reading import reading

UID = "uid"
_IS_CS = "A .cs file of cryoSPARC is needed"
_STREAMS = (b"\x94CSDAT", b"\x95CSDAT")
_LONGEST_HEADER = 1 << 20
_KINDS = {"S": "bytes", "U": "text", "b": "boolean", "i": "integer", "u": "unsigned", "f": "float"}
_NUMBER, _TEXT = "iuf", "SU"
_KNOWN: dict[str, tuple[str, tuple[int, ...]]] = {
    UID: ("iu", ()),
    "blob/path": (_TEXT, ()),
    "blob/idx": ("iu", ()),
    "micrograph_blob/path": (_TEXT, ()),
    "micrograph_blob/idx": ("iu", ()),
    "micrograph_blob/shape": ("iu", (2,)),
    "micrograph_blob/format": (_TEXT, ()),
    "micrograph_blob/is_background_subtracted": ("biu", ()),
    "location/micrograph_path": (_TEXT, ()),
    "location/micrograph_shape": ("iu", (2,)),
    "alignments3D/pose": ("f", (3,)),
    "alignments3D/shift": ("f", (2,)),
    "alignments3D/split": ("iu", ()),
} | dict.fromkeys(
    (
        "blob/psize_A", "blob/sign", "micrograph_blob/psize_A", "alignments3D/psize_A",
        "location/center_x_frac", "location/center_y_frac", "location/micrograph_psize_A",
        "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad", "ctf/accel_kv", "ctf/cs_mm",
        "ctf/amp_contrast", "ctf/phase_shift_rad",
    ),
    (_NUMBER, ()),
)  # fmt: skip


def read_cs(path: Path) -> NDArray[Any]:
    """The table of a ``.cs`` file, a numpy array with named columns. Nothing in it can run code.

    Raises
    ------
    UserError
        The file is missing, is not such a table, holds Python objects, or has no rows.
    """
    with reading(path, _IS_CS, "this cannot be read as a table"):
        with path.open("rb") as file:
            is_stream = file.read(len(_STREAMS[0])) in _STREAMS
        # Mapped, not read, so that a header which claims more rows than the file has is refused
        # before there is an array of them.
        mapped = (
            None
            if is_stream
            else np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=_LONGEST_HEADER)
        )
    if mapped is None:
        raise UserError(
            "it is in cryoSPARC's compressed stream format",
            where=path,
            wanted=_IS_CS,
            do="save it again with cryosparc-tools: Dataset.load(old).save(new) writes a plain "
            "table",
        )
    table = np.array(mapped)
    if not isinstance(table, np.ndarray) or table.dtype.names is None or table.ndim != 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError("it holds no table with named columns", where=path, wanted=_IS_CS)
    if not len(table):
        raise UserError(
            "the table has no rows",
            where=path,
            wanted="At least one exposure or particle is needed",
        )
    _require_known_types(table, path)
    return table


def _require_known_types(table: NDArray[Any], path: Path) -> None:
    """Raise UserError if a known column has a type or shape other than cryoSPARC's, or if any
    column is itself a table.
    """
    for name in table.dtype.names or ():
        column = table.dtype[name]
        kinds, shape = _KNOWN.get(name, ("SUbiuf", column.shape))
        if column.base.kind not in kinds or column.shape != shape:
            problem = f"{name} is of type {column.base.name} and shape {column.shape}"
            wanted = f"Type {' or '.join(_KINDS[kind] for kind in kinds)} and shape {shape}"
            raise UserError(
                problem, where=path, wanted=f"{wanted} are needed", do="export it again"
            )


def cs_bytes(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a ``.cs`` file with these columns, all of one length, in the default format of
    cryosparc-tools (a numpy table).
    """
    length = len(next(iter(columns.values())))
    fields = [(name, column.dtype, column.shape[1:]) for name, column in columns.items()]
    table = np.empty(length, dtype=np.dtype(fields))
    for name, column in columns.items():
        table[name] = column
    file = io.BytesIO()
    np.save(file, table, allow_pickle=False)
    return file.getvalue()


def texts(column: NDArray[Any]) -> list[str]:
    """A column of texts; bytes that are not UTF-8 survive a round trip through
    :func:`text_column`.
    """
    if column.dtype.kind == "S":
        return [text.decode("utf-8", "surrogateescape") for text in column.tolist()]
    return [str(text) for text in column.tolist()]


def text_column(values: list[str]) -> NDArray[np.bytes_]:
    """A column of texts as cryoSPARC stores them: UTF-8, as wide as the longest."""
    return np.array([value.encode("utf-8", "surrogateescape") for value in values], dtype=np.bytes_)
