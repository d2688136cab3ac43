"""Files that restore itself writes: patches, models, training states, evaluations, settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restore.commands import CommandLine
from restore.errors import UserError
from restore.evaluation.records import Making
from restore.inspection import commands
from restore.inspection.findings import Findings, counted, first_few, number, span
from restore.io.reading import reading
from restore.model.checkpoint import Model, TrainingFacts, load_model, load_tensors
from restore.preprocessing import Recipe
from restore.records import decoded, parse_json, read_record
from restore.report.scenes import FILE as SCENES_FILE
from restore.report.scenes import Scenes
from restore.structure.records import FILE as STRUCTURE_FILE
from restore.structure.records import Structure
from restore.training.patches import PatchFile
from restore.training.state import KIND, load_place


def inspect_patches(path: Path) -> Findings:
    """A patch file of restore prepare. Raises UserError."""
    data = PatchFile(path)
    data.close()
    pixels = sum(pair.shape[0] * pair.shape[1] for pair in data.pairs)
    facts = [
        (
            "micrographs",
            f"{len(data.pairs)}, {pixels / 1e6:.3g} million pixels in each half, "
            f"{path.stat().st_size / 1e6:.3g} MB",
        ),
        ("pixel size", span((side for pair in data.pairs for side in pair.pixel_size_yx_A), "Å")),
        ("recipe", _recipe_words(data.recipe)),
        *_made(data.provenance),
    ]
    return Findings("a patch file", tuple(facts), (commands.train_on_patches(path),))


def inspect_tensors(path: Path) -> Findings:
    """A model or a training state. Raises UserError if the file is neither."""
    try:
        model = load_model(path)
    except UserError:
        return _inspect_state(path)
    training, settings = model.training_facts(), model.network.settings
    facts = [
        (
            "network",
            f"{settings.name}, {settings.filters} filters, {counted(settings.blocks, 'block')}",
        ),
        ("recipe", _recipe_words(model.recipe)),
        ("trained", _training_words(training)),
    ]
    losses = [training.best.get(name) for name in ("held_out_loss", "epoch", "perfect_loss")]
    if None not in losses:
        words = "{:.4f} in epoch {:.0f}; noise floor {:.4f}".format(*losses)
        facts.append(("validation loss", words))
    facts += _made(model.provenance)
    source = _images_of(model)
    if source is None:
        return Findings("a model", tuple(facts), needs=(commands.IMAGES_FOR_MODEL,))
    steps = (
        commands.denoise(source, model.recipe, model=path),
        commands.evaluate(source, model=path),
    )
    return Findings("a model", tuple(facts), steps)


def _images_of(model: Model) -> str | None:
    """The table, or the pattern, of the micrographs that a model was trained on, if it still
    exists.
    """
    inputs = model.provenance.get("inputs")
    source = inputs.get("source") if isinstance(inputs, Mapping) else None
    return source if isinstance(source, str) and Path(source).is_file() else None


def _inspect_state(path: Path) -> Findings:
    """A training state. Raises UserError, worded for a model, if it is not one."""
    try:
        load_tensors(path, KIND)
    except UserError:
        load_model(path)
        raise
    place = load_place(path)
    facts = [
        ("step", f"{place.step}, epoch {place.epoch}"),
        ("time", f"{place.seconds / 60:.3g} minutes"),
    ]
    return Findings("the state of a training run", tuple(facts), (commands.resume(path),))


def inspect_json(path: Path) -> Findings:
    """An evaluation, a comparison of structures or its scenes, or the settings of a run. Raises
    UserError.
    """
    with reading(path):
        content: Any = parse_json(path.read_bytes(), path, "JSON file")
    if not isinstance(content, dict):
        return Findings("a JSON file of another program")
    if {"format_version", "rows"} <= set(content):
        return _inspect_scenes(path)
    if not {"program", "provenance"} & set(content):
        return Findings("a JSON file of another program")
    if "reconstructions" in content:
        return _inspect_structure(path)
    if "groups" in content:
        making = decoded(Making, content, path, "evaluation").provenance
        return Findings(
            "an evaluation", tuple(_made(making)), (CommandLine("report", path.parent),)
        )
    settings = decoded(dict[str, Any], content, path, "record of a run's settings")
    return Findings("the settings of a run", tuple(_made(settings)))


def _inspect_scenes(path: Path) -> Findings:
    """The surfaces of maps that restore structure draws. Raises UserError."""
    rows = read_record(path, Scenes, SCENES_FILE).rows
    scenes = sum(len(row.scenes) for row in rows)
    size = f"{counted(scenes, 'scene')} in {counted(len(rows), 'row')}"
    note = "structure.html, which restore structure writes, shows them"
    return Findings("scenes of maps, from restore structure", (("scenes", size), ("note", note)))


def _inspect_structure(path: Path) -> Findings:
    """The result of restore structure. Raises UserError."""
    structure = read_record(path, Structure, STRUCTURE_FILE)
    count = structure.particles.count
    particles = "" if count is None else f"{count}, "
    facts = (
        ("particles", f"{particles}symmetry {structure.symmetry}"),
        ("maps", ", ".join(structure.reconstructions).replace("_", " ")),
        ("box", f"{structure.box_px} pixels of {number(structure.pixel_size_A)} Å"),
        *_made(structure.provenance),
    )
    return Findings("a comparison of structures", facts)


def _recipe_words(recipe: Recipe) -> str:
    flip = "phases flipped" if recipe.phase_flip else "phases not flipped"
    return f"{recipe.max_resolution_A:g} Å, {flip}, high-pass {recipe.highpass_A:g} Å"


def _training_words(training: TrainingFacts) -> str:
    if training.steps is None:
        return "nothing is recorded"
    words = f"{training.steps} steps"
    if training.seconds is not None:
        words += f" in {training.seconds / 60:.3g} minutes"
    if training.trained_on:
        names = ", ".join(first_few(training.trained_on, most=2))
        words += f", on {counted(len(training.trained_on), 'micrograph')}: {names}"
    return words


def _made(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Program, time and command."""
    if "program" not in provenance:
        return []
    maker = f"{provenance['program']} {provenance.get('version', '')}, {provenance.get('time', '')}"
    return [("made by", maker), ("command", str(provenance.get("command", "")))]
