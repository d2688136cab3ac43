"""How fast restore is here: whole processes timed from outside, as a user meets them.

    python benchmarks/speed.py [--repeats 3] [--size 4096]

Measures, on simulated micrographs at 1 Å/px and -r 4.5: seconds and peak memory to denoise one micrograph (in bf16
where the processor has it, and in float32), micrographs per second in prepare, and patches per second in training
(the paper's step: batch 10 of 192×192). Prints a Markdown table with the machine above it. Medians of the repeats.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import machine

RESTORE = (sys.executable, "-m", "restore")


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    wall_s: float
    peak_GB: float


def timed(arguments: Sequence[str]) -> Cost:
    """Run a restore command and account for it."""
    start = time.monotonic()
    process = subprocess.Popen([*RESTORE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"restore {' '.join(arguments)} failed:\n{said.decode()}")
    return Cost(wall_s, used.ru_maxrss * 1024 / 1e9)


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(statistics.median(c.wall_s for c in costs), statistics.median(c.peak_GB for c in costs))


def rows(folder: Path, size: int, repeats: int) -> list[tuple[str, str]]:
    """Each figure's name and value."""
    star, model = str(folder / "micrographs_ctf.star"), str(folder / "Models/speed.safetensors")
    simulation = timed(["simulate", str(folder), "--micrographs=4", f"--size_px={size}"])
    patches = str(folder / "training_data.hdf")
    prepare = ["prepare", "-m", star, "-f", patches, "--overwrite"]
    few, dozen, many = _first(folder, 1), _dozen(folder), median([timed(prepare) for _ in range(repeats)])
    one = median([timed(["prepare", "-m", few, "-f", patches, "--overwrite"]) for _ in range(repeats)])
    twelve = timed(["prepare", "-m", dozen, "-f", patches, "--overwrite"])
    timed(prepare)
    steps_s = _training_step_s(folder, patches)
    found = [
        ("simulate 4 micrographs, s each (with start)", f"{simulation.wall_s / 4:.1f}"),
        ("prepare, micrographs (pairs) per second", f"{3 / (many.wall_s - one.wall_s):.2f}"),
        (
            "prepare, peak memory for 1 / 4 / 12 micrographs, GB",
            f"{one.peak_GB:.2f} / {many.peak_GB:.2f} / {twelve.peak_GB:.2f}",
        ),
        ("training, s per step of 10 × 192²", f"{steps_s:.2f}"),
        ("training, patches per second", f"{10 / steps_s:.1f}"),
    ]
    for precision in ("auto", "float32"):
        denoise = ["-p", model, "-o", str(folder / "out"), f"--precision={precision}", "--overwrite"]
        single = median([timed(["denoise", "-m", few, *denoise]) for _ in range(repeats)])
        several = timed(["denoise", "-m", star, *denoise])
        all_of_them = timed(["denoise", "-m", dozen, *denoise]) if precision == "auto" else several
        found += [
            (f"denoise one, whole process, s ({precision})", f"{single.wall_s:.1f}"),
            (f"denoise, each further micrograph, s ({precision})", f"{(several.wall_s - single.wall_s) / 3:.1f}"),
            (
                f"denoise, peak memory for 1 / 12 (float32: 1 / 4), GB ({precision})",
                f"{single.peak_GB:.2f} / {all_of_them.peak_GB:.2f}",
            ),
        ]
    return found


def _first(folder: Path, count: int) -> str:
    """A STAR file with the first micrographs only."""
    lines = (folder / "micrographs_ctf.star").read_text().splitlines(keepends=True)
    rows_there = [line for line in lines if "mic_000" in line]
    path = folder / f"first_{count}.star"
    path.write_text("".join(line for line in lines if line not in rows_there[count:]))
    return str(path)


def _dozen(folder: Path) -> str:
    """A STAR file of twelve micrographs: the four, each under three names."""
    text = (folder / "micrographs_ctf.star").read_text()
    lines = text.splitlines(keepends=True)
    extra: list[str] = []
    for copy in "ab":
        for line in (line for line in lines if "mic_000" in line):
            extra.append(line.replace("mic_0", f"{copy}mic_0"))
        for image in (folder / "Micrographs").glob("mic_*.mrc"):
            (image.parent / f"{copy}{image.name}").symlink_to(image.name)
    path = folder / "dozen.star"
    path.write_text(text.rstrip() + "\n" + "".join(extra) + "\n")
    return str(path)


def _training_step_s(folder: Path, patches: str) -> float:
    """Seconds per step of the paper's size, from the run's own log: the last epoch less the first."""
    arguments = [
        "-t",
        patches,
        "-d",
        str(folder / "Models"),
        "-x",
        "speed",
        "--steps=8",
        "--preset=gpu",
        "--held_out=0",
        "--overwrite",
    ]
    timed(["train", *arguments])
    with (folder / "Models/speed.csv").open() as table:
        epochs = list(csv.DictReader(table))
    first, last = epochs[1], epochs[-1]
    return (float(last["seconds"]) - float(first["seconds"])) / (int(last["step"]) - int(first["step"]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=4096)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="restore_speed_"))
    try:
        table = rows(folder, chosen.size, chosen.repeats)
    finally:
        shutil.rmtree(folder)
    print(f"{machine.describe()}\n\n| {chosen.size}² at 1 Å/px, -r 4.5 | |\n|---|---|")
    for name, value in table:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
