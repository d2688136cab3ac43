"""STAR files, read and written without loss."""

from pathlib import Path

from restore.io.atomic import write_text
from restore.io.star.reading import parse_star, read_star
from restore.io.star.records import VERSION_LINES, Block, StarFile

__all__ = ["VERSION_LINES", "Block", "StarFile", "parse_star", "read_star", "write_star"]


def write_star(path: Path, star: StarFile) -> None:
    """Write a STAR file, completely or not at all: unchanged blocks byte for byte, changed ones in
    RELION's layout.

    Raises
    ------
    UserError
        The file cannot be written: :func:`restore.io.atomic.replacing`.
    ValueError
        A value cannot be written in STAR: :func:`restore.io.star.tokens.quoted`.
    """
    write_text(path, star.text())
