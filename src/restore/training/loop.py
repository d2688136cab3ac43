"""Noise2noise training in one loop (Palovcak 2020, S1 and S2.3)."""

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from restore.errors import UserError
from restore.model.checkpoint import Model
from restore.model.network import (
    Network,
    add_weight_norm,
    architecture_of,
    build_network,
    network_of,
    remove_weight_norm,
)
from restore.runtime.distributed import Place
from restore.runtime.precision import autocast, resolve_precision
from restore.runtime.signals import stop_signals
from restore.training.calibration import measure_calibration
from restore.training.patches import DistributedBatchSampler, PatchFile, RandomWindows, Region
from restore.training.schedules import MIN_STEPS, SCHEDULES
from restore.training.settings import LOSSES, TrainingSettings
from restore.training.split import Split
from restore.training.stability import (
    CHECK_STEPS,
    averaged,
    copied,
    fall_back,
    has_diverged,
    is_flat,
    open_ended_rate,
    progress_of,
    update_average,
)
from restore.training.state import TrainingState
from restore.training.validation import held_out_losses, verdict, wiener_loss
from restore.training.watchers import Watcher


def fresh_state(
    settings: TrainingSettings, device: torch.device, initial: Network | None = None
) -> TrainingState:
    """The initial state: new weights, or those of ``initial``, with weight normalisation."""
    network = build_network(settings.network, torch.Generator().manual_seed(settings.seed))
    if initial is not None:
        if initial.settings != settings.network:
            raise UserError(
                f"the initial model is {initial.settings}",
                wanted=f"{settings.network} is requested",
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
    state = TrainingState(network, optimizer, best_weights=copied(network.state_dict()))
    if settings.weight_average > 0:
        state.average = copied(dict(network.named_parameters()))
    return state


def train(
    state: TrainingState,
    data: PatchFile,
    settings: TrainingSettings,
    place: Place,
    watcher: Watcher,
    *,
    parts: Split,
    trained_start: bool = False,
) -> Model:
    """Train on from ``state`` to the end of the run, and return the model of the best epoch.
    ``parts`` are the regions to train on and those to validate on (`split_with_data`). If the
    weights are those of a trained model (``trained_start``), they are validated before the first
    step, so that the result is not worse than them on the held-out data.

    A run that diverges continues from its best weights so far at half the rate. ^C and SIGTERM end
    it after the current step: the watcher is notified, and KeyboardInterrupt is raised.
    """
    run = settings.budget
    validation = _validation(data, parts, settings)
    stepper = DistributedDataParallel(state.network) if place.world_size > 1 else state.network
    batches = iter(_loader(data, parts.training, settings, place, state.step))
    started = time.monotonic() - state.seconds
    progress = progress_of(state, run, settings)
    # A longer run has longer epochs: `state.epoch` counts those of before, too, and may be ahead.
    ended = min(state.epoch, run.epoch(progress))
    look = trained_start and bool(parts.held_out) and state.step == 0
    if look and _validate(state, dict(_BEFORE_TRAINING), validation, settings, place):
        watcher.epoch(state)
    with stop_signals() as stop_asked:
        while progress < 1:
            _set_rate(state, settings, progress)
            diverged = _step(stepper, state, next(batches), settings, place)
            state.seconds = place.broadcast(time.monotonic() - started)
            progress = progress_of(state, run, settings)
            if state.step % CHECK_STEPS == 0 and place.broadcast(diverged()):
                fall_back(state)
            watcher.step(progress, state)
            ends = run.ends_epoch(progress, ended, state.loss_steps)
            if ends:
                state.epoch, ended = _next_epoch(state, settings, progress), run.epoch(progress)
            looks = ends or _is_first_look(state, run.epochs * progress, parts)
            if looks and _end_epoch(state, validation, settings, place):
                watcher.epoch(state)
            if progress < 1 and place.broadcast(stop_asked()):
                watcher.interrupted(state)
                raise KeyboardInterrupt
    return _finished(state, data, parts, settings, place)


_BEFORE_TRAINING: Mapping[str, float] = {"epoch": 0, "step": 0, "seconds": 0.0}


@dataclass(frozen=True)
class _Validation:
    """The held-out data, and the losses on it that do not change from epoch to epoch."""

    data: PatchFile
    held_out: Sequence[Region]
    references: dict[str, float]


def _validation(data: PatchFile, parts: Split, settings: TrainingSettings) -> _Validation:
    references = {"wiener_loss": wiener_loss(data, parts, settings)} if parts.held_out else {}
    return _Validation(data, parts.held_out, references)


def _set_rate(state: TrainingState, settings: TrainingSettings, progress: float) -> None:
    if settings.budget.open_ended:
        relative = open_ended_rate(state, settings)
    else:
        relative = SCHEDULES[settings.schedule](progress)
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate * state.rate_factor * relative


def _next_epoch(state: TrainingState, settings: TrainingSettings, progress: float) -> int:
    """The number of the epoch that has just ended, counted on in a run that ends by itself."""
    run = settings.budget
    return state.epoch + 1 if run.open_ended else max(run.epoch(progress), state.epoch + 1)


def _is_first_look(state: TrainingState, epochs_done: float, parts: Split) -> bool:
    """Whether the validation loss is measured early, after 50 steps of a long first epoch."""
    due = state.step == MIN_STEPS and not any(row["step"] for row in state.history)
    return due and epochs_done < 0.5 and bool(parts.held_out)


def _loader(
    data: PatchFile,
    regions: Sequence[Region],
    settings: TrainingSettings,
    place: Place,
    first_step: int,
) -> DataLoader[Tensor]:
    workers = settings.workers if settings.workers >= 0 else 4 * (place.device.type == "cuda")
    size = settings.batch_size
    return DataLoader(
        RandomWindows(data.path, regions, settings.patch_px, settings.seed),
        batch_sampler=DistributedBatchSampler(first_step, size, place.rank, place.world_size),
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
) -> Callable[[], bool]:
    """One step of the optimiser on a batch of (input half, target half); the state is changed.

    Returns a function that says whether the loss is that of a diverged run. Calling it waits for
    the GPU.
    """
    batch = batch.to(place.device, non_blocking=True)
    with autocast(place.device, resolve_precision(settings.precision, place.device)):
        denoised = stepper(batch[:, :1])
    target = batch[:, 1:]
    loss = LOSSES[settings.loss](denoised.float(), target)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if settings.gradient_clip > 0:
        nn.utils.clip_grad_norm_(state.network.parameters(), settings.gradient_clip)
    state.optimizer.step()
    state.step += 1
    update_average(state, settings.weight_average)
    reached = loss.detach()
    state.loss_sum = state.loss_sum + reached.double()
    state.loss_steps += 1
    empty = LOSSES[settings.loss](torch.zeros_like(target), target)
    return lambda: has_diverged(float(reached), float(empty))


def _end_epoch(
    state: TrainingState, validation: _Validation, settings: TrainingSettings, place: Place
) -> bool:
    """Measure the validation loss and keep the best weights; False if the run has diverged."""
    means = {"train_loss": float(state.loss_sum) / state.loss_steps} if state.loss_steps else {}
    row = {
        "epoch": state.epoch,
        "step": state.step,
        "seconds": round(state.seconds, 2),
        **means,  # none if the run has fallen back on the epoch's last step
        "learning_rate": state.optimizer.param_groups[0]["lr"],
    }
    unusable = place.broadcast(not all(map(math.isfinite, means.values())))
    if unusable or not _validate(state, row, validation, settings, place):
        fall_back(state)
        return False
    state.loss_sum, state.loss_steps = 0.0, 0
    if settings.budget.open_ended and state.flat_since is None and is_flat(state.history):
        state.flat_since = state.step
    return True


def _validate(
    state: TrainingState,
    row: dict[str, float],
    validation: _Validation,
    settings: TrainingSettings,
    place: Place,
) -> bool:
    """Add the validation loss to a row, and the row to the history; keep the weights if they are
    the best so far. If the loss is not a number, only return False.
    """
    loss = -float(state.epoch)  # nothing is held out: the last epoch counts as the best
    if validation.held_out:
        with averaged(state):
            row |= held_out_losses(
                state.network, validation.data, validation.held_out, settings, place.device
            )
        loss = row["held_out_loss"] = place.broadcast(row["held_out_loss"])
        row |= validation.references
    if place.broadcast(not math.isfinite(loss)):
        return False
    state.history.append(row)
    if loss < state.best_loss:
        state.best_loss = loss
        state.best_weights = copied(state.average or state.network.state_dict())
    return True


def _finished(
    state: TrainingState,
    data: PatchFile,
    parts: Split,
    settings: TrainingSettings,
    place: Place,
) -> Model:
    """The model of the best epoch, without weight normalisation, the record of its training, and
    its calibration.
    """
    if not state.history:
        raise UserError(
            "the loss is no longer a finite number",
            do="give a lower `learning_rate`, or `precision=float32`",
        )
    network = network_of(settings.network)
    under_norm = architecture_of(settings.network).weight_norm
    if under_norm:
        add_weight_norm(network)
    network.load_state_dict(state.best_weights)
    if under_norm:
        remove_weight_norm(network)
    names = [pair.name for pair in data.pairs]
    best = min(state.history, key=lambda row: row.get("held_out_loss", -row["epoch"]))
    record = {
        "settings": asdict(settings),
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "best": best,
        "verdict": verdict(best),
        "history": state.history,
        "trained_on": sorted({names[region.pair] for region in parts.training}),
        "held_out": sorted({names[region.pair] for region in parts.held_out}),
    }
    network = network.cpu().eval()
    calibration = measure_calibration(network, data, parts.calibration, settings, place.device)
    return Model(network, data.recipe, record, data.provenance, calibration)
