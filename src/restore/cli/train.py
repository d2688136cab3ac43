"""``restore train``: from halves, or a patch file, to a model."""

import argparse
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from restore.cli.job import MODELS, add_job_options, settle
from restore.cli.options import add_device_option, add_settings, given
from restore.cli.progress import Bar
from restore.cli.recipe import (
    add_input_options,
    add_recipe_options,
    make_patch_file,
    refuse_other_recipe,
    typed_recipe,
)
from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable, write_text
from restore.model.checkpoint import (
    Model,
    TrainingState,
    load_model,
    load_run,
    restore_state,
    save_model,
)
from restore.provenance import as_json, provenance
from restore.report.figures import losses, save_png
from restore.runtime.distributed import Place, join_processes
from restore.runtime.memory import keep_heap
from restore.training.loop import PRESETS, TrainingSettings, fresh_state, split, train
from restore.training.patches import PatchFile
from restore.training.run_files import Journal, RunFiles

log = logging.getLogger(__name__)

_MAY_CHANGE = ("steps", "minutes", "number_of_epochs", "workers")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore train``."""
    add_input_options(parser)
    group = parser.add_argument_group("what else it starts from, and where it goes")
    group.add_argument(
        "--training_data", "-t", type=Path, metavar="HDF", help="a patch file that is already made"
    )
    group.add_argument(
        "--initial_model", "-i", type=Path, metavar="MODEL", help="start from this trained model"
    )
    group.add_argument(
        "--model_directory",
        "-d",
        type=Path,
        default=MODELS,
        metavar="DIR",
        help=f"(default: {MODELS})",
    )
    group.add_argument(
        "--model_prefix",
        "-x",
        default="model",
        metavar="NAME",
        help="name of the run (default: model)",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the run of this name where it stopped"
    )
    add_device_option(group)
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="starting values of the training options: as the device is (default), the paper's, "
        "or quick, a smaller network for minutes on a CPU",
    )
    add_job_options(group)
    add_recipe_options(parser)
    add_settings(parser, "training", TrainingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Train and write the model; the exit status comes back."""
    settle(namespace)
    files = RunFiles(namespace.model_directory, namespace.model_prefix)
    files.refuse_to_replace(namespace.resume, namespace.overwrite)
    require_writable(files.directory)
    keep_heap()
    with join_processes(namespace.device) as place:
        settings = _settings(namespace, files, place.device)
        initial = _initial_model(namespace)
        data = PatchFile(_patch_file(namespace, files, place, settings.patch_px))
        if namespace.resume:
            _refuse_other_data(data, files)
        refuse_other_recipe(namespace, data.recipe, str(data.path))
        if initial is not None and initial.recipe != data.recipe:
            raise UserError(
                f"the initial model was made with {initial.recipe}",
                wanted=f"the patches with {data.recipe}",
            )
        state = fresh_state(settings, place.device, initial.network if initial else None)
        if namespace.resume:
            restore_state(files.state, state)
        made = provenance(
            settings,
            {
                "patches": data.path,
                "made_of": data.provenance.get("made_of"),
                "micrographs": len(data.pairs),
                "initial": namespace.initial_model,
                "trained_on_before": _trained_on_before(namespace, initial, files),
            },
        )
        model = _train(state, data, settings, place, (files, made))
        if place.leads:
            model = replace(
                model, training=_whole_record(model.training, made["inputs"]["trained_on_before"])
            )
            save_model(files.model, replace(model, provenance=made))
            save_png(losses(model.training["history"]), files.picture)
            _say_result(model, files)
    return 0


def _settings(
    namespace: argparse.Namespace, files: RunFiles, device: torch.device
) -> TrainingSettings:
    """The preset's settings, or the resumed run's, with what was typed in their place."""
    typed = given(namespace, TrainingSettings)
    if not namespace.resume:
        return replace(
            PRESETS[namespace.preset or ("cpu" if device.type == "cpu" else "gpu")], **typed
        )
    before = TrainingSettings(**load_run(files.state)["settings"])
    for name, value in typed.items():
        if name not in _MAY_CHANGE and value != getattr(before, name):
            raise UserError(
                f"--{name} is {value}, and the run to resume has {getattr(before, name)}",
                do="leave the option out, or start a run of another name",
            )
    return replace(before, **typed)


