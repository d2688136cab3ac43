"""Noise2noise training: one loop, read from top to bottom (Palovcak 2020, S1 and S2.3)."""

import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from restore.errors import UserError
from restore.model.checkpoint import Model, TrainingState
from restore.model.network import (
    Network,
    NetworkSettings,
    add_weight_norm,
    architecture_of,
    build_network,
    network_of,
    remove_weight_norm,
)
from restore.runtime.distributed import Place
from restore.runtime.precision import autocast, resolve_precision
from restore.settings import setting
from restore.training.patches import (
    Pair,
    PatchFile,
    RandomWindows,
    Region,
    Share,
    covering_windows,
    grouped,
    refuse_smaller,
)
from restore.training.schedules import SCHEDULES, Budget, budget

LOSSES = {"l2": mse_loss, "l1": l1_loss}
MAX_HELD_OUT_WINDOWS = 32


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained."""

    batch_size: int = setting(10, "patches per step, in each process; 4 on a CPU", "-b")
    learning_rate: float = setting(2e-3, "highest learning rate of Adam (the paper's: 1e-4)", "-lr")
    schedule: str = setting("cosine", "how the learning rate falls", choices=tuple(SCHEDULES))
    number_of_epochs: int = setting(100, "epochs, where neither steps nor minutes are given")
    batches_per_epoch: int = setting(500, "steps in an epoch")
    steps: int | None = setting(None, "end after this many steps")
    minutes: float | None = setting(None, "end after this many minutes")
    patch_px: int = setting(
        192,
        "side of a training patch, in pixels of the cropped image, a multiple of 8; 96 on a CPU",
    )
    loss: str = setting("l2", "what is minimised", choices=tuple(LOSSES))
    held_out: float = setting(0.05, "share of the micrographs held out to measure the loss on")
    precision: str = setting(
        "auto",
        "of the arithmetic; auto is bf16 where it is fast",
        choices=("auto", "float32", "bf16"),
    )
    gradient_checkpointing: bool = setting(
        False, "recompute instead of keeping: less memory, more time"
    )
    filters: int = setting(32, "feature maps of the network (the paper's: 32)")
    blocks: int = setting(4, "wide-activation layers in a block (the paper's: 4)")
    workers: int = setting(-1, "processes that read patches; −1 is 0 on a CPU and 4 for each GPU")
    seed: int = setting(0, "of weights, patches and choice of held-out micrographs")

    def __post_init__(self) -> None:
        checks = {
            "batch_size": (self.batch_size >= 1, "1 or more is needed"),
            "learning_rate": (0 < self.learning_rate < 1, "more than 0 and less than 1 is needed"),
            "number_of_epochs": (self.number_of_epochs >= 1, "1 or more is needed"),
            "batches_per_epoch": (self.batches_per_epoch >= 1, "1 or more is needed"),
            "steps": (self.steps is None or self.steps >= 1, "1 or more is needed"),
            "minutes": (self.minutes is None or self.minutes > 0, "more than 0 is needed"),
            "patch_px": (
                self.patch_px >= 16 and self.patch_px % 8 == 0,
                "16 or more, and a multiple of 8, is needed",
            ),
            "held_out": (0 <= self.held_out < 1, "0 or more and less than 1 is needed"),
            "filters": (self.filters >= 2, "2 or more is needed"),
            "blocks": (self.blocks >= 1, "1 or more is needed"),
        }
        for name, (is_right, wanted) in checks.items():
            if not is_right:
                value = getattr(self, name)
                shown = f"{value:g}" if isinstance(value, float) else value
                raise UserError(f"{name} is {shown}", field=name, wanted=wanted)

    @property
    def network(self) -> NetworkSettings:
        """The network that these settings ask for."""
        return NetworkSettings(filters=self.filters, blocks=self.blocks)

    @property
    def budget(self) -> Budget:
        """How long the run is."""
        return budget(self.steps, self.minutes, self.number_of_epochs, self.batches_per_epoch)


PRESETS = {
    "gpu": TrainingSettings(),
    "cpu": TrainingSettings(batch_size=4, patch_px=96),
    "quick": TrainingSettings(batch_size=4, patch_px=96, learning_rate=4e-3, filters=16, blocks=2),
    "paper": TrainingSettings(learning_rate=1e-4, schedule="staircase", precision="float32"),
}


class Watcher(Protocol):
    """Whoever follows a run: shows it, logs it, saves its state."""

    def step(self, progress: float, state: TrainingState) -> None:
        """A step has been made; ``progress`` runs from 0 to 1."""
        ...

    def epoch(self, state: TrainingState) -> None:
        """An epoch has ended; its line of the log is the last of ``state.history``."""
        ...

    def interrupted(self, state: TrainingState) -> None:
        """The run stops here, unfinished."""
        ...


@dataclass(frozen=True)
class Split:
    """Where patches are drawn from, and where the loss is measured that training never saw."""

    training: Sequence[Region]
    held_out: Sequence[Region]


def split(pairs: Sequence[Pair], settings: TrainingSettings) -> Split:
    """Hold out a share of the micrographs (or series: `grouped`), at least one; of a single one, a
    strip of it.
    """
    patch_px = settings.patch_px
    whole = [Region(index, 0, pair.shape[0], 0, pair.shape[1]) for index, pair in enumerate(pairs)]
    refuse_smaller(pairs, patch_px)
    if settings.held_out == 0:
        return Split(whole, [])
    if len(whole) == 1:
        return _split_one(whole[0], patch_px)
    groups = grouped(pairs)
    order = np.random.default_rng([settings.seed, 1]).permutation(len(groups)).tolist()
    chosen = {
        pair
        for group in order[: max(1, round(settings.held_out * len(groups)))]
        for pair in groups[group]
    }
    return Split(
        [region for region in whole if region.pair not in chosen],
        [region for region in whole if region.pair in chosen],
    )


def _split_one(whole: Region, patch_px: int) -> Split:
    rows = whole.y1 >= whole.x1
    extent = whole.y1 if rows else whole.x1
    strip = max(patch_px, extent // 8)
    if extent < 2 * patch_px:
        return Split([whole], [])
    edge = extent - strip
    if rows:
        return Split([replace(whole, y1=edge)], [replace(whole, y0=edge)])
    return Split([replace(whole, x1=edge)], [replace(whole, x0=edge)])


def fresh_state(
    settings: TrainingSettings, device: torch.device, initial: Network | None = None
) -> TrainingState:
    """The state before the first step: new weights, or those of ``initial``, under weight
    normalisation.
    """
    network = build_network(settings.network, torch.Generator().manual_seed(settings.seed))
    if initial is not None:
        if initial.settings != settings.network:
            raise UserError(
                f"the initial model is {initial.settings}",
                wanted=f"{settings.network} is asked for",
            )
        network.load_state_dict(initial.state_dict())
    if architecture_of(settings.network).weight_norm:
        add_weight_norm(network)
    network.to(device)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network.gradient_checkpointing = settings.gradient_checkpointing
    optimizer = torch.optim.Adam(
        network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), fused=True
    )
    return TrainingState(network, optimizer)


def train(
    state: TrainingState,
    data: PatchFile,
    settings: TrainingSettings,
    place: Place,
    watcher: Watcher,
) -> Model:
    """Train on from ``state`` to the end of the run, and return the model of the best epoch.

    ^C and SIGTERM end the run after the step in hand: the watcher is told, and KeyboardInterrupt is
    raised.
    """
    parts, run, schedule = (
        split(data.pairs, settings),
        settings.budget,
        SCHEDULES[settings.schedule],
    )
    stepper = DistributedDataParallel(state.network) if place.world_size > 1 else state.network
    batches = iter(_loader(data, parts.training, settings, place, state.step))
    started = time.monotonic() - state.seconds
    progress = run.progress(state.step, state.seconds)
    with _stop_signals() as stop_asked:
        while progress < 1:
            for group in state.optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(progress)
            _step(stepper, state, next(batches), settings, place)
            state.seconds = place.agree(time.monotonic() - started)
            progress = run.progress(state.step, state.seconds)
            watcher.step(progress, state)
            if run.ends_epoch(progress, state.epoch, state.loss_steps):
                state.epoch = run.epoch(progress)
                _end_epoch(state, data, parts.held_out, settings, place)
                watcher.epoch(state)
            if progress < 1 and place.agree(stop_asked()):
                watcher.interrupted(state)
                raise KeyboardInterrupt
    return _finished(state, data, parts, settings)


def _loader(
    data: PatchFile,
    regions: Sequence[Region],
    settings: TrainingSettings,
    place: Place,
    first_step: int,
) -> DataLoader[Tensor]:
    workers = settings.workers if settings.workers >= 0 else 4 * (place.device.type == "cuda")
    return DataLoader(
        RandomWindows(data.path, regions, settings.patch_px, settings.seed),
        batch_sampler=Share(first_step, settings.batch_size, place.rank, place.world_size),
        num_workers=workers,
        pin_memory=place.device.type == "cuda",
        worker_init_fn=_leave_signals_to_parent,
    )


def _leave_signals_to_parent(worker: int) -> None:  # noqa: ARG001
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _step(
    stepper: nn.Module,
    state: TrainingState,
    batch: Tensor,
    settings: TrainingSettings,
    place: Place,
) -> None:
    """One step of the optimiser on a batch of (input half, target half); the state is changed."""
    batch = batch.to(place.device, non_blocking=True)
    with autocast(place.device, resolve_precision(settings.precision, place.device)):
        denoised = stepper(batch[:, :1])
    loss = LOSSES[settings.loss](denoised.float(), batch[:, 1:])
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    state.loss_sum = state.loss_sum + loss.detach().double()
    state.loss_steps += 1
    state.step += 1


def _end_epoch(
    state: TrainingState,
    data: PatchFile,
    held_out: Sequence[Region],
    settings: TrainingSettings,
    place: Place,
) -> None:
    """Measure the held-out loss, write the epoch's line, and keep the weights if they are the best
    so far.
    """
    train_loss = float(state.loss_sum) / max(state.loss_steps, 1)
    row = {
        "epoch": state.epoch,
        "step": state.step,
        "seconds": round(state.seconds, 2),
        "train_loss": train_loss,
    }
    row["learning_rate"] = state.optimizer.param_groups[0]["lr"]
    loss = -float(state.epoch)  # nothing held out: the last epoch is the best
    if held_out:
        row |= held_out_losses(state.network, data, held_out, settings, place.device)
        loss = row["held_out_loss"] = place.agree(row["held_out_loss"])
    if not math.isfinite(train_loss) or not math.isfinite(loss):
        raise UserError(
            "the loss is no longer a number",
            do="give a lower `learning_rate`, or `precision=float32`",
        )
    state.loss_sum, state.loss_steps = 0.0, 0
    state.history.append(row)
    if loss < state.best_loss:
        state.best_loss = loss
        state.best_weights = {
            name: value.clone() for name, value in state.network.state_dict().items()
        }


@torch.no_grad()
def held_out_losses(
    network: Network,
    data: PatchFile,
    held_out: Sequence[Region],
    settings: TrainingSettings,
    device: torch.device,
) -> dict[str, float]:
    """The loss on windows that training never saw, and the loss that a perfect denoiser would have
    there.

    A perfect denoiser leaves the noise of the other half: var(M2) − cov(M1, M2), Palovcak 2020,
    eqs. 10–15; for the absolute error, the mean of a normal distribution of that variance, √(2
    var/π).
    """
    windows = covering_windows(held_out, settings.patch_px)
    chosen = windows[:: -(-len(windows) // MAX_HELD_OUT_WINDOWS)]
    losses, perfect = [], []
    for window in chosen:
        halves = torch.from_numpy(data.window(window, settings.patch_px)).to(device)
        with autocast(device, resolve_precision(settings.precision, device)):
            denoised = network(halves[:, None])[:, 0].float()
        losses.append(float(LOSSES[settings.loss](denoised, halves.flip(0))))
        covariance = torch.cov(halves.flatten(1))
        noise = (covariance.diagonal().mean() - covariance[0, 1]).clamp(min=0)
        perfect.append(float(noise if settings.loss == "l2" else (2 * noise / math.pi).sqrt()))
    return {"held_out_loss": float(np.mean(losses)), "perfect_loss": float(np.mean(perfect))}


def _finished(
    state: TrainingState, data: PatchFile, parts: Split, settings: TrainingSettings
) -> Model:
    """The model of the best epoch, without weight normalisation, and the record of its training."""
    network, under_norm = (
        network_of(settings.network),
        architecture_of(settings.network).weight_norm,
    )
    if under_norm:
        add_weight_norm(network)
    network.load_state_dict(state.best_weights)
    if under_norm:
        remove_weight_norm(network)
    names = [pair.name for pair in data.pairs]
    record = {
        "settings": asdict(settings),
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "best": min(state.history, key=lambda row: row.get("held_out_loss", -row["epoch"])),
        "history": state.history,
        "trained_on": sorted({names[region.pair] for region in parts.training}),
        "held_out": sorted({names[region.pair] for region in parts.held_out}),
    }
    return Model(network.cpu().eval(), data.recipe, record, data.provenance)


@contextmanager
def _stop_signals() -> Generator[Callable[[], bool]]:
    """Inside it, the first ^C or SIGTERM only sets a flag, which the yielded function tells; a
    second one strikes.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
