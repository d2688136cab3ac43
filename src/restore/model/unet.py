"""A compact residual U-net: a tenth of the arithmetic of the paper's network, and better images in
the same time.

The image is split into four maps of half its size (pixel-unshuffle), so that nothing is computed at
full size. Four levels follow, each at half the sampling of the one before. A level consists of a
few residual blocks of two 3×3 convolutions; a 2×2 convolution of stride 2 leads down, and a 1×1
convolution with a pixel-shuffle leads up, where the skip connection is added. Zero padding
preserves sizes. docs/decisions/018-compact-network.md explains the choice of shape.
"""

from functools import partial
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle, relu
from torch.utils.checkpoint import checkpoint

from restore.model.architecture import Halo, NetworkSettings, RunStage, Stage

WIDTHS = (1, 2, 3, 4)
"""The feature maps of each level, as multiples of ``filters``."""

DEPTHS = (1, 1, 2, 2)
"""The residual blocks of each level, as multiples of ``blocks``; the same number on the way up."""

STRIDE = 2 ** len(WIDTHS)
"""Image sides must be multiples of this."""

RESIDUAL_SCALE = 0.1
"""The initial scale of a residual block, relative to He's rule."""

OUTPUT_SCALE = 0.1
"""The factor of the last layer's output: the signal of a micrograph is about a tenth of its noise,
and without this factor every step of the optimiser would change the output by far more than that.
"""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with a ReLU between them, added to the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(features, features, 3, padding=1)
        self.after = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Float[Tensor, "b f y x"]) -> Float[Tensor, "b f y x"]:
        """The input plus the output of the convolutions."""
        return x + self.after(relu(self.before(x), inplace=not torch.is_grad_enabled()))


class Level(nn.Module):
    """Residual blocks, with the layers that lead into and out of them."""

    def __init__(self, features: int, blocks: int, enter: nn.Module, leave: nn.Module) -> None:
        super().__init__()
        self.enter = enter
        self.blocks = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.leave = leave

    def forward(self, x: Float[Tensor, "b f y x"]) -> Float[Tensor, "b f2 y2 x2"]:
        """The maps of the next level, not yet shuffled."""
        return self.leave(self.blocks(self.enter(x)))


class UNet(nn.Module):
    """The whole network, from an image to its denoised estimate, both scaled as in the recipe.

    ``settings.filters`` is the number of feature maps of the first level; ``settings.blocks``
    multiplies the number of residual blocks of every level.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.gradient_checkpointing = False
        maps, depths = _sizes(settings)
        shrink = [nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(maps)]
        grow = [nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(maps)]
        first, last = nn.Conv2d(4, maps[0], 3, padding=1), nn.Conv2d(maps[0], 4, 3, padding=1)
        self.down1 = Level(maps[0], depths[0], first, nn.Identity())
        self.down2 = Level(maps[1], depths[1], shrink[0], nn.Identity())
        self.down3 = Level(maps[2], depths[2], shrink[1], nn.Identity())
        self.bottom = Level(maps[3], depths[3], shrink[2], grow[2])
        self.up3 = Level(maps[2], depths[2], nn.Identity(), grow[1])
        self.up2 = Level(maps[1], depths[1], nn.Identity(), grow[0])
        self.up1 = Level(maps[0], depths[0], nn.Identity(), last)

    def forward(self, image: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b 1 y x"]:
        """The denoised images. Sides must be multiples of 16."""
        if self.gradient_checkpointing:
            return through_stages(partial(checkpoint, self.stage, use_reentrant=False), image)
        return through_stages(self.stage, image)

    def stage(self, name: str, *maps: Tensor) -> Tensor:
        """The module of one of the `stages`; on the way up it takes the maps from below and those
        of its skip connection.
        """
        if name == "down1":
            halves = pixel_unshuffle(maps[0], 2)
            return self.down1(halves.contiguous(memory_format=torch.channels_last))
        x = getattr(self, name)(maps[0] if len(maps) == 1 else maps[0] + maps[1])
        if name.startswith("down"):
            return x
        return pixel_shuffle(x, 2) * (OUTPUT_SCALE if name == "up1" else 1)


def _sizes(settings: NetworkSettings) -> tuple[list[int], list[int]]:
    """The numbers of feature maps and residual blocks of each level."""
    maps = [settings.filters * width for width in WIDTHS]
    return maps, [settings.blocks * depth for depth in DEPTHS]


def through_stages(run: RunStage, image: Tensor) -> Tensor:
    """The network's output, from the `stages`, each computed by ``run(name, *maps)``."""
    level1 = run("down1", image)
    level2 = run("down2", level1)
    level3 = run("down3", level2)
    x = run("bottom", level3)
    x = run("up3", x, level3)
    x = run("up2", x, level2)
    return run("up1", x, level1)


def stages(settings: NetworkSettings) -> tuple[Stage, ...]:
    """The stages, in the order in which an image passes through them.

    A 3×3 convolution reads one pixel on each side, or two input pixels if it is computed at half
    the input's sampling.
    """
    maps, depths = _sizes(settings)
    wide = [2 * depth for depth in depths]  # pixels that the blocks of a level read on each side
    halved = [Halo(2 * side, 2 * side) for side in (wide[0] + 1, *wide[1:])]
    same = [Halo(side, side) for side in (wide[0] + 1, *wide[1:])]
    return (
        Stage("down1", 1, 2, 2, halved[0], (1,)),
        Stage("down2", 1, 2, 2, halved[1], (maps[0],)),
        Stage("down3", 1, 2, 2, halved[2], (maps[1],)),
        Stage("bottom", 1, 1, 2, halved[3], (maps[2],)),
        Stage("up3", 2, 1, 1, same[2], (maps[2], maps[2])),
        Stage("up2", 2, 1, 1, same[1], (maps[1], maps[1])),
        Stage("up1", 2, 1, 1, same[0], (maps[0], maps[0])),
    )


def build_unet(settings: NetworkSettings, generator: torch.Generator) -> UNet:
    """A network with new weights: He-normal, zero biases, weak residual blocks, zero output."""
    network = UNet(settings)
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(cast(Tensor, conv.bias))
        if conv.kernel_size != (3, 3):  # no ReLU follows the maps that lead down or up
            conv.weight.data *= 0.5**0.5
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.after.weight.data *= RESIDUAL_SCALE
    nn.init.zeros_(cast(nn.Conv2d, network.up1.leave).weight)
    return network
