"""Denoised images as tables list them, from their names."""

from pathlib import Path

from restore.io.listings import WrittenImage


def as_written(names):
    """The images of these names by row; the names are their paths as well."""
    return {row: WrittenImage(Path(name), str(name)) for row, name in names.items()}
