"""What made a file: readable, complete, plain."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import restore
from restore.provenance import as_json, plain, provenance


@dataclass(frozen=True)
class Inner:
    path: Path
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    share: float | None


def test_records_paths_and_tuples_become_plain_values():
    value = {"a": Outer(Inner(Path("x/y"), (1, 2)), None), 3: {"b": [Path("z"), True, "Å"]}}
    expected = {
        "a": {"inner": {"path": "x/y", "sizes": [1, 2]}, "share": None},
        "3": {"b": ["z", True, "Å"]},
    }
    assert plain(value) == expected
    assert json.loads(as_json(value)) == expected
    assert "Å" in as_json(value)


def test_provenance_says_program_version_command_time_settings_and_inputs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/restore", "train", "-m", "my mics.star"])
    record = provenance(Inner(Path("p"), (1,)), {"patches": Path("t.hdf"), "micrographs": 3})
    assert record["program"] == "restore" and record["version"] == restore.__version__
    assert record["command"] == "restore train -m 'my mics.star'"
    assert record["settings"] == {"path": "p", "sizes": [1]}
    assert record["inputs"] == {"patches": "t.hdf", "micrographs": 3}
    assert abs((datetime.now(UTC) - datetime.fromisoformat(record["time"])).total_seconds()) < 5
    json.dumps(record)