def _refuse_other_data(data: PatchFile, files: RunFiles) -> None:
    before = load_run(files.state)["inputs"]
    if data.provenance.get("made_of") != before.get("made_of"):
        raise UserError(
            "not the patches that the run to resume was trained on",
            where=data.path,
            wanted=f"those were {before['patches']}",
            do="leave the option out, or start a run of another name",
        )


def _initial_model(namespace: argparse.Namespace) -> Model | None:
    return (
        load_model(namespace.initial_model)
        if namespace.initial_model and not namespace.resume
        else None
    )


def _trained_on_before(
    namespace: argparse.Namespace, initial: Model | None, files: RunFiles
) -> list[str]:
    """The micrographs that the initial model has seen, also where its run is resumed."""
    if namespace.resume:
        return load_run(files.state)["inputs"].get("trained_on_before", [])
    return list(initial.training.get("trained_on", [])) if initial else []


def _whole_record(training: Mapping[str, Any], before: list[str]) -> dict[str, Any]:
    """The training record with what the initial model was trained on: that is no longer held out."""
    return {
        **training,
        "trained_on": sorted({*training["trained_on"], *before}),
        "held_out": [name for name in training["held_out"] if name not in before],
    }


def _patch_file(
    namespace: argparse.Namespace, files: RunFiles, place: Place, patch_px: int
) -> Path:
    """The patch file to train on: given, the resumed run's, or made now by the leading process."""
    if namespace.training_data is not None and namespace.training_mics is not None:
        raise UsageError(
            "both --training_mics and --training_data are given", do="give one of them"
        )
    if namespace.training_data is not None:
        return namespace.training_data
    if namespace.training_mics is None:
        if namespace.resume:
            return Path(load_run(files.state)["inputs"]["patches"])
        raise UsageError(
            "nothing to train on",
            do="name a STAR file with --training_mics, or a patch file with -t",
        )
    if place.leads:
        make_patch_file(namespace, typed_recipe(namespace), patch_px)
    place.wait()
    return namespace.training_filename


def _train(
    state: TrainingState,
    data: PatchFile,
    settings: TrainingSettings,
    place: Place,
    record: tuple[RunFiles, Mapping[str, Any]],
) -> Model:
    files, made = record
    if not place.leads:
        return train(state, data, settings, place, _Silent())
    parts = split(data.pairs, settings)
    held_out = {data.pairs[region.pair].name for region in parts.held_out}
    log.info("%d micrographs to train on; held out: %s", len(parts.training), _names(held_out))
    write_text(files.settings, as_json(made) + "\n")
    journal = Journal(files, dict(made))
    run = settings.budget
    total, unit = (
        (run.steps, "steps")
        if run.steps is not None
        else (round((run.seconds or 0) / 6) / 10, "minutes")
    )
    try:
        with Bar(total, unit, "training") as bar:
            return train(state, data, settings, place, _Told(journal, bar, total))
    finally:
        journal.close()


class _Silent:
    """A watcher that does nothing: the other processes'."""

    def step(self, progress: float, state: TrainingState) -> None:
        """Nothing."""

    def epoch(self, state: TrainingState) -> None:
        """Nothing."""

    def interrupted(self, state: TrainingState) -> None:
        """Nothing."""


class _Told:
    """A watcher that moves the bar and keeps the journal."""

    def __init__(self, journal: Journal, bar: Bar, total: float) -> None:
        self._journal, self._bar, self._total = journal, bar, total

    def step(self, progress: float, state: TrainingState) -> None:  # noqa: ARG002
        """Move the bar."""
        self._bar.to(round(progress * self._total, 2))

    def epoch(self, state: TrainingState) -> None:
        """Log the losses and save the state."""
        self._journal.epoch(state)
        row = state.history[-1]
        words = f"epoch {row['epoch']:.0f}: training loss {row['train_loss']:.4f}"
        if "held_out_loss" in row:
            words += (
                f", held out {row['held_out_loss']:.4f} (a perfect denoiser: "
                f"{row['perfect_loss']:.4f})"
            )
        log.info(words)

    def interrupted(self, state: TrainingState) -> None:
        """Save the state and say how to go on."""
        self._journal.save(state)
        log.warning(
            "stopped after step %d; the same command with --resume goes on from there", state.step
        )


def _names(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return f"{shown}, …" if len(names) > 3 else shown or "none"


def _say_result(model: Model, files: RunFiles) -> None:
    best = model.training["best"]
    if "held_out_loss" in best:
        log.info("best epoch: %d, held-out loss %.4f", best["epoch"], best["held_out_loss"])
    print(files.model)
