"""Mutated files of every format that restore reads: none may end in a traceback, hang, or eat the
machine.

    python benchmarks/faults.py --files 10000 --seed 0 --output faults.md

Each mutated file is read by a child process of its own, which may use 10 seconds of processor time
and 2 GB more memory than a fresh one. A table says how each format fared; files that failed are
kept beside it.
"""

import argparse
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from fault_samples import Sample, inspected, samples
from restore.errors import UserError

CPU_SECONDS, WALL_SECONDS, MEMORY_BYTES = 10, 60, 2 << 30
READ, REFUSED, TRACEBACK, HANG, MEMORY, CRASH = range(6)
OUTCOMES = ("read", "refused", "traceback", "hang", "over 2 GB", "crash")
NUMBERS = (b"-1", b"0", b"1e308", b"nan", b"inf", b"-1e9", b"99999999999999999999", b'"no"', b"[]")


@dataclass(frozen=True)
class Case:
    """A mutated file and its sample."""

    sample: Sample
    path: Path


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one to three faults in it: bytes changed, cut, repeated, removed, numbers
    replaced by impossible ones.
    """
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(_FAULTS)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 16))):
        if changed:
            changed[_place(changed, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _extreme(content: bytes, rng: random.Random) -> bytes:
    start, width = _place(content, rng), rng.choice((1, 2, 4, 8))
    filler = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"[", b"{", b'"', b"\n"))
    return content[:start] + filler * width + content[start + width :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: _place(content, rng)]


def _remove(content: bytes, rng: random.Random) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + rng.choice((1, 4, 64)) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start = _place(content, rng)
    piece = content[start : start + rng.choice((4, 64, 512))]
    return content[:start] + piece * rng.choice((2, 3, 200)) + content[start:]


def _number(content: bytes, rng: random.Random) -> bytes:
    """A run of digits, in text or in the text of a header, replaced."""
    digits = [at for at in range(min(len(content), 20_000)) if content[at : at + 1].isdigit()]
    if not digits:
        return _flip(content, rng)
    start = end = rng.choice(digits)
    while content[end : end + 1].isdigit() or content[end : end + 1] == b".":
        end += 1
    return content[:start] + rng.choice(NUMBERS) + content[end:]


def _place(content: Sequence[int], rng: random.Random) -> int:
    """Somewhere in the content, in its first half kilobyte, where headers are, half of the time."""
    most = max(1, len(content))
    return rng.randrange(min(most, 512) if rng.random() < 0.5 else most)


_FAULTS = (_flip, _extreme, _cut, _remove, _repeat, _number)


def outcome_of(case: Case, log: Path) -> int:
    """How reading the file ends, found out in a child process."""
    child = os.fork()
    if child == 0:
        os._exit(_read(case, log))
    start = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - start > WALL_SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return HANG
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        return HANG if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else CRASH
    return os.WEXITSTATUS(status)


def _read(case: Case, log: Path) -> int:
    """Read the file under limits, as `inspect` does and whole. What ends here is the child."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    logging.disable()
    outcome = READ
    try:
        inspected(case.path)
        case.sample.read(case.path)
    except UserError as error:
        outcome = MEMORY if "more memory than there is" in str(error) else REFUSED
    except MemoryError:
        outcome = MEMORY
    except BaseException:  # noqa: BLE001  this is what is looked for
        outcome = TRACEBACK
        with log.open("a") as file:
            file.write(f"{case.path}\n{traceback.format_exc()}\n")
    return outcome


def cases(chosen: Sequence[Sample], count: int, seed: int) -> Iterator[Case]:
    """So many mutated files, the same number of each sample, one at a time on the disk."""
    rng = random.Random(seed)
    for number in range(count):
        sample = chosen[number % len(chosen)]
        # A name without a dot in its stem, so that the ending is the sample's.
        stem, _, ending = sample.path.name.partition(".")
        path = sample.path.with_name(f"{stem}_{number}.{ending}")
        path.write_bytes(mutated(sample.path.read_bytes(), rng))
        yield Case(sample, path)
        path.unlink(missing_ok=True)
        shutil.rmtree(path.parent / path.stem, ignore_errors=True)


def table(counts: Counter[tuple[str, int]]) -> str:
    """The outcomes by format as Markdown."""
    kinds = list(dict.fromkeys(kind for kind, _ in counts))
    rows = [[kind, *(counts[kind, outcome] for outcome in range(6))] for kind in kinds]
    rows.append(["all", *(sum(row[at] for row in rows) for at in range(1, 7))])
    lines = [["format", *OUTCOMES], ["---", *["---:"] * 6], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> int:
    """Run the campaign; the exit status is 1 where anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="FORMAT", help="one format of the table, such as STAR")
    parser.add_argument("--output", type=Path, default=Path("faults.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[tuple[str, int]] = Counter()
    kept = options.output.with_suffix(".failed")
    log = options.output.with_suffix(".log")
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chosen = [s for s in samples(Path(folder)) if options.only in (None, s.kind)]
        for sample in chosen:
            sample.read(sample.path)  # what is sound must be read, and its modules imported
            inspected(sample.path)
        for number, case in enumerate(cases(chosen, options.files, options.seed), 1):
            outcome = outcome_of(case, log)
            counts[case.sample.kind, outcome] += 1
            if outcome not in (READ, REFUSED):
                kept.mkdir(exist_ok=True)
                shutil.copy(case.path, kept)
                print(f"{OUTCOMES[outcome]}: {kept / case.path.name}", flush=True)
            if number % 500 == 0:
                options.output.write_text(table(counts) + "\n")
                print(f"{number} files", flush=True)
    options.output.write_text(table(counts) + "\n")
    print(table(counts))
    return int(any(outcome not in (READ, REFUSED) for _, outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
