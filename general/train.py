"""Trains the general model: simulates fields while it trains on them, with their truth as the
target.

    python general/train.py RUN_FOLDER --specimens FOLDER [--minutes 60] [--threads 2]

RUN_FOLDER gets the pool of fields, ``state.safetensors`` (from which the same command goes on),
``log.csv`` and, at the end and whenever the state is saved, ``general.safetensors``: the average of
the weights in float16, with its card.
"""

import argparse
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

import fields_pool
from fields_pool import Window, load_field, sample_window
from learning import Average, Run, learning_rate, relative_loss, resume_run, save_run
from network_choice import build, save_general_model
from restore.io.atomic import write_text
from run_options import changed_options, parsed, pool_settings, recorded_options

SAVE_EVERY_S = 180.0
WINDOWS_PER_FIELD = 2
USUAL_SIGNAL = (0.01, 0.2)
"""The share of a prepared full sum's variance that is signal, in most micrographs."""


def main() -> None:
    """Simulate and train, for so many minutes."""
    chosen = parsed(__doc__)
    torch.set_num_threads(1)
    if chosen.fill:
        fill(chosen)
        return
    chosen.folder.mkdir(parents=True, exist_ok=True)
    run = begun(chosen)
    fields_pool.shrink(chosen.folder / "pool", chosen.pool)
    producer = start_producer()
    try:
        wait_for_fields(chosen, producer)
        train(run, chosen)
    finally:
        producer.terminate()


def fill(chosen: argparse.Namespace) -> None:
    """The producer: fills the pool and then renews it."""
    os.nice(5)
    particles = fields_pool.load_particles(chosen.specimens)
    fields_pool.fill(
        chosen.folder / "pool", particles, pool_settings(chosen), chosen.duty, forever=True
    )


def start_producer() -> subprocess.Popen[bytes]:
    """Simulate in a process of its own, which ends with this one."""
    command = [sys.executable, __file__, *sys.argv[1:], "--fill"]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def wait_for_fields(chosen: argparse.Namespace, producer: subprocess.Popen[bytes]) -> None:
    """Until there are enough fields to begin with."""
    while len(list((chosen.folder / "pool").glob("*.npz"))) < min(chosen.pool, chosen.least):
        if producer.poll() is not None:
            sys.exit("the simulation ended; its message is above")
        time.sleep(1)


def begun(chosen: argparse.Namespace) -> Run:
    """The run as its state has it, or a new one where there is none.

    SystemExit where it has had other options so far, unless they may be changed.
    """
    run, state = new_run(chosen), state_of(chosen)
    if not state.is_file():
        return run
    changed = changed_options(resume_run(state, run), recorded_options(chosen))
    if changed and not chosen.change:
        words = [f"{name} was {old}, and is {new} now" for name, (old, new) in changed.items()]
        sys.exit(
            f"{state} is of a run with other options: {'; '.join(sorted(words))}. Give the same "
            "ones, another folder, or --change to go on with these"
        )
    if changed:
        old_values = {name: old for name, (old, _) in sorted(changed.items())}
        run.earlier_options.append({"until_step": run.step, **old_values})
    return run


def state_of(chosen: argparse.Namespace) -> Path:
    """The file from which a run goes on."""
    return chosen.folder / "state.safetensors"


def train(run: Run, chosen: argparse.Namespace) -> None:
    """Train until the minutes are over.

    Each thread computes the gradients of batches of its own, on a copy of the network; all take
    their steps in turn. On a busy machine that goes further than one step shared by all threads,
    which waits for the slowest.
    """
    state = state_of(chosen)
    sitting = Sitting(run, chosen, run.seconds, time.monotonic())
    with ThreadPoolExecutor(chosen.threads) as threads:
        workers = [threads.submit(work, sitting) for _ in range(chosen.threads)]
        saved = time.monotonic()
        while not all(worker.done() for worker in workers):
            time.sleep(1)
            if time.monotonic() - saved > SAVE_EVERY_S:
                sitting.save(state)
                saved = time.monotonic()
    for worker in workers:
        worker.result()
    sitting.save(state)


@dataclass
class Sitting:
    """A run while it goes on: what its threads share, under one lock."""

    run: Run
    chosen: argparse.Namespace
    seconds_before: float
    begun: float
    losses: list[float] = field(default_factory=list[float])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_batch(self) -> int | None:
        """The number of the next batch, which no other of the run has; None when the minutes are
        over.
        """
        with self.lock:
            self.run.seconds = self.seconds_before + time.monotonic() - self.begun
            if self.run.seconds >= 60 * self.chosen.minutes:
                return None
            self.run.drawn += 1
            return self.run.drawn

    def save(self, state: Path) -> None:
        """A line in the log, the state and the model."""
        with self.lock:
            note(self.run, self.losses, self.chosen)
            save(self.run, state, self.chosen)
            self.losses.clear()


