"""Commands interrupted while they start: ^C and SIGTERM in the first seconds, which are imports.

    python benchmarks/startup_kills.py --kills 100 --seed 0 --output startup_kills.md

``kills.py`` forks its commands from a server that has imported everything; here each is a process
of its own from the very beginning. A command that is interrupted must end with status 130, no
traceback, and nothing left that was not there. One that is already done ends with its own status.
What comes before Python runs any code of restore is Python's own, and counted apart.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from shutil import copytree, rmtree

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESTORE = (sys.executable, "-m", "restore")
STAR = "session/micrographs_ctf.star"
COMMANDS = {
    "denoise": ("denoise", "-m", STAR, "-o", "denoised"),
    "evaluate": ("evaluate", "-m", STAR, "-o", "evaluation"),
    "prepare": ("prepare", "-m", STAR, "-f", "patches.hdf", "-r", "8"),
    "train": ("train", "-m", STAR, "-f", "patches.hdf", "-r", "8", "--steps", "5", "--patch_px",
              "48", "--filters", "4", "--blocks", "1", "-b", "2", "--workers", "0"),
    "fsc": ("fsc", "session/specimen.mrc", "session/specimen.mrc"),
}  # fmt: skip
INTERRUPTED, FINISHED, BEFORE, TRACEBACK, LEFT_OVER, OTHER = (
    "130",
    "finished",
    "before restore",
    "traceback",
    "left over",
    "other status",
)
OUTCOMES = (INTERRUPTED, FINISHED, BEFORE, TRACEBACK, LEFT_OVER, OTHER)


def outcome(folder: Path, command: tuple[str, ...], number: signal.Signals, after_s: float) -> str:
    """Start a command, send it a signal after so many seconds, and say how it ended."""
    process = subprocess.Popen(
        [*RESTORE, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    time.sleep(after_s)
    if process.poll() is not None:
        process.communicate()
        return FINISHED
    process.send_signal(number)
    text = process.communicate()[0].decode(errors="replace")
    partial = [path.name for path in folder.rglob("*.partial")]
    if "Traceback" in text:
        return TRACEBACK if "restore/" in text else BEFORE
    if partial:
        return LEFT_OVER
    if process.returncode == -number:
        return BEFORE if not text else OTHER
    by_status = {130: INTERRUPTED, 0: FINISHED}
    return by_status.get(process.returncode, OTHER)


def main() -> int:
    """Run the campaign; the exit status is 1 where anything ended as it must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=float, default=4.0, help="signals come before this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("startup_kills.md"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    # A shell's background job ignores ^C, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(options.seed)
    counts = {number: Counter[str]() for number in SIGNALS}
    with tempfile.TemporaryDirectory() as work:
        before, here = Path(work) / "before", Path(work) / "here"
        before.mkdir()
        session = ("simulate", "session", "-n", "2", "--size_px", "192", "--pixel_size_A", "2")
        subprocess.run([*RESTORE, *session], cwd=before, check=True, capture_output=True)
        for kill in range(options.kills):
            copytree(before, here)
            name, number = rng.choice(list(COMMANDS)), rng.choice(SIGNALS)
            after_s = rng.uniform(0, options.seconds)
            ending = outcome(here, COMMANDS[name], number, after_s)
            counts[number][ending] += 1
            print(f"{kill + 1}: {name}, {number.name} after {after_s:.2f} s: {ending}", flush=True)
            rmtree(here)
    header = f"| signal | {' | '.join(OUTCOMES)} |\n| --- |{' ---: |' * len(OUTCOMES)}\n"
    rows = [
        f"| {number.name} | {' | '.join(str(count[ending]) for ending in OUTCOMES)} |\n"
        for number, count in counts.items()
    ]
    table = header + "".join(rows)
    options.output.write_text(table)
    print(table)
    bad = (TRACEBACK, LEFT_OVER, OTHER)
    return int(any(count[ending] for count in counts.values() for ending in bad))


if __name__ == "__main__":
    sys.exit(main())
