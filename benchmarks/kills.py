"""Commands killed at random moments and run again: nothing may be lost, half-written or different
from what an uninterrupted run makes.

    python benchmarks/kills.py --kills 200 --seed 0 --output kills.md

A command is ended by KILL, TERM or INT after a random part of its time, or as soon as a file with
``.partial`` in its name appears. Then it runs again, to its end, in the same folder, and every
file that it leaves is compared with that of a run that nothing disturbed: what changes with the
clock (times, durations, paths of temporary folders) apart.

Each command is a process of its own, forked from a server that has imported everything: what is
tried is the command's work, not two seconds of imports.
"""

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import h5py
from safetensors import safe_open

from restore.cli.main import COMMANDS as EVERY_COMMAND
from restore.cli.main import main as restore

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SESSION = ("simulate", "session", "-n", "6", "--size_px", "192", "--pixel_size_A", "2",
           "--movies", "mrc", "--frames", "6")  # fmt: skip
STAR, MODEL = "session/micrographs_ctf.star", "Models/model.safetensors"
TRAIN = ("train", "-t", "patches.hdf", "--steps", "60", "--batches_per_epoch", "10", "--filters",
         "4", "--blocks", "1", "--patch_px", "48", "-b", "2", "--workers", "0")  # fmt: skip
COMMANDS = {
    "prepare": ("prepare", "-m", STAR, "-f", "patches.hdf", "-r", "8"),
    "train": TRAIN,
    "denoise": ("denoise", "-m", STAR, "-p", MODEL, "-o", "denoised"),
    "evaluate": ("evaluate", "-m", STAR, "-p", MODEL, "-o", "evaluation"),
    "halves": ("halves", "-m", STAR, "-o", "halves", "--full_sum"),
    "report": ("report", "evaluation"),
    "structure": ("structure", "--raw_particles", "session/particles.star", "--raw_micrographs",
                  STAR, "--denoised_micrographs", "denoised", "--box_px", "48", "--engine",
                  "torch", "--reslog_sizes", "2", "--reslog_repeats", "1"),
}  # fmt: skip
"""Each may use what those before it have made."""

_CLOCK = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?|[0-9.]+ (s|min|h)\b"
)
_FLEETING = {
    "fingerprint",
    "outputs",
    "time",
    "seconds",
    "command",
    "host",
    "user",
    "resume",
    "provenance",
    "directory",
}


@dataclass(frozen=True)
class Run:
    """A command that ran to its end: how long it took, and a digest of each file that it left."""

    seconds: float
    digests: dict[str, str]


def digests(folder: Path) -> dict[str, str]:
    """What is in each file below a folder that does not change with the clock."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()[:16]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tensorboard" not in str(path) and "tfevents" not in path.name
    }


def _content(path: Path) -> bytes:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            cards = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            return json.dumps(_lasting(cards), sort_keys=True).encode() + b"".join(
                name.encode() + file.get_tensor(name).tobytes() for name in sorted(file.keys())
            )
    if path.suffix == ".hdf":
        with h5py.File(path) as file:
            attributes = {name: str(value) for name, value in file.attrs.items()}
            return json.dumps(_lasting(attributes), sort_keys=True).encode() + b"".join(
                file[name][()].tobytes() for name in file if name != "blank"
            )
    if path.suffix == ".json":
        return json.dumps(_lasting(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.read_text().splitlines()))
        return json.dumps(_lasting(rows)).encode()
    if path.suffix in (".html", ".star", ".txt", ".log"):
        return _CLOCK.sub("", path.read_text(errors="surrogateescape")).encode(
            errors="surrogateescape"
        )
    return path.read_bytes()


def _lasting(value: Any) -> Any:
    """A JSON value without what changes with the clock."""
    if isinstance(value, dict):
        return {key: _lasting(part) for key, part in value.items() if key not in _FLEETING}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


SERVER = multiprocessing.get_context("forkserver")
"""Where the commands' processes come from."""


