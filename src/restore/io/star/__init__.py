"""STAR files, read and written without loss (the face of the ``star_`` modules)."""

from pathlib import Path

from restore.io.atomic import write_text
from restore.io.star.reading import parse_star, read_star
from restore.io.star.records import VERSION_LINES, Block, StarFile

__all__ = ["VERSION_LINES", "Block", "StarFile", "parse_star", "read_star", "write_star"]


def write_star(path: Path, star: StarFile) -> None:
    """Write a STAR file, whole or not at all: unchanged blocks byte for byte, changed ones laid out
    as RELION does.

    Raises
    ------
    UserError
        The file cannot be written: :func:`restore.io.atomic.replacing`.
    ValueError
        A value that STAR has no way to write: :func:`restore.io.star.tokens.quoted`.
    """
    write_text(path, star.text())
