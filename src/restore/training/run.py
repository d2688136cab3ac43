"""A whole training run: from a patch file to a model file, with all that lies beside it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.atomic import require_writable, write_text
from restore.io.lock import locked
from restore.model.checkpoint import Model, load_model, save_model
from restore.provenance import as_json, provenance
from restore.report.figures import losses, save_png
from restore.runtime.distributed import Place, join_processes
from restore.training import loop
from restore.training.halves import check_halves
from restore.training.loop import fresh_state
from restore.training.patches import PatchFile
from restore.training.run_files import Journal, RunFiles
from restore.training.settings import TrainingSettings, resolve_settings
from restore.training.split import split
from restore.training.state import TrainingState, load_run, restore_state
from restore.training.watchers import Progress, RunWatcher, SilentWatcher

log = logging.getLogger(__name__)


def train(
    patches: str | Path | Callable[[int], Path] | None = None,
    settings: TrainingSettings | Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    model_directory: str | Path = "Models",
    model_prefix: str = "model",
    initial_model: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    check_recipe: Callable[[PatchFile], None] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train a network and write ``model_directory/model_prefix.safetensors``, with its losses
    beside it.

    Parameters
    ----------
    patches
        The patch file, or a function that makes it: it gets the side of a training window in
        pixels, and is called in the main process only. None for those of the run to resume.
    settings
        The settings; or only those that are not to be the preset's (or the resumed run's).
    preset
        Where the other settings come from, one of `PRESETS`; the device decides where it is None.
    model_directory, model_prefix
        Where the run's files lie, and how their names begin.
    initial_model
        A trained model to start from.
    resume
        Go on with the run of this name where it stopped.
    overwrite
        Replace a run of this name.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    check_recipe
        Looks at the patch file before anything is computed, and raises where it does not suit.
    progress
        Called after every step.

    Returns
    -------
    Model
        The model of the best epoch, in every process of a distributed run.

    Raises
    ------
    UserError
        A run of this name is there already, or none is there to resume; the patches or the initial
        model do not suit; the halves cannot be learned from; the loss is no longer a finite number.
    KeyboardInterrupt
        After ^C or SIGTERM, when the state has been saved.
    """
    files = RunFiles(Path(model_directory), model_prefix)
    files.refuse_to_replace(resume, overwrite)
    require_writable(files.directory)
    with join_processes(device) as place, locked(files.model) if place.leads else nullcontext():
        if place.leads:
            files.refuse_to_replace(resume, overwrite)  # again: nobody else can make one now
        resumed = load_run(files.state) if resume else None
        before = TrainingSettings(**resumed["settings"]) if resumed else None
        settings = resolve_settings(settings, preset, place.device, before)
        initial = load_model(Path(initial_model)) if initial_model and not resume else None
        data = PatchFile(_patch_file(patches, resumed, place, settings.patch_px))
        if resumed is not None:
            _refuse_other_data(data, resumed)
        if check_recipe is not None:
            check_recipe(data)
        _refuse_other_recipe(data, initial)
        if not resume:
            check_halves(data)
        state = fresh_state(settings, place.device, initial.network if initial else None)
        if resume:
            restore_state(files.state, state)
        record = _record(data, settings, initial_model, _seen_before(initial, resumed))
        model = _followed(state, data, settings, place, _Run(files, record, progress))
        model = _finished(model, record)
        if place.leads:
            save_model(files.model, model)
            save_png(losses(model.training["history"]), files.picture)
            _log_best(model)
    return model


def _patch_file(
    patches: str | Path | Callable[[int], Path] | None,
    resumed: Mapping[str, Any] | None,
    place: Place,
    patch_px: int,
) -> Path:
    """The patch file to train on: given, the resumed run's, or made now by the leading process."""
    if patches is None:
        if resumed is not None:
            return Path(resumed["inputs"]["patches"])
        raise UserError("there is nothing to train on", do="give micrographs, or a patch file")
    if not callable(patches):
        return Path(patches)
    made = patches(patch_px) if place.leads else None
    (path,) = place.gather([] if made is None else [made])
    return path


def _refuse_other_data(data: PatchFile, resumed: Mapping[str, Any]) -> None:
    before = resumed["inputs"]
    if data.provenance.get("made_of") != before.get("made_of"):
        raise UserError(
            "these are not the patches that the run to resume was trained on",
            where=data.path,
            wanted=f"the run was trained on {before['patches']}",
            do="leave the patches out, or start a run with another name",
        )


def _refuse_other_recipe(data: PatchFile, initial: Model | None) -> None:
    if initial is not None and initial.recipe != data.recipe:
        raise UserError(
            f"the initial model was made with {initial.recipe}",
            field="initial_model",
            wanted=f"the patches were made with {data.recipe}",
        )


def _seen_before(initial: Model | None, resumed: Mapping[str, Any] | None) -> list[str]:
    """The micrographs that the initial model has seen, also where its run is resumed."""
    if resumed is not None:
        return resumed["inputs"].get("trained_on_before", [])
    return list(initial.training.get("trained_on", [])) if initial else []


def _record(
    data: PatchFile,
    settings: TrainingSettings,
    initial_model: str | Path | None,
    seen_before: list[str],
) -> dict[str, Any]:
    """How the run was made: what the model file and the state carry."""
    return provenance(
        settings,
        {
            "patches": data.path,
            "made_of": data.provenance.get("made_of"),
            "micrographs": len(data.pairs),
            "initial": initial_model,
            "trained_on_before": seen_before,
        },
    )


def _finished(model: Model, record: Mapping[str, Any]) -> Model:
    """The model with its record; what the initial model was trained on is no longer held out."""
    before = record["inputs"]["trained_on_before"]
    training = {
        **model.training,
        "trained_on": sorted({*model.training["trained_on"], *before}),
        "held_out": [name for name in model.training["held_out"] if name not in before],
    }
    return replace(model, training=training, provenance=record)


@dataclass(frozen=True)
class _Run:
    """Where a run's files lie, what is recorded of it, and who follows it."""

    files: RunFiles
    record: dict[str, Any]
    progress: Progress | None


def _followed(
    state: TrainingState, data: PatchFile, settings: TrainingSettings, place: Place, run: _Run
) -> Model:
    """Train on; the leading process keeps the run's files and reports its progress."""
    if not place.leads:
        return loop.train(state, data, settings, place, SilentWatcher())
    parts = split(data.pairs, settings)
    held_out = {data.pairs[region.pair].name for region in parts.held_out}
    log.info("%d micrographs to train on; held out: %s", len(parts.training), _names(held_out))
    write_text(run.files.settings, as_json(run.record) + "\n")
    journal = Journal(run.files, run.record)
    try:
        batch = settings.batch_size * place.world_size
        watcher = RunWatcher(journal, settings.budget, batch, run.progress)
        return loop.train(state, data, settings, place, watcher)
    finally:
        journal.close()


def _names(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown}, …" if len(names) > 3 else shown or "none"


def _log_best(model: Model) -> None:
    best = model.training["best"]
    if "held_out_loss" in best:
        log.info("best epoch: %d, validation loss %.4f", best["epoch"], best["held_out_loss"])
    log.info("%s", model.training["verdict"])