def started(folder: Path, command: Sequence[str]) -> ForkServerProcess:
    """A command of restore, running in a folder; its output goes into a file beside the folder."""
    process = SERVER.Process(target=_run, args=(folder, tuple(command)))
    process.start()
    return process


def _run(folder: Path, command: tuple[str, ...]) -> None:
    """What a command's process does. A shell's background job ignores ^C; this one shall not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with folder.with_suffix(".log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    sys.argv = ["restore", *command]
    sys.exit(restore(command))


def whole_run(folder: Path, command: Sequence[str]) -> Run:
    """Run a command to its end. RuntimeError where it fails."""
    start = time.monotonic()
    process = started(folder, command)
    process.join()
    if status := process.exitcode:
        log = folder.with_suffix(".log").read_text(errors="replace")[-800:]
        raise RuntimeError(f"{' '.join(command)} ended with status {status}:\n{log}")
    return Run(time.monotonic() - start, digests(folder))


def killed(folder: Path, command: Sequence[str], seconds: float, rng: random.Random) -> bool:
    """Start a command and end it at a random moment; False where it was faster."""
    process = started(folder, command)
    ending, start = rng.choice(SIGNALS), time.monotonic()
    at_partial = rng.random() < 0.3
    moment = rng.uniform(0.1, 1.0) * seconds
    while process.is_alive() and time.monotonic() - start < (seconds if at_partial else moment):
        if at_partial and any(folder.rglob("*.partial")):
            break
        time.sleep(0.005)
    if not process.is_alive():
        return False
    os.kill(process.pid or 0, ending)
    process.join()
    return True


def faults_of(folder: Path, name: str, whole: Run) -> Iterator[str]:
    """Run a command that was killed again, and say how what it leaves differs from the whole
    run's.
    """
    command = COMMANDS[name]
    again = (*command, "--resume") if name == "train" else command
    try:
        rerun = whole_run(folder, again)
    except RuntimeError as error:
        yield f"the rerun failed: {error}"
        return
    for path in sorted({*whole.digests, *rerun.digests}):
        if path not in rerun.digests:
            yield f"{path} is missing"
        elif path not in whole.digests:
            yield f"{path} is left over"
        elif whole.digests[path] != rerun.digests[path]:
            yield f"{path} differs"


def campaign(work: Path, names: Sequence[str], kills: int, seed: int) -> Iterator[tuple[str, str]]:
    """For each kill the command's name and what was wrong, "" where nothing was."""
    rng, before, here = random.Random(seed), work / "before", work / "here"
    before.mkdir()
    whole_run(before, SESSION)
    for name, command in COMMANDS.items():
        # Always in a folder of one name, since tables hold whole paths.
        copytree(before, here, copy_function=_linked)
        whole = whole_run(here, command)
        after = here.rename(work / f"after_{name}")
        for _ in range(kills // len(names) if name in names else 0):
            copytree(before, here, copy_function=_linked)
            while not killed(here, command, whole.seconds, rng):
                rmtree(here)
                copytree(before, here, copy_function=_linked)
            yield name, "; ".join(faults_of(here, name, whole))
            rmtree(here)
        before = after


def _linked(source: str, target: str) -> str:
    """A hard link: modification times stay, and nothing is copied."""
    os.link(source, target)
    return target


def main() -> int:
    """Run the campaign; the exit status is 1 where anything differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--output", type=Path, default=Path("kills.md"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    SERVER.set_forkserver_preload([f"restore.cli.{name}" for name in EVERY_COMMAND] + ["h5py"])
    counts: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work:
        for name, fault in campaign(Path(work), options.commands, options.kills, options.seed):
            counts[name] += 1
            bad[name] += bool(fault)
            print(f"{name} {counts[name]}: {fault or 'equal'}", flush=True)
    rows = [f"| {name} | {counts[name]} | {bad[name]} |" for name in options.commands]
    rows.append(f"| all | {counts.total()} | {bad.total()} |")
    table = "\n".join(["| command | kills | different |", "| --- | ---: | ---: |", *rows])
    options.output.write_text(table + "\n")
    print(table)
    return int(bad.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
