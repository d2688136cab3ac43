"""The interface of the engines that run a trained network's stages."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from restore.model.architecture import NetworkSettings

CPU_TILE_PX = 512
"""Side of the tiles on a CPU: small enough for its caches, large enough for its threads
(docs/decisions/010).
"""


@runtime_checkable
class Engine(Protocol):
    """Runs one stage of a network on maps (1, features, y, x) of any size."""

    settings: NetworkSettings
    device: torch.device

    def run(self, name: str, *maps: Tensor) -> Tensor:
        """The output of one of the network's stages. The maps are not changed."""
        ...

    def tile_px(self, longest_px: int) -> int:
        """The tile side that currently suits the device, for an image whose longer side has
        ``longest_px`` pixels.
        """
        ...

    def forget(self) -> None:
        """Release the memory that is kept for reuse."""
        ...
