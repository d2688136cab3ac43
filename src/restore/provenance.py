"""What made a file: program, version, command, settings, inputs, time."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from restore.version import __version__


def provenance(settings: object, inputs: Mapping[str, object]) -> dict[str, Any]:
    """The record that is written beside, or into, each result; plain values only."""
    return {
        "program": "restore",
        "version": __version__,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": plain(settings),
        "inputs": plain(inputs),
    }


def plain(value: Any) -> Any:
    """A value as JSON can say it: records become dictionaries, paths become text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(each) for key, each in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def as_json(value: Any) -> str:
    """A value as indented JSON text, its keys in the order in which they were given."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)
