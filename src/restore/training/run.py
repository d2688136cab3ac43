"""A whole training run: from a patch file to a model file and the files beside it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.atomic import require_writable, write_text
from restore.joint_work import joined_to_write
from restore.model.checkpoint import Model, save_model
from restore.provenance import as_json, provenance
from restore.report.figures import losses, save_png
from restore.runtime.distributed import Place
from restore.runtime.memory import advising_if_out_of_memory
from restore.training import loop
from restore.training.halves import check_halves
from restore.training.loop import fresh_state
from restore.training.patches import PatchFile
from restore.training.preview import Preview
from restore.training.resuming import newly_held_out, require_same_data, require_same_start
from restore.training.run_files import Journal, RunFiles
from restore.training.schedules import words_of_open_end
from restore.training.settings import TrainingSettings, preset_of, resolve_settings
from restore.training.split import Split, kept_out, words_of_split
from restore.training.start import GENERAL_START_RATE, Start, choose_start, named_start
from restore.training.state import RunRecord, TrainingState, load_run, restore_state
from restore.training.valid_windows import split_with_data
from restore.training.watchers import Progress, RunWatcher, SilentWatcher

log = logging.getLogger(__name__)

RESUME_WORDS = "the same command with `resume=True` continues from there"
"""How a run is continued that was interrupted."""


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
    resume_words: str = RESUME_WORDS,
) -> Model:
    """Train a network and write ``model_directory/model_prefix.safetensors``, with the record of
    its losses beside it.

    Parameters
    ----------
    patches
        The patch file, or a function that makes it, which is given the side of a training window in
        pixels and is called in the main process only. None stands for the patches of the run to
        resume.
    settings
        All settings, or only those that differ from the preset's (or from the resumed run's).
    preset
        The source of the other settings, one of `PRESETS`; if None, it follows from the device.
    model_directory, model_prefix
        The folder of the run's files, and the start of their names.
    initial_model
        A trained model to start from. If None, the run starts from the general model that comes
        with the package, provided that its network and range are suitable and the settings are not
        ``from_scratch``.
    resume
        Continue the run of this name from where it stopped; without a training state the run starts
        from the beginning.
    overwrite
        Replace a run of this name.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    check_recipe
        A check of the patch file before anything is computed, which raises if the file is not
        suitable.
    progress
        Called after every step.
    resume_words
        How to go on after an interruption, as its message says it.

    Returns
    -------
    Model
        The model of the best epoch, in every process of a distributed run.

    Raises
    ------
    UserError
        A run of this name exists already, or, when resuming, a model without a training state; the
        patches or the initial model are not suitable; the preset, the initial model or the patches
        are not those of the run to resume; the halves cannot be learned from; the loss is no longer
        a finite number; memory runs out.
    KeyboardInterrupt
        ^C or SIGTERM; the state has been saved.
    """
    files = RunFiles(Path(model_directory), model_prefix)
    files.refuse_to_replace(resume, overwrite)
    require_writable(files.directory)
    with joined_to_write(files.model, device) as place:
        if place.is_main:
            files.refuse_to_replace(
                resume, overwrite
            )  # checked again, because no other process can make one now
        (resume,) = place.gather([resume and files.can_resume()] if place.is_main else [])
        resumed = load_run(files.state) if resume else None
        before = resumed.settings if resumed else None
        if resumed is not None:
            require_same_start(resumed, preset, initial_model)
        used = None if isinstance(settings, TrainingSettings) else preset_of(preset, place.device)
        rate_is_given = settings is not None and _gives_rate(settings)
        settings = resolve_settings(settings, preset, place.device, before)
        named = None if resume else named_start(settings, initial_model)
        data = PatchFile(_patch_file(patches, resumed, place, settings.patch_px))
        if resumed is not None:
            require_same_data(resumed, data)
        if check_recipe is not None:
            check_recipe(data)
        start = None if resume else choose_start(settings, data.recipe, named)
        if start is not None and start.is_general and not rate_is_given:
            rate = GENERAL_START_RATE * settings.learning_rate
            settings = replace(settings, learning_rate=rate)
        if not resume:
            check_halves(data)
        state = _first_state(files, settings, place, start)
        parts = split_with_data(data, settings)
        beginning = _beginning(start, initial_model, used, resumed)
        if resumed is not None:
            beginning["trained_on_before"] += newly_held_out(resumed, data, parts)
        record = _record(data, settings, parts, beginning)
        run = _Run(files, record, parts, start, progress, resume_words)
        model = _followed(state, data, settings, place, run)
        model = _finished(model, record)
        if place.is_main:
            save_model(files.model, model)
            save_png(losses(model.training["history"]), files.picture)
            _log_best(model)
    return model


def _patch_file(
    patches: str | Path | Callable[[int], Path] | None,
    resumed: RunRecord | None,
    place: Place,
    patch_px: int,
) -> Path:
    """The patch file to train on: the given one, the resumed run's, or one made now by the main
    process.
    """
    if patches is None:
        if resumed is not None:
            return Path(resumed.inputs.patches)
        raise UserError("there is nothing to train on", do="give micrographs, or a patch file")
    if not callable(patches):
        return Path(patches)
    patch_data = patches(patch_px) if place.is_main else None
    (path,) = place.gather([] if patch_data is None else [str(patch_data)])
    return Path(path)


def _gives_rate(settings: TrainingSettings | Mapping[str, Any]) -> bool:
    """Whether the caller chose the learning rate; a complete record of settings counts as
    a choice.
    """
    return isinstance(settings, TrainingSettings) or "learning_rate" in settings


def _first_state(
    files: RunFiles, settings: TrainingSettings, place: Place, start: Start | None
) -> TrainingState:
    """The state from which the run begins; without a start, that of the run to resume."""
    initial = start.model.network if start and start.model else None
    state = fresh_state(settings, place.device, initial)
    if start is None:
        restore_state(files.state, state)
    return state


def _beginning(
    start: Start | None,
    initial_model: str | Path | None,
    preset: str | None,
    resumed: RunRecord | None,
) -> dict[str, Any]:
    """What the run (or the run that it resumes) started from, the micrographs which that model has
    seen, and the preset of its settings.
    """
    if start is None:
        assert resumed is not None
        before = resumed.inputs
        return {
            "initial": before.initial,
            "start": before.start,
            "trained_on_before": list(before.trained_on_before),
            "preset": before.preset,
        }
    seen = start.model.training.get("trained_on", []) if start.model else []
    return {
        "initial": initial_model,
        "start": start.card,
        "trained_on_before": list(seen),
        "preset": preset,
    }


def _record(
    data: PatchFile,
    settings: TrainingSettings,
    parts: Split,
    beginning: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of how the run was made, for the model file and the state."""
    inputs = data.provenance.get("inputs", {})
    return provenance(
        settings,
        {
            "patches": data.path,
            "made_of": data.provenance.get("made_of"),
            "source": inputs.get("micrographs"),
            "suffixes": inputs.get("suffixes"),
            "micrographs": len(data.pairs),
            "kept_out": kept_out(parts, [pair.name for pair in data.pairs]),
            **beginning,
        },
    )


