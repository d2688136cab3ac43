"""The networks by name: their construction, and the stages in which they are computed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from restore.model import unet, waunet
from restore.model.architecture import (
    Halo,
    NetworkSettings,
    RunStage,
    Stage,
    receptive_field_of,
)
from restore.model.unet import UNet
from restore.model.waunet import WAUNet

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Halo",
    "Network",
    "NetworkSettings",
    "Stage",
    "add_weight_norm",
    "architecture_of",
    "build_network",
    "convolutions",
    "network_of",
    "receptive_field_px",
    "remove_weight_norm",
    "stage_named",
]

Network = UNet | WAUNet
"""Any of the networks."""


@dataclass(frozen=True)
class Architecture:
    """One network: its class, the function that builds it with new weights, its stages and how they
    are joined.

    Image sides must be multiples of ``stride``. ``usual`` are its default settings. ``weight_norm``
    says whether it is trained with weight normalisation.
    """

    empty: Callable[[NetworkSettings], Network]
    build: Callable[[NetworkSettings, torch.Generator], Network]
    stages: Callable[[NetworkSettings], tuple[Stage, ...]]
    through_stages: Callable[[RunStage, Tensor], Tensor]
    stride: int
    usual: NetworkSettings
    weight_norm: bool


ARCHITECTURES = {
    "unet": Architecture(
        UNet,
        unet.build_unet,
        unet.stages,
        unet.through_stages,
        unet.STRIDE,
        NetworkSettings("unet", 32, 1),
        weight_norm=False,
    ),
    "waunet": Architecture(
        WAUNet,
        waunet.build_waunet,
        waunet.stages,
        waunet.through_stages,
        waunet.STRIDE,
        NetworkSettings("waunet", 32, 4),
        weight_norm=True,
    ),
}
"""The networks by name."""


def architecture_of(settings: NetworkSettings) -> Architecture:
    """The architecture that the settings name."""
    return ARCHITECTURES[settings.name]


def build_network(settings: NetworkSettings, generator: torch.Generator) -> Network:
    """A network with new weights."""
    return architecture_of(settings).build(settings, generator)


def network_of(settings: NetworkSettings) -> Network:
    """A network without initialised weights, for loading weights into it."""
    return architecture_of(settings).empty(settings)


def stage_named(settings: NetworkSettings, name: str) -> Stage:
    """One stage of a network."""
    return next(stage for stage in architecture_of(settings).stages(settings) if stage.name == name)


def receptive_field_px(settings: NetworkSettings) -> int:
    """The distance from an output pixel, in input pixels, over which the network reads: the halo of
    exact tiles.
    """
    architecture = architecture_of(settings)
    return receptive_field_of(architecture.stages(settings), architecture.stride)


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    """Every convolution, in the order of the network's definition."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def add_weight_norm(network: nn.Module) -> None:
    """Apply weight normalisation (Salimans & Kingma 2016) to every convolution, in place; the
    outputs stay the same.
    """
    for conv in convolutions(network):
        parametrizations.weight_norm(conv)


def remove_weight_norm(network: nn.Module) -> None:
    """Remove weight normalisation, in place, leaving the equivalent plain weights."""
    for conv in convolutions(network):
        parametrize.remove_parametrizations(conv, "weight")
