"""Where the project and the real data lie."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

SHARED = ROOT.parent / "shared" / "data"
"""Real micrographs, STAR files and structures; not part of the project."""


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """A block in which the scripts of a folder that is no package can be imported, and find each
    other beside themselves.
    """
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