def work(sitting: Sitting) -> None:
    """What one thread does: gradients of one batch after another."""
    run, chosen = sitting.run, sitting.chosen
    copy = build(torch.Generator()).to(memory_format=torch.channels_last)
    while (number := sitting.next_batch()) is not None:
        windows = batch(chosen, number)
        with sitting.lock:
            copy.load_state_dict(run.network.state_dict())
        losses, gradients = gradients_of(copy, windows, chosen)
        with sitting.lock:
            sitting.losses += losses
            step(run, gradients, learning_rate(run.seconds / (60 * chosen.minutes), chosen.rate))
            run.windows += len(windows)


def new_run(chosen: argparse.Namespace) -> Run:
    """A network with fresh weights and its optimiser."""
    network = build(torch.Generator().manual_seed(chosen.seed)).to(
        memory_format=torch.channels_last
    )
    optimizer = torch.optim.Adam(
        network.parameters(), lr=chosen.rate, betas=(0.9, 0.99), fused=True
    )
    return Run(network, optimizer, Average(network, chosen.average))


def gradients_of(
    network: nn.Module, windows: Sequence[Window], chosen: argparse.Namespace
) -> tuple[list[float], Sequence[torch.Tensor]]:
    """The loss of each window, and the gradients of their mean."""
    pairs = torch.stack([window.pair for window in windows])
    image, truth = pairs[:, :1].contiguous(memory_format=torch.channels_last), pairs[:, 1:]
    with torch.autocast("cpu", torch.bfloat16, enabled=chosen.bf16):
        denoised = network(image)
    signal = torch.stack([window.signal for window in windows])
    errors = torch.stack([window.wiener_error for window in windows])
    losses = relative_loss(denoised.float(), truth, signal, errors, chosen.fine_share)
    # A window that goes wrong altogether would else outweigh all others.
    loss = torch.where(losses < 2, losses, 2 * (1 + torch.log(losses.clamp(min=1) / 2))).mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return losses.detach().clamp(max=20).tolist(), gradients


def step(run: Run, gradients: Sequence[torch.Tensor], rate: float) -> None:
    """One step of the optimiser, clipped; none where a gradient is not finite."""
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    for parameter, gradient in zip(run.network.parameters(), gradients, strict=True):
        # In the parameter's layout: fused Adam walks through memory, whatever the strides say.
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    if not math.isfinite(run.clipping(run.network)):
        return
    run.optimizer.step()
    run.average.update(run.network, run.step)
    run.step += 1


def batch(chosen: argparse.Namespace, number: int) -> list[Window]:
    """Batch ``number``: windows at random places of random fields of the pool as it is now.

    Of fields with less or more signal than is usual (nothing there; films, vesicles) fewer are
    taken than there are. Some windows are of noise alone.
    """
    rng = np.random.default_rng([chosen.seed, number, 5])
    paths = sorted((chosen.folder / "pool").glob("*.npz"))
    windows: list[Window] = []
    while len(windows) < chosen.batch:
        kept = load_field(paths[rng.integers(len(paths))])
        least, most = USUAL_SIGNAL
        if not least < kept.covariance[0, 0] < most and rng.random() > chosen.unusual:
            continue
        windows += [
            sample_window(
                kept, chosen.window, rng, with_signal=bool(rng.random() >= chosen.noise_alone)
            )
            for _ in range(WINDOWS_PER_FIELD)
        ]
    return windows[: chosen.batch]


def note(run: Run, losses: list[float], chosen: argparse.Namespace) -> None:
    """A line in the log: where the run stands, and the loss since the last line (the share of the
    signal that is missed).
    """
    fields = fields_pool.fields_simulated(chosen.folder / "pool")
    mean = sum(losses) / max(len(losses), 1)
    middle = sorted(losses)[len(losses) // 2] if losses else math.nan
    entry = {
        "step": run.step,
        "seconds": round(run.seconds, 1),
        "windows": run.windows,
        "fields": fields,
        "loss": round(mean, 4),
        "median": round(middle, 4),
    }
    run.history.append(entry)
    path = chosen.folder / "log.csv"
    lines = [",".join(entry), *(",".join(map(str, row.values())) for row in run.history)]
    write_text(path, "\n".join(lines) + "\n")
    print(entry, flush=True)


def save(run: Run, state: Path, chosen: argparse.Namespace) -> None:
    """The state, and the model as it is now."""
    ranges = pool_settings(chosen).ranges
    card = {
        "recipes": {"max_resolution_A": ranges.max_resolution_A, "phase_flip": [True, False]},
        "what": "trained on simulated micrographs with their truth as the target",
        **recorded_options(chosen),
        "earlier_options": run.earlier_options,
        "left_out": ["barrel", *fields_pool.LEFT_OUT],
        "steps": run.step,
        "windows": run.windows,
        "fields": fields_pool.fields_simulated(chosen.folder / "pool"),
        "hours": round(run.seconds / 3600, 3),
    }
    save_run(state, run, card)
    save_general_model(chosen.folder / "general.safetensors", run.average.weights, card)


if __name__ == "__main__":
    main()
