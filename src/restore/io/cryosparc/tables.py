"""cryoSPARC's ``.cs`` files: plain numpy tables of named columns, such as ``micrograph_blob/path``."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError

UID = "uid"
_IS_CS = "A .cs file of cryoSPARC is needed"
_STREAMS = (b"\x94CSDAT", b"\x95CSDAT")
_LONGEST_HEADER = 1 << 20


def read_cs(path: Path) -> NDArray[Any]:
    """The table of a ``.cs`` file, a numpy array with named columns. Nothing in it can run code.

    Raises
    ------
    UserError
        The file is missing, is no such table, holds Python objects, or has no rows.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_STREAMS[0])) in _STREAMS:
                do = (
                    "save it again with cryosparc-tools: Dataset.load(old).save(new) writes a "
                    "plain table"
                )
                raise UserError(
                    "it is in cryoSPARC's compressed stream format",
                    where=path,
                    wanted=_IS_CS,
                    do=do,
                )
            file.seek(0)
            table = np.load(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)
    except FileNotFoundError as error:
        raise UserError(
            "there is no such file", where=path, wanted=_IS_CS, do="check the name"
        ) from error
    except OSError as error:
        raise UserError(f"the file cannot be read ({error.strerror})", where=path) from error
    except (ValueError, EOFError) as error:
        found = f"this cannot be read as a table ({error})"
        raise UserError(found, where=path, wanted=_IS_CS, do="export it again") from error
    if not isinstance(table, np.ndarray) or table.dtype.names is None or table.ndim != 1:
        raise UserError("it holds no table with named columns", where=path, wanted=_IS_CS)
    if not len(table):
        raise UserError(
            "it has no rows", where=path, wanted="At least one exposure or particle is needed"
        )
    return table


def cs_bytes(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """The ``.cs`` file of columns of one length: what cryosparc-tools writes in its default format,
    a numpy table.
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
    """A column of texts, as they stand in the file; bytes that are no UTF-8 survive
    :func:`text_column`.
    """
    if column.dtype.kind == "S":
        return [text.decode("utf-8", "surrogateescape") for text in column.tolist()]
    return [str(text) for text in column.tolist()]


def text_column(values: list[str]) -> NDArray[np.bytes_]:
    """A column of texts as cryoSPARC stores them: UTF-8, as wide as the longest."""
    return np.array([value.encode("utf-8", "surrogateescape") for value in values], dtype=np.bytes_)
