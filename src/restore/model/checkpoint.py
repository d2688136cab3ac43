"""The model file (weights and a readable card) and the training state; safetensors both, so neither
can run code.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.reading import reading
from restore.model.calibration import RingCalibration
from restore.model.network import Network, NetworkSettings, network_of
from restore.preprocessing import Recipe

FORMAT_VERSION = 1
_CARD = "restore"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class Model:
    """A trained network with what it takes to use it, and the record of its training.

    ``calibration`` is what its output is multiplied by, ring by ring; None where it was not
    measured.
    """

    network: Network
    recipe: Recipe
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calibration: RingCalibration | None = None

    def digest(self) -> str:
        """A digest of the weights, the recipe and the calibration: of all that decides what the
        model makes of an image.
        """
        digest = hashlib.sha256(json.dumps(self.recipe.card()).encode())
        if self.calibration is not None:
            digest.update(json.dumps(self.calibration.card()).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()


def save_model(path: Path, model: Model, dtype: torch.dtype = torch.float32) -> None:
    """Write a model file, beside and renamed. Weights are stored in the network's own layer names,
    in ``dtype`` (float16 halves the file; a network that was read from it computes in float32).
    """
    card = {
        "kind": "model",
        "network": asdict(model.network.settings),
        "recipe": model.recipe.card(),
        "training": model.training,
        "provenance": model.provenance,
    }
    if model.calibration is not None:
        card["calibration"] = model.calibration.card()
    weights = {name: value.detach().to(dtype) for name, value in model.network.state_dict().items()}
    save_tensors(path, weights, card)


def load_model(path: Path) -> Model:
    """Read a model file. Raises UserError for anything that is not one, pickles by name."""
    tensors, card = load_tensors(path, "model")
    with reading(path, "", "the model file is damaged", "train again, or fetch it again"):
        settings = NetworkSettings(**_bounded(_record(card, "network"), tensors))
        _require_same_shapes(settings, tensors)
        network = network_of(settings)
        network.load_state_dict(tensors)
        recipe = Recipe.from_card(_record(card, "recipe"))
        calibration = (
            RingCalibration.from_card(_record(card, "calibration"))
            if "calibration" in card
            else None
        )
        training, provenance = _record(card, "training", {}), _record(card, "provenance", {})
    network.eval()
    return Model(network, recipe, training, provenance, calibration)


def _record(
    card: Mapping[str, Any], name: str, otherwise: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A part of a card that is a record itself. Raises KeyError, TypeError."""
    part = card[name] if otherwise is None else card.get(name, otherwise)
    if not isinstance(part, dict):
        raise TypeError(f"{name} is no record")
    return part


