"""The description of a network: a name, two sizes, and the stages that an image passes.

A stage is the part of a network that is computed tile by tile over a whole image, before the next
one begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

NETWORKS = ("unet", "waunet")
"""The names of the networks, the default first."""

RunStage = Callable[..., Tensor]
"""``run(name, *maps)``: the output of one stage."""


@dataclass(frozen=True)
class NetworkSettings:
    """Which network: its name, how many feature maps it has, and how many layers a block has.

    What ``filters`` and ``blocks`` count is said where the network is defined.
    """

    exact: ClassVar[bool] = True
    """A file must have all of these fields, and no other."""

    name: str = "waunet"
    filters: int = 32
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.name not in NETWORKS:
            raise ValueError(f"there is no network called {self.name!r}")
        if self.filters < 2 or self.blocks < 1:
            raise ValueError(
                f"a network needs at least 2 filters and 1 block, not {self.filters} and "
                f"{self.blocks}"
            )


@dataclass(frozen=True)
class Halo:
    """How far beyond its valid pixels a stage must read, in pixels of its input."""

    before: int
    after: int


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Its output has ``numerator / denominator`` pixels along an axis for each of the input's. Tiles
    of its input begin and end at multiples of ``multiple``. ``features`` are the maps of each
    input.
    """

    name: str
    numerator: int
    denominator: int
    multiple: int
    halo: Halo
    features: tuple[int, ...]


def receptive_field_of(stages: Sequence[Stage], stride: int) -> int:
    """How far from an output pixel, in input pixels, a network can look: the halo of exact tiles.

    Walks back through the stages, which must be the path that looks furthest, with the first and
    last pixel that each reads, for every position of an output pixel in the coarsest cell, of
    ``stride`` pixels.
    """
    halo = 0
    for pixel in range(stride):
        low = high = pixel
        for stage in reversed(stages):
            low, high = _first_read(stage, low), _last_read(stage, high)
        halo = max(halo, pixel - low, high - pixel)
    return halo


def _first_read(stage: Stage, pixel: int) -> int:
    """The first input pixel that an output pixel of a stage depends on."""
    cell = pixel * stage.denominator // stage.numerator
    return cell // stage.multiple * stage.multiple - stage.halo.before


def _last_read(stage: Stage, pixel: int) -> int:
    """The last input pixel that an output pixel of a stage depends on."""
    cell = pixel * stage.denominator // stage.numerator
    return cell // stage.multiple * stage.multiple + stage.multiple - 1 + stage.halo.after
