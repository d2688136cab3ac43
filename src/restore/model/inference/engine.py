"""What carries out a network's stages when it is only used, not trained."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from restore.model.architecture import NetworkSettings

CPU_TILE_PX = 512
"""Side of a CPU's tiles: small enough for its caches, large enough for its threads
(docs/decisions/010).
"""


@runtime_checkable
class Engine(Protocol):
    """Runs one stage of a network on maps (1, features, y, x) of any size."""

    settings: NetworkSettings
    device: torch.device

    def run(self, name: str, *maps: Tensor) -> Tensor:
        """The output of one of the network's stages. The maps stay as they are."""
        ...

    def tile_px(self, longest_px: int) -> int:
        """The side of the tiles that suits the device now, for an image whose longer side has so
        many pixels.
        """
        ...

    def forget(self) -> None:
        """Give back the memory that is kept for reuse."""
        ...
