"""The origin of a file: program, version, command, settings, inputs, time."""

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from restore.records import as_json, plain
from restore.version import __version__

__all__ = ["as_json", "plain", "provenance"]


def provenance(settings: object, inputs: Mapping[str, object]) -> dict[str, Any]:
    """The record, of plain values, that is written beside or into each result."""
    return {
        "program": "restore",
        "version": __version__,
        "command": shlex.join([_program(), *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": plain(settings),
        "inputs": plain(inputs),
    }


def _program() -> str:
    """The name of the program that runs; ``python -m restore`` is ``restore``."""
    path = Path(sys.argv[0])
    return path.parent.name if path.name == "__main__.py" else path.name
