"""The WDSR U-net of the paper's Figure S1 (Palovcak 2020, S2.2): 96 convolutions, 2,383,826
parameters.

Blocks have the figure's names: ``first``, the encoder's ``down1`` … ``down3``, the decoder's
``up3`` … ``up1`` (numbered by the level that they join), and ``last``. Sizes are preserved by
zeros, as with TensorFlow's "same" padding.
"""

from dataclasses import replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, pixel_shuffle, relu
from torch.utils.checkpoint import checkpoint

from restore.model.architecture import Halo, NetworkSettings, RunStage, Stage

LEVELS = 3
STRIDE = 2**LEVELS
"""Image sides must be multiples of this."""

RESIDUAL_SCALE = 0.1
"""The initial scale of a wide activation, relative to Glorot's rule."""


class WideActivation(nn.Module):
    """WA-Conv2D (Figure S1C): widen to 4f maps, ReLU, narrow to ⌊0.8f⌋, k×k convolution, added to
    the input.
    """

    def __init__(self, features: int, kernel: int) -> None:
        super().__init__()
        narrow = features * 4 // 5
        self.widen = nn.Conv2d(features, 4 * features, 1)
        self.narrow = nn.Conv2d(4 * features, narrow, 1)
        self.mix = nn.Conv2d(narrow, features, kernel)
        before, after = (kernel - 1) // 2, kernel // 2
        self.border = (before, after, before, after)

    def forward(self, x: Float[Tensor, "b f y x"]) -> Float[Tensor, "b f y x"]:
        """The input plus the output of the convolutions."""
        wide = relu(self.widen(x), inplace=not torch.is_grad_enabled())
        return x + self.mix(pad(self.narrow(wide), self.border))


class Down(nn.Module):
    """The down-sampling block: wide activations and a convolution of stride 2, plus a max-pool of
    the input.
    """

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.wide = nn.Sequential(*(WideActivation(features, 3) for _ in range(blocks)))
        self.shrink = nn.Conv2d(features, features, 3, stride=2)

    def forward(self, x: Float[Tensor, "b f y x"]) -> Float[Tensor, "b f y/2 x/2"]:
        """The maps at half the size."""
        return relu(self.shrink(pad(self.wide(x), (0, 1, 0, 1)))) + max_pool2d(x, 2)


class Upsample(nn.Module):
    """The up-sampling layer: 4f maps, a wide activation, depth-to-space."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(features, 4 * features, 1)
        self.wide = WideActivation(4 * features, 4)

    def forward(self, x: Float[Tensor, "b f y x"]) -> Float[Tensor, "b f 2*y 2*x"]:
        """The maps at twice the size."""
        return pixel_shuffle(self.wide(relu(self.widen(x))), 2)


class Up(nn.Module):
    """The up-sampling block: the Upsample of the input, plus the Upsample of the input combined
    with its skip connection.
    """

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.short = Upsample(features)
        self.join = nn.Conv2d(2 * features, features, 1)
        self.wide = nn.Sequential(*(WideActivation(features, 4) for _ in range(blocks - 1)))
        self.long = Upsample(features)

    def forward(
        self, x: Float[Tensor, "b f y x"], skip: Float[Tensor, "b f y x"]
    ) -> Float[Tensor, "b f 2*y 2*x"]:
        """The maps at twice the size, with the encoder's detail."""
        joined = relu(self.join(torch.cat([x, skip], dim=1)))
        return self.long(self.wide(joined)) + self.short(x)


class WAUNet(nn.Module):
    """The whole network, from an image to its denoised estimate, both scaled as in the recipe."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        features, blocks = settings.filters, settings.blocks
        self.settings = settings
        self.gradient_checkpointing = False
        self.first = nn.Conv2d(1, features, 3, padding=1)
        self.down1, self.down2, self.down3 = (Down(features, blocks) for _ in range(LEVELS))
        self.up3, self.up2, self.up1 = (Up(features, blocks) for _ in range(LEVELS))
        self.last = nn.Sequential(
            nn.Conv2d(features, features, 1), nn.ReLU(), nn.Conv2d(features, 1, 1)
        )

    def forward(self, image: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b 1 y x"]:
        """The denoised images. Sides must be multiples of 8."""
        run = (
            partial(checkpoint, self.stage, use_reentrant=False)
            if self.gradient_checkpointing
            else self.stage
        )
        return through_stages(run, image)

    def stage(self, name: str, *maps: Tensor) -> Tensor:
        """The module of one of the `stages`: a down block takes the maps of a level, an up block
        those from below and those of the skip connection.
        """
        x = self._first_maps(maps[0]) if name == "down1" else maps[0]
        x = getattr(self, name)(x, *maps[1:])
        return self.last(x) if name == "up1" else x

    def _first_maps(self, image: Tensor) -> Tensor:
        """The first layer's maps, in channels-last layout, which they do not have by themselves
        after one input channel and weight normalisation.
        """
        return self.first(image).contiguous(memory_format=torch.channels_last)


def through_stages(run: RunStage, image: Tensor) -> Tensor:
    """The network's output, from the `stages`, each computed by ``run(name, *maps)``. The first
    layer belongs to down1, the last ones to up1.
    """
    level1 = run("down1", image)
    level2 = run("down2", level1)
    level3 = run("down3", level2)
    x = run("up3", level3, level3)
    x = run("up2", x, level2)
    return run("up1", x, level1)


def build_waunet(settings: NetworkSettings, generator: torch.Generator) -> WAUNet:
    """A network with new weights: Glorot-uniform with zero biases, as in Keras.

    The last convolution of each wide activation starts at a tenth of that scale, which gives better
    results in short runs (docs/decisions/004-default-schedule.md).
    """
    network = WAUNet(settings)
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        nn.init.xavier_uniform_(conv.weight, generator=generator)
        nn.init.zeros_(cast(Tensor, conv.bias))
    for module in network.modules():
        if isinstance(module, WideActivation):
            module.mix.weight.data *= RESIDUAL_SCALE
    return network


def stages(settings: NetworkSettings) -> tuple[Stage, ...]:
    """The stages, in the order in which an image passes through them.

    A 4×4 kernel reads 1 pixel before and 2 after, a 3×3 kernel 1 on each side. A down block
    computes pixel p from pixels 2p and 2p + 1; its convolution of stride 2 also reads 2p + 2.
    """
    features, blocks = settings.filters, settings.blocks
    first = Stage("down1", 1, 2, 2, Halo(blocks + 1, blocks + 2), (1,))
    down = Stage("down2", 1, 2, 2, Halo(blocks, blocks + 1), (features,))
    up = Stage("up3", 2, 1, 1, Halo(blocks, 2 * blocks), (features, features))
    return (
        first,
        down,
        replace(down, name="down3"),
        up,
        replace(up, name="up2"),
        replace(up, name="up1"),
    )
