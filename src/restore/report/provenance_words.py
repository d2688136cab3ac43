"""The provenance of a result, as one line and as a list."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

from restore.evaluation.records import Evaluation, MethodSummary, ModelSummary
from restore.quantities import finite
from restore.report.numerals import figure


def one_line(evaluation: Evaluation) -> str:
    """The micrographs, the model and the time of an evaluation, in one line."""
    origin, model = evaluation.provenance, evaluation.model
    many = len(evaluation.micrographs)
    parts = [f"{many} micrograph{'s' if many != 1 else ''}"]
    if model is None:
        parts.append("denoised by another program")
    else:
        file_name = _file_name(_of(origin, "inputs").get("model"))
        parts.append(f"model {file_name or model.name or 'without a name'}")
    resolution_A = finite(evaluation.recipe.get("max_resolution_A"))
    if resolution_A is not None:
        parts.append(f"to {resolution_A:g} Å")
    parts.append(f"{origin.get('program', 'restore')} {origin.get('version', '')}".strip())
    if origin.get("time"):
        parts.append(str(origin["time"])[:10])
    return " · ".join(parts)


def method_list(evaluation: Evaluation) -> str:
    """Command, inputs, model, recipe, and how the intervals were made, as a description list."""
    more = [
        ("Model", escape(_model_words(evaluation.model)) if evaluation.model else ""),
        ("Recipe", _plainly(evaluation.recipe)),
        ("Method", escape(_method_words(evaluation.method))),
    ]
    return facts_of(evaluation.provenance, more)


def facts_of(origin: Mapping[str, Any], more: Sequence[tuple[str, str]]) -> str:
    """Command, program, inputs, ``more`` (titles with their HTML) and settings, as a description
    list without empty entries.
    """
    facts = [
        (
            "Command",
            f"<code>{escape(str(origin['command']))}</code>" if origin.get("command") else "",
        ),
        (
            "Made by",
            escape(
                f"{origin.get('program', 'restore')} {origin.get('version', '')}, "
                f"{origin.get('time', '')}"
            ),
        ),
        *(
            (f"Input: {escape(str(name))}", escape(str(value)))
            for name, value in _of(origin, "inputs").items()
            if value
        ),
        *more,
        ("Settings", _plainly(_of(origin, "settings"))),
    ]
    return (
        "<dl>"
        + "".join(f"<div><dt>{name}</dt><dd>{words}</dd></div>" for name, words in facts if words)
        + "</dl>"
    )


def _of(card: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key; an empty one where there is none."""
    value = card.get(key)
    return value if isinstance(value, Mapping) else {}


def _file_name(path: object) -> str:
    return PurePath(str(path)).name if path else ""


def _model_words(model: ModelSummary) -> str:
    training = model.training
    parts = [model.name or "a network"]
    if model.parameters is not None:
        parts.append(f"{model.parameters:,} parameters")
    if (steps := finite(training.get("steps"))) is not None:
        parts.append(f"{steps:,.0f} steps of training")
    if (seconds := finite(training.get("seconds"))) is not None:
        parts.append(f"in {_duration(seconds)}")
    for key, words in (("trained_on", "trained on"), ("held_out", "held out")):
        if isinstance(names := training.get(key), list):
            parts.append(f"{len(names)} micrograph{'s' if len(names) != 1 else ''} {words}")
    return ", ".join(parts)


def training_list(model: ModelSummary | None) -> str:
    """The entries beside the chart of losses: the best epoch, and its distance from the noise
    floor.
    """
    best = _of(model.training if model else {}, "best")
    epoch, held_out, perfect = (
        finite(best.get(key)) for key in ("epoch", "held_out_loss", "perfect_loss")
    )
    facts = [
        ("Model", escape(_model_words(model)) if model else ""),
        (
            "Kept",
            f"epoch {epoch:.0f}, the best on the validation micrographs"
            if epoch is not None and held_out
            else "",
        ),
        ("Validation loss", figure(held_out, 4) if held_out is not None else ""),
        ("Noise floor", figure(perfect, 4) if perfect is not None else ""),
    ]
    return (
        "<dl>"
        + "".join(f"<div><dt>{name}</dt><dd>{words}</dd></div>" for name, words in facts if words)
        + "</dl>"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _method_words(method: MethodSummary) -> str:
    """How the numbers and their intervals were computed."""
    parts: list[str] = []
    if method.patch_px and method.rings:
        parts.append(
            f"Covariances of the halves, from overlapping {method.window} windows of "
            f"{method.patch_px} pixels, in {method.rings} rings."
        )
    if method.confidence is not None and method.resamples is not None:
        parts.append(
            f"Confidence intervals of {100 * method.confidence:g} %: {method.resamples} bootstrap "
            "samples (more where the tails need them) of micrographs, or of patches where there "
            "are few micrographs."
        )
    if method.support_window_A is not None:
        parts.append(
            "The overlay compares the denoised image with the other half in windows of "
            f"{figure(method.support_window_A)} Å."
        )
    return " ".join(parts)


def _plainly(card: Mapping[str, Any]) -> str:
    return escape(", ".join(_setting(str(key), value) for key, value in card.items()))


_AUTOMATIC = {"patch_px": "patch size", "tile_px": "tile size"}


def _setting(name: str, value: object) -> str:
    """A setting's name and value, with the unit at the end of its name moved after the value."""
    if name in _AUTOMATIC and value == 0:
        return f"{_AUTOMATIC[name]} chosen automatically"
    for ending, unit in {"_A": " Å", "_px": " px"}.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {_said(value)}{unit}"
    return f"{name.replace('_', ' ')} {_said(value)}"


def _said(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
