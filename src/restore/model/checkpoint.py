"""The model file (weights and a readable card) and the training state. Both are safetensors files,
so neither can run code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.endings import IMAGE_ENDINGS, ending_of
from restore.io.reading import reading
from restore.model.calibration import RingCalibration
from restore.model.network import Network, NetworkSettings, network_of
from restore.preprocessing import Recipe
from restore.records import LONGEST_QUOTE, decoded, parse_json, plain

FORMAT_VERSION = 1
_CARD = "restore"
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class Model:
    """A trained network with everything needed to use it, and the record of its training.

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

    def training_facts(self) -> "TrainingFacts":
        """The entries of the training record that have a fixed type. Raises UserError if one has
        another type.
        """
        return decoded(TrainingFacts, self.training, "", "record of the training")

    def digest(self) -> str:
        """A digest of the weights, the recipe and the calibration: of everything that determines
        the model's output.
        """
        digest = hashlib.sha256(json.dumps(self.recipe.card()).encode())
        if self.calibration is not None:
            digest.update(json.dumps(self.calibration.card()).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.cpu().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class NamedModel:
    """A model, and its name in labels, records and messages: usually the path of its file."""

    model: Model
    name: str


def save_model(path: Path, model: Model, dtype: torch.dtype = torch.float32) -> None:
    """Write a model file under a temporary name and rename it. Weights are stored under the
    network's own layer names, in ``dtype`` (float16 halves the file; a network read from it
    computes in float32).
    """
    card = {
        "kind": "model",
        "network": plain(model.network.settings),
        "recipe": model.recipe.card(),
        "training": plain(model.training),
        "provenance": plain(model.provenance),
    }
    if model.calibration is not None:
        card["calibration"] = model.calibration.card()
    weights = {name: value.detach().to(dtype) for name, value in model.network.state_dict().items()}
    save_tensors(path, weights, card)


@dataclass(frozen=True)
class TrainingFacts:
    """The entries that are read from the record of a model's training. The record may hold more,
    and any of these may be absent: the general model's has no epochs.
    """

    steps: int | None = None
    seconds: float | None = None
    trained_on: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    best: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    history: tuple[Mapping[str, float | None], ...] = ()


@dataclass(frozen=True)
class _ModelCard:
    """The card of a model file."""

    network: NetworkSettings
    recipe: Recipe
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calibration: RingCalibration | None = None


def load_model(path: Path) -> Model:
    """Read a model file. Raises UserError if the file is not one; pickles are identified in the
    message.
    """
    tensors, plain_card = load_tensors(path, "model")
    do = "train again, or copy the file again"
    card = decoded(_ModelCard, plain_card, path, "model", do)
    decoded(TrainingFacts, card.training, path, "record of the training", do)
    with reading(path, "", "a damaged model", do):
        _require_possible_size(card.network, tensors)
        _require_same_shapes(card.network, tensors)
        network = network_of(card.network)
        network.load_state_dict(tensors)
    network.eval()
    return Model(network, card.recipe, card.training, card.provenance, card.calibration)


def _require_possible_size(settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError if a network's sizes exceed the number of tensors in the file and the
    longest side of any.

    This keeps a small file from requesting a network that no machine can hold.
    """
    most = max([len(tensors), *(side for tensor in tensors.values() for side in tensor.shape)])
    for name, number in (("filters", settings.filters), ("blocks", settings.blocks)):
        if number > most:
            raise ValueError(f"{name} is {number}, and the largest tensor side is {most}")


def _require_same_shapes(settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError if the file's tensors are not those of the network that its card describes,
    or hold values that are not finite. The network is built without allocating memory.
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
    """Write tensors and a JSON card as one safetensors file, under a temporary name that is then
    renamed.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # In ASCII: a name in it that is not UTF-8 could not be written otherwise.
    text = json.dumps({"format_version": FORMAT_VERSION, **card})
    with replacing(path) as partial:
        # Not save_file: it hides a full disk behind an error of its own, and keeps the file from
        # the user's group.
        partial.write_bytes(save(plain, metadata={_CARD: text}))


@dataclass(frozen=True)
class _CardHead:
    """The first fields in the card of every file of tensors."""

    format_version: int = FORMAT_VERSION
    kind: str | None = None


def load_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the card of a file written by `save_tensors`, if it is of this kind and not
    of a newer version. The card is a dictionary of plain values, which are not checked.
    """
    _refuse_other_formats(path)
    with reading(path, "", "not a readable safetensors file"):
        try:
            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(_CARD, "{}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    card = parse_json(text, path, kind)
    head = decoded(_CardHead, card, path, kind)
    if head.kind != kind:
        problem = "the file has no card written by restore"
        if head.kind is not None:
            problem = f"it is a safetensors file that holds a {head.kind[:LONGEST_QUOTE]}"
        wanted = f"it must be a {kind} written by restore train"
        raise UserError(problem, where=path, wanted=wanted)
    if head.format_version > FORMAT_VERSION:
        raise UserError(
            f"a {kind} of format {head.format_version}",
            where=path,
            wanted=f"this version of restore reads format {FORMAT_VERSION}",
            do="update restore",
        )
    return tensors, card


def _refuse_other_formats(path: Path) -> None:
    wanted = "restore reads only the .safetensors that restore train writes"
    if path.is_dir():
        inside = next((file for file in sorted(path.glob("*.safetensors")) if _is_model(file)), "")
        do = f"give {inside}" if inside else ""
        raise UserError("a folder, not a model", where=path, wanted=wanted, do=do)
    if not path.is_file():
        raise UserError("there is no such model file", where=path)
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_PICKLE_STARTS):
        problem = (
            "a pickle or a PyTorch archive: reading it could run any code that its author put "
            "into it"
        )
        raise UserError(problem, where=path, wanted=wanted)
    if path.suffix.lower() == ".star":
        problem = "a STAR file, not a model"
        raise UserError(problem, where=path, wanted=wanted, do="give the table as `micrographs`")
    if ending_of(path.name) in IMAGE_ENDINGS:
        raise UserError(
            "an image, not a model", where=path, wanted=wanted, do="give it as `micrographs`"
        )
    if start == b"\x89HDF":
        raise UserError(
            "an HDF5 file (of patches, or from Keras), not a model", where=path, wanted=wanted
        )


def _is_model(file: Path) -> bool:
    """Whether a file has the name of a model, not of a training state."""
    return not file.name.endswith(".state.safetensors")


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, named without it."""
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def named_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, named with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