def _bounded(network: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The settings of a network, whose numbers cannot exceed what the file holds: neither the
    number of its tensors nor the longest side of one. Raises ValueError.

    It keeps a small file from asking for a network that no machine can hold.
    """
    sides = [side for tensor in tensors.values() for side in tensor.shape]
    most = max([len(tensors), *sides])
    for name, value in network.items():
        values = value if isinstance(value, list) else [value]
        for number in values:
            if not isinstance(number, int | float | str | None):
                raise TypeError(f"{name} is {number}")
            if isinstance(number, int | float) and not 0 <= number <= most:
                raise ValueError(f"{name} is {number}, and the largest tensor side is {most}")
    return network


def _require_same_shapes(settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> None:
    """ValueError where the file's tensors are not those of the network that its card describes, or
    hold values that are no numbers. The network is laid out without memory.
    """
    with torch.device("meta"):
        wanted = {name: tuple(t.shape) for name, t in network_of(settings).state_dict().items()}
    for name, shape in wanted.items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            there = tuple(tensors[name].shape) if name in tensors else "missing"
            raise ValueError(f"{name} is {there}, and the card describes {shape}")
    for name, tensor in tensors.items():
        if name not in wanted:
            raise ValueError(f"{name} is no part of the network that the card describes")
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds values that are not finite numbers")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and a JSON card as one safetensors file, beside and renamed."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # In ASCII: a name in it that is not UTF-8 could not be written otherwise.
    text = json.dumps({"format_version": FORMAT_VERSION, **card})
    with replacing(path) as partial:
        # Not save_file: it hides a full disk behind an error of its own, and keeps the file from
        # the user's group.
        partial.write_bytes(save(plain, metadata={_CARD: text}))


def load_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the card of a file that `save_tensors` wrote, if it is of this kind and not
    of a newer version.
    """
    _refuse_other_formats(path)
    with reading(path, "", "not a readable safetensors file"):
        try:
            with safe_open(path, framework="pt") as file:
                card = json.loads((file.metadata() or {}).get(_CARD, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from None
        if not isinstance(card, dict) or not isinstance(card.get("format_version", 1), int):
            raise ValueError("its card is no record")
    if card.get("kind") != kind:
        found = card.get("kind", "no card of restore's")
        raise UserError(
            f"a safetensors file with {found} in it",
            where=path,
            wanted=f"a {kind} from restore train",
        )
    if card.get("format_version", 1) > FORMAT_VERSION:
        raise UserError(
            f"a {kind} of format {card['format_version']}",
            where=path,
            wanted=f"this version of restore reads format {FORMAT_VERSION}",
            do="update restore",
        )
    return tensors, card


def _refuse_other_formats(path: Path) -> None:
    if not path.is_file():
        raise UserError("there is no such model file", where=path)
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    wanted = "restore reads only the .safetensors that restore train writes"
    if start.startswith(_PICKLE_STARTS):
        found = "a pickle or a PyTorch archive: reading it could run code of its maker's"
        raise UserError(found, where=path, wanted=wanted)
    if path.suffix.lower() == ".star":
        found = "a STAR file, and not a model"
        raise UserError(found, where=path, wanted=wanted, do="give the table as `micrographs`")
    if start == b"\x89HDF":
        raise UserError(
            "an HDF5 file, of patches or of Keras, and not a model", where=path, wanted=wanted
        )


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def named_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each with ``prefix.`` before its name."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


@dataclass
class TrainingState:
    """Everything that a run needs to go on: weights, optimiser, place, and the best weights so far.

    ``average`` is the moving average of the weights, empty where none is kept; it is what is
    validated, and what ``best_weights`` are copies of. ``rate_factor`` multiplies the learning
    rate; it is halved each time the run falls back to them. ``flat_since`` is the step from which
    on a run without a given length winds down, or None.
    """

    network: Network
    optimizer: Optimizer
    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    loss_sum: Tensor | float = 0.0
    loss_steps: int = 0
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    average: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    rate_factor: float = 1.0
    flat_since: int | None = None


_RUN_AGAIN = "start the run again without resuming it"
_PLACE_TYPES: dict[str, Any] = {
    "step": int,
    "epoch": int,
    "loss_steps": int,
    "history": list,
    "flat_since": int | None,
}
_PLACE = (
    *("step", "epoch", "seconds", "loss_sum", "loss_steps", "best_loss", "history"),
    *("rate_factor", "flat_since"),
)


def save_state(path: Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Write the training state and the record of the run that it belongs to, beside and renamed."""
    tensors = named_under("network", state.network.state_dict())
    tensors |= named_under("best", state.best_weights) | named_under("average", state.average)
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= named_under(f"adam.{index}", moments)
    place = {name: getattr(state, name) for name in _PLACE} | {"loss_sum": float(state.loss_sum)}
    save_tensors(path, tensors, {"kind": "training state", "place": place, "run": run})


def load_run(path: Path) -> dict[str, Any]:
    """The record of the run that a training state belongs to."""
    _, card = load_tensors(path, "training state")
    with reading(path, "", "the training state is damaged", _RUN_AGAIN):
        return _record(card, "run")


def restore_state(path: Path, state: TrainingState) -> None:
    """Put what `save_state` wrote into ``state``: its network, its optimiser, and its place, all
    changed here.
    """
    tensors, card = load_tensors(path, "training state")
    with reading(path, "", "the training state does not fit this run", _RUN_AGAIN):
        place = _place(card)
        state.network.load_state_dict(tensors_under(tensors, "network"))
        groups = state.optimizer.state_dict()["param_groups"]
        found = {
            index: _laid_out_like(parameter, tensors_under(tensors, f"adam.{index}"))
            for index, parameter in zip(
                groups[0]["params"], state.optimizer.param_groups[0]["params"], strict=True
            )
        }
        moments = {index: of_parameter for index, of_parameter in found.items() if of_parameter}
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.best_weights = tensors_under(tensors, "best")
        parameters = dict(state.network.named_parameters())
        state.average = {
            name: torch.empty_like(parameters[name]).copy_(value)
            for name, value in tensors_under(tensors, "average").items()
        }
        for name in _PLACE:
            setattr(state, name, place[name])


def _place(card: Mapping[str, Any]) -> dict[str, Any]:
    """Where the run stood, each part of the type that `TrainingState` gives it."""
    place = _record(card, "place")
    for name in _PLACE:
        kind = _PLACE_TYPES.get(name, int | float)
        if not isinstance(place[name], kind) or isinstance(place[name], bool):
            raise TypeError(f"{name} is {str(place[name])[:40]}")
    if not all(isinstance(row, dict) for row in place["history"]):
        raise TypeError("a row of the history is no record")
    return place


def _laid_out_like(parameter: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments in their parameter's memory layout: fused Adam walks through memory, whatever the
    strides say.
    """
    return {
        name: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        for name, value in moments.items()
    }
