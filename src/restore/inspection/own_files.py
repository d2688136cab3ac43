"""Files that restore itself writes: patches, models, training states, evaluations, settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restore.commands import CommandLine
from restore.errors import UserError
from restore.inspection import commands
from restore.inspection.findings import Findings, number, some, span
from restore.model.checkpoint import Model, load_model, load_tensors
from restore.training.patches import PatchFile

_STATE = "training state"


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
        ("recipe", _recipe_words(data.recipe.card())),
        *_made(data.provenance),
    ]
    return Findings("a patch file", tuple(facts), (commands.train_on_patches(path),))


def inspect_tensors(path: Path) -> Findings:
    """A model or a training state, or a file that pretends to be one. Raises UserError."""
    try:
        model = load_model(path)
    except UserError:
        return _inspect_state(path)
    best, settings = model.training.get("best", {}), model.network.settings
    facts = [
        ("network", f"{settings.name}, {settings.filters} filters, {settings.blocks} blocks"),
        ("recipe", _recipe_words(model.recipe.card())),
        ("trained", _training_words(model.training)),
    ]
    if "held_out_loss" in best:
        losses = (
            f"{best['held_out_loss']:.4f} in epoch {best['epoch']:.0f}; noise floor "
            f"{best['perfect_loss']:.4f}"
        )
        facts.append(("validation loss", losses))
    facts += _made(model.provenance)
    source = _images_of(model)
    if source is None:
        return Findings("a model", tuple(facts), needs=(commands.IMAGES_FOR_MODEL,))
    flip = model.recipe.phase_flip
    steps = commands.denoise(source, flip, path), commands.evaluate(source, path)
    return Findings("a model", tuple(facts), steps)


def _images_of(model: Model) -> str | None:
    """The table, or the pattern, of the micrographs that a model was trained on, where it is still
    there.
    """
    inputs = model.provenance.get("inputs")
    source = inputs.get("source") if isinstance(inputs, Mapping) else None
    return source if isinstance(source, str) and Path(source).is_file() else None


def _inspect_state(path: Path) -> Findings:
    """A training state. UserError where it is none, with the words for a model."""
    try:
        _, card = load_tensors(path, _STATE)
    except UserError:
        load_model(path)
        raise
    place = card["place"]
    facts = [
        ("step", f"{place['step']}, epoch {place['epoch']}"),
        ("time", f"{number(place['seconds'] / 60)} minutes"),
    ]
    return Findings("the state of a training run", tuple(facts), (commands.resume(path),))


def inspect_json(path: Path) -> Findings:
    """An evaluation, or the settings that a run leaves. Raises UserError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"this cannot be read as JSON ({error})", where=path) from None
    if not isinstance(content, Mapping) or not ({"program", "provenance"} & set(content)):
        return Findings("a JSON file of another program")
    if "groups" in content:
        return Findings(
            "an evaluation",
            tuple(_made(content["provenance"])),
            (CommandLine("report", path.parent),),
        )
    return Findings("the settings of a run", tuple(_made(content)))


def _recipe_words(card: Mapping[str, Any]) -> str:
    flip = "phases flipped" if card["phase_flip"] else "phases not flipped"
    return f"{card['max_resolution_A']:g} Å, {flip}, high-pass {card['highpass_A']:g} Å"


def _training_words(training: Mapping[str, Any]) -> str:
    if not training:
        return "nothing is recorded"
    names = ", ".join(some(training.get("trained_on", []), most=2))
    return (
        f"{training['steps']} steps in {number(training['seconds'] / 60)} minutes, on "
        f"{len(training['trained_on'])} micrographs: {names}"
    )


def _made(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Program, time and command."""
    if "program" not in provenance:
        return []
    maker = f"{provenance['program']} {provenance.get('version', '')}, {provenance.get('time', '')}"
    return [("made by", maker), ("command", str(provenance.get("command", "")))]
