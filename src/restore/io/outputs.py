"""The files of a result, checked before the computation starts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable, write_bytes, write_text
from restore.records import as_json

_KINDS = {".star": "a STAR file", ".mrc": "an MRC map", ".html": "an HTML page"}


def output_paths(
    result: Path | None, ending: str, beside: Sequence[str], overwrite: bool
) -> list[Path]:
    """The paths of a result and of the files beside it, whose names are its stem and the endings
    ``beside``.

    The list is empty if no result is to be written.

    Raises
    ------
    UsageError
        The name of the result does not end in ``ending``.
    UserError
        The folder cannot be written to, or a file exists and must not be replaced.
    """
    if result is None:
        return []
    if result.suffix.lower() != ending:
        raise UsageError(
            f'"{result}" is not the name of {_KINDS.get(ending, "such a file")}',
            wanted=f"The name must end in {ending}",
        )
    paths = [result, *(result.with_name(f"{result.stem}{other_ending}") for other_ending in beside)]
    require_writable(result.parent)
    refuse_existing(paths, overwrite)
    return paths


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise UserError if one of the files exists and must not be replaced."""
    for path in paths:
        if path.exists() and not overwrite:
            raise UserError(
                "the file already exists",
                where=path,
                do="choose another `output`, or `overwrite=True`",
            )


def refuse_foreign(files: Iterable[Path], table: Path, overwrite: bool, do: str) -> None:
    """Raise UserError if one of the ``table``'s files exists and was not written by restore.

    restore's own tables are recognised by the record beside them, and pictures by their metadata.
    """
    if overwrite or table.with_suffix(".settings.json").exists():
        return
    for path in files:
        if path.exists() and not _is_own_picture(path):
            problem = f"a {path.suffix[1:].upper()} file stands here that restore did not write"
            raise UserError(problem, where=path, do=f"{do}, or `overwrite=True`")


def _is_own_picture(path: Path) -> bool:
    """Whether a file is a PNG whose text chunk names restore as the program that wrote it."""
    if path.suffix != ".png" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"Software\0restore " in file.read(256)


def write_table(path: Path, files: Mapping[Path, bytes], record: Mapping[str, Any]) -> None:
    """Write a table's files unless they are up to date, and before them the record by which a rerun
    recognises the table.
    """
    stale = {
        file: content
        for file, content in files.items()
        if not file.exists() or file.read_bytes() != content
    }
    if stale:
        write_text(path.with_suffix(".settings.json"), as_json(record) + "\n")
    for file, content in stale.items():
        write_bytes(file, content)
