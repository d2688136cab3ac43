"""Where the project and the real data lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

SHARED = ROOT.parent / "shared" / "data"
"""Real micrographs, STAR files and structures; not part of the project."""
