"""Defective pixels, which get values from their neighbours, frame by frame."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_REACH_PX = 3


@dataclass(frozen=True)
class Defects:
    """Bad pixels, as indices into the flattened image, and the good pixels around each with their
    weights.
    """

    pixels: Int[Tensor, "bad"]
    neighbours: Int[Tensor, "bad near"]
    weights: Float[Tensor, "bad near"]

    def mended(self, image: Float[Tensor, "y x"]) -> Float[Tensor, "y x"]:
        """The image in which each bad pixel has the mean of the good ones up to 3 pixels from it.

        Pixels without a good one near them get the mean of all good ones. Each frame is corrected
        from its own pixels, so that nothing passes from one half to the other.
        """
        if not len(self.pixels):
            return image
        flat = image.reshape(-1)
        near = (flat[self.neighbours] * self.weights).sum(-1)
        lonely = self.weights.sum(-1) == 0
        if lonely.any():
            good = flat.index_fill(0, self.pixels, 0).sum() / max(len(flat) - len(self.pixels), 1)
            near = torch.where(lonely, good, near)
        return flat.index_put((self.pixels,), near).reshape(image.shape)

    def to(self, device: torch.device | str) -> "Defects":
        """The same on another device."""
        return Defects(self.pixels.to(device), self.neighbours.to(device), self.weights.to(device))


def find_neighbours(bad: Bool[Tensor, "y x"]) -> Defects:
    """The defects of a mask, with the neighbours that will replace them."""
    height, width = bad.shape
    at = bad.nonzero()
    steps = torch.cartesian_prod(
        torch.arange(-_REACH_PX, _REACH_PX + 1), torch.arange(-_REACH_PX, _REACH_PX + 1)
    )
    around = at[:, None, :] + steps[None]
    y, x = around[..., 0], around[..., 1]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    good = (inside & ~bad[y, x]).float()
    weights = good / good.sum(-1, keepdim=True).clamp(min=1)
    return Defects(at[:, 0] * width + at[:, 1], y * width + x, weights)
