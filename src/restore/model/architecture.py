"""The description of a network: its name, two sizes, and the stages that an image passes through.

A stage is a part of a network that is computed tile by tile over a whole image before the next
stage begins.
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
    """The choice of network: its name, its number of feature maps, and the number of layers per
    block.

    The definition of each network says what ``filters`` and ``blocks`` count.
    """

    exact: ClassVar[bool] = True
    """A file must have all of these fields, and no others."""

    name: str
    filters: int
    blocks: int

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
    """The margin, in pixels of its input, that a stage must read around its valid pixels."""

    before: int
    after: int


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Its output has ``numerator / denominator`` pixels along an axis for each pixel of the input.
    Tiles of its input begin and end at multiples of ``multiple``. ``features`` are the numbers of
    maps of its inputs.
    """

    name: str
    numerator: int
    denominator: int
    multiple: int
    halo: Halo
    features: tuple[int, ...]


def receptive_field_of(stages: Sequence[Stage], stride: int) -> int:
    """The distance from an output pixel, in input pixels, over which a network reads: the halo of
    exact tiles.

    ``stages`` must be the path that reads furthest. For every position of an output pixel in the
    coarsest cell, of ``stride`` pixels, the first and last pixels read are followed back through
    the stages.
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
