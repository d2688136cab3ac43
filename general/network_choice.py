"""Which network the general model is, and its file: the shipped one is in float16."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from restore.model.checkpoint import Model, load_model, save_model
from restore.model.network import NetworkSettings, build_network, network_of
from restore.preprocessing import Recipe

NETWORK = NetworkSettings("unet", 32, 1)
STRIDE_PX = 16


def build(generator: torch.Generator) -> nn.Module:
    """The network with fresh weights."""
    return build_network(NETWORK, generator)


def save_general_model(path: Path, weights: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write the model. Its recipe is the default one; the card says which recipes it has seen."""
    network = network_of(NETWORK)
    network.load_state_dict(dict(weights))
    save_model(path, Model(network, Recipe(), dict(card)), torch.float16)


def denoiser_of(path: Path) -> Callable[[Tensor], Tensor]:
    """The network of a model file, applied to whole prepared images."""
    network = load_model(path).network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def denoise(image: Tensor) -> Tensor:
        height, width = image.shape
        edges = (0, -width % STRIDE_PX, 0, -height % STRIDE_PX)
        whole = pad(image[None, None].float(), edges, mode="reflect")
        return network(whole.contiguous(memory_format=torch.channels_last))[0, 0, :height, :width]

    return denoise
