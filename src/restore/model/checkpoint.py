"""The model file (weights and a readable card) and the training state; safetensors both, so neither
can run code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

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
    """A trained network, everything that is needed to use it, and the record of its training.

    Attributes
    ----------
    network
        The network, in evaluation mode.
    recipe
        How images must be prepared for it.
    training
        Steps, losses and the names of the micrographs that it was trained on.
    provenance
        Program, version, command, settings and inputs of the run that made it.
    calibration
        Factors for the network's output, ring by ring; None if they were not measured.
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
    with reading(path, "", "the model file is damaged", "train again, or copy the file again"):
        settings = NetworkSettings(**_bounded(part_of_card(card, "network"), tensors))
        _require_same_shapes(settings, tensors)
        network = network_of(settings)
        network.load_state_dict(tensors)
        recipe = Recipe.from_card(part_of_card(card, "recipe"))
        calibration = (
            RingCalibration.from_card(part_of_card(card, "calibration"))
            if "calibration" in card
            else None
        )
        training, provenance = (
            part_of_card(card, "training", {}),
            part_of_card(card, "provenance", {}),
        )
    network.eval()
    return Model(network, recipe, training, provenance, calibration)


def part_of_card(
    card: Mapping[str, Any], name: str, otherwise: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A part of a card that is a record itself. Raises KeyError, TypeError."""
    part = card[name] if otherwise is None else card.get(name, otherwise)
    if not isinstance(part, dict):
        raise TypeError(f"{name} is not a record")
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
            raise ValueError(f"{name} is {there}, but the card describes {shape}")
    for name, tensor in tensors.items():
        if name not in wanted:
            raise ValueError(f"{name} is not part of the network that the card describes")
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
            raise ValueError("its card is not a record")
    if card.get("kind") != kind:
        problem = "the file has no card written by restore"
        if "kind" in card:
            problem = f"it is a safetensors file that holds a {card['kind']}"
        wanted = f"it must be a {kind} written by restore train"
        raise UserError(problem, where=path, wanted=wanted)
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
        problem = (
            "a pickle or a PyTorch archive: reading it could run any code that its author put "
            "into it"
        )
        raise UserError(problem, where=path, wanted=wanted)
    if path.suffix.lower() == ".star":
        problem = "a STAR file, not a model"
        raise UserError(problem, where=path, wanted=wanted, do="give the table as `micrographs`")
    if start == b"\x89HDF":
        raise UserError(
            "an HDF5 file (of patches, or from Keras), not a model", where=path, wanted=wanted
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