def _finished(model: Model, record: Mapping[str, Any]) -> Model:
    """The model with its record; micrographs that the initial model was trained on no longer count
    as held out.
    """
    before = record["inputs"]["trained_on_before"]
    training = {
        **model.training,
        "trained_on": sorted({*model.training["trained_on"], *before}),
        "held_out": [name for name in model.training["held_out"] if name not in before],
    }
    return replace(model, training=training, provenance=record)


@dataclass(frozen=True)
class _Run:
    """A run's files, its record, its division, its start (None if it is resumed), its progress
    callback, and how it is continued after an interruption.
    """

    files: RunFiles
    record: dict[str, Any]
    parts: Split
    start: Start | None
    progress: Progress | None
    resume_words: str


@advising_if_out_of_memory(
    "give a smaller `batch_size` or `patch_px`, or `gradient_checkpointing=True`"
)
def _followed(
    state: TrainingState, data: PatchFile, settings: TrainingSettings, place: Place, run: _Run
) -> Model:
    """Continue training; the main process writes the run's files and reports its progress."""
    trained, parts = run.start is not None and run.start.model is not None, run.parts
    train = partial(loop.train, state, data, settings, place, parts=parts, trained_start=trained)
    if not place.is_main:
        return train(SilentWatcher())
    if run.start is not None:
        log.info("%s", run.start.words)
    else:
        log.info("the run continues after step %d", state.step)
    log.info("%s", words_of_split(parts, [pair.name for pair in data.pairs]))
    if settings.budget.open_ended:
        on_cpu, validated = place.device.type == "cpu", bool(parts.held_out)
        log.info("%s", words_of_open_end(settings.budget, on_cpu, validated))
    write_text(run.files.settings, as_json(run.record) + "\n")
    journal = Journal(run.files, run.record)
    try:
        batch = settings.batch_size * place.world_size
        preview = Preview(run.files.preview, data, parts, settings)
        watcher = RunWatcher(
            journal, preview, settings.budget, batch, run.progress, resume_words=run.resume_words
        )
        return train(watcher)
    finally:
        journal.close()


def _log_best(model: Model) -> None:
    best = model.training["best"]
    if "held_out_loss" in best:
        log.info("best epoch: %d, validation loss %.4f", best["epoch"], best["held_out_loss"])
    log.info("%s", model.training["verdict"])
