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
from restore.model.network import Network, NetworkSettings, network_of
from restore.preprocessing import Recipe

FORMAT_VERSION = 1
_CARD = "restore"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class Model:
    """A trained network with what it takes to use it, and the record of its training."""

    network: Network
    recipe: Recipe
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def digest(self) -> str:
        """A digest of the weights and the recipe: of all that decides what the model makes of an
        image.
        """
        digest = hashlib.sha256(json.dumps(self.recipe.card()).encode())
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
    weights = {name: value.detach().to(dtype) for name, value in model.network.state_dict().items()}
    save_tensors(path, weights, card)


def load_model(path: Path) -> Model:
    """Read a model file. Raises UserError for anything that is not one, pickles by name."""
    tensors, card = load_tensors(path, "model")
    try:
        network = network_of(NetworkSettings(**card["network"]))
        network.load_state_dict(tensors)
        recipe = Recipe.from_card(card["recipe"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the model file is damaged ({error})", where=path) from None
    network.eval()
    return Model(network, recipe, card.get("training", {}), card.get("provenance", {}))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and a JSON card as one safetensors file, beside and renamed."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, **card}, ensure_ascii=False)
    with replacing(path) as partial:
        # Not save_file: it hides a full disk behind an error of its own, and keeps the file from
        # the user's group.
        partial.write_bytes(save(plain, metadata={_CARD: text}))


def load_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the card of a file that `save_tensors` wrote, if it is of this kind and not
    of a newer version.
    """
    _refuse_other_formats(path)
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {}).get(_CARD, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise UserError(f"not a readable safetensors file ({error})", where=path) from None
    if card.get("kind") != kind:
        found = card.get("kind", "no card of restore's")
        raise UserError(
            f"a safetensors file with {found} in it",
            where=path,
            wanted=f"a {kind} from restore train",
        )
    if card["format_version"] > FORMAT_VERSION:
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
    with path.open("rb") as file:
        start = file.read(4)
    wanted = "restore reads only the .safetensors that restore train writes"
    if start.startswith(_PICKLE_STARTS):
        found = "a pickle or a PyTorch archive: reading it could run code of its maker's"
        raise UserError(found, where=path, wanted=wanted)
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
    """Everything that a run needs to go on: weights, optimiser, place, and the best weights so far."""

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


_PLACE = ("step", "epoch", "seconds", "loss_sum", "loss_steps", "best_loss", "history")


def save_state(path: Path, state: TrainingState, run: Mapping[str, Any]) -> None:
    """Write the training state and the record of the run that it belongs to, beside and renamed."""
    tensors = named_under("network", state.network.state_dict()) | named_under(
        "best", state.best_weights
    )
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= named_under(f"adam.{index}", moments)
    place = {name: getattr(state, name) for name in _PLACE} | {"loss_sum": float(state.loss_sum)}
    save_tensors(path, tensors, {"kind": "training state", "place": place, "run": run})


def load_run(path: Path) -> dict[str, Any]:
    """The record of the run that a training state belongs to."""
    return load_tensors(path, "training state")[1]["run"]


def restore_state(path: Path, state: TrainingState) -> None:
    """Put what `save_state` wrote into ``state``: its network, its optimiser, and its place, all
    changed here.
    """
    tensors, card = load_tensors(path, "training state")
    try:
        state.network.load_state_dict(tensors_under(tensors, "network"))
        groups = state.optimizer.state_dict()["param_groups"]
        moments = {
            index: _laid_out_like(parameter, tensors_under(tensors, f"adam.{index}"))
            for index, parameter in zip(
                groups[0]["params"], state.optimizer.param_groups[0]["params"], strict=True
            )
        }
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.best_weights = tensors_under(tensors, "best")
        for name in _PLACE:
            setattr(state, name, card["place"][name])
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"the training state does not fit this run ({error})", where=path) from None


def _laid_out_like(parameter: Tensor, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments in their parameter's memory layout: fused Adam walks through memory, whatever the
    strides say.
    """
    return {
        name: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        for name, value in moments.items()
    }
