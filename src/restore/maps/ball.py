"""The ball that a box holds, to which reconstructions are limited, and what it and a mask leave of
the independent values of a map.
"""

import torch
from jaxtyping import Float
from torch import Tensor

EDGE_PX = 3
"""Width of the soft edge of the ball."""


def ball(box_px: int) -> Float[Tensor, "z y x"]:
    """1 in the ball that the box holds, 0 from EDGE_PX voxels outside it on, a cosine between."""
    squared = (torch.arange(box_px) - box_px // 2).square()
    radius = (squared[:, None, None] + squared[:, None] + squared).sqrt()
    return 0.5 + 0.5 * torch.cos(torch.pi * ((radius - box_px / 2) / EDGE_PX).clamp(0, 1))


def independent_share(box_px: int, mask: Float[Tensor, "z y x"] | None = None) -> float:
    """The share of a reconstruction's Fourier components that are independent: the mean of the
    ball, times the mask if there is one.

    The corners of a reconstruction are empty, so that the noise of neighbouring components is
    correlated. A mean over n components of white noise times a weight w has the variance of a mean
    over n (Σ w²)² / (N Σ w⁴) independent ones, N voxels in all. For a weight of ones and zeros this
    is n times the mean of w, and a soft edge of a few voxels changes it by one per cent. It holds
    for means over several shells; a single shell, as thin as a Fourier voxel, has slightly more
    independent values.
    """
    weight = ball(box_px).double()
    return float((weight if mask is None else weight * mask.double()).mean())
