"""The network applied to several orientations of one image: the self-ensemble of image
restoration.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from restore.model.inference.engine import Engine
from restore.model.inference.tiling import apply_network

ORIENTATIONS = (1, 2, 4, 8)
"""Possible numbers of orientations to average: the image alone, with its rotation by 180°, with
both mirror images as well, and with the transposes of these four.
"""

_FLIPPED_AXES = ((), (0, 1), (0,), (1,))


def apply_self_ensemble(
    engine: Engine, image: Float[Tensor, "y x"], tile_px: int = 0, orientations: int = 1
) -> Float[Tensor, "y x"]:
    """The mean of the network's outputs for the first ``orientations`` of an image's eight
    orientations, each returned to the original orientation (the geometric self-ensemble of Lim et
    al. 2017, CVPR Workshops, 1132–1140).

    A micrograph has no preferred direction, but a network does not learn that exactly. Its outputs
    for two orientations of the same noise differ in part, and this part averages out.
    """
    total = torch.zeros_like(image)
    for index in range(orientations):
        axes, transposed = _FLIPPED_AXES[index % 4], index >= 4
        turned = image.flip(axes)
        turned = turned.T if transposed else turned
        output = apply_network(engine, turned.contiguous(), tile_px)
        output = output.T if transposed else output
        total += output.flip(axes)
    return total / orientations
