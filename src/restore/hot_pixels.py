"""Hot pixels: far outliers, replaced by the median of their neighbours."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from restore.background import BLOCK_PX, blocks_of

_NEIGHBOURS_PX = 5


def replace_hot_pixels(
    image: Float[Tensor, "y x"], sigma: float
) -> tuple[Float[Tensor, "y x"], int]:
    """The image with far outliers replaced by the median of their neighbours, and their number.

    A pixel is an outlier when it is more than ``sigma`` standard deviations from the mean of its
    16×16 block and from the median of its 5×5 neighbourhood; the standard deviation is the median
    over blocks, which outliers do not affect.
    """
    height, width = image.shape
    centred = (
        image - image.mean()
    )  # a square of large numbers would leave float32 no digits for the variance
    blocks = blocks_of(pad(centred, (0, -width % BLOCK_PX, 0, -height % BLOCK_PX)))
    counts = torch.outer(*(_block_sizes(side, image.device) for side in (height, width)))
    mean = blocks.sum(dim=(1, 3)) / counts
    square = torch.linalg.vector_norm(blocks, dim=(1, 3)).square() / counts
    distance = sigma * (square - mean.square()).clamp(min=0).median().sqrt()
    suspect = (
        torch.maximum(blocks.amax(dim=(1, 3)) - mean, mean - blocks.amin(dim=(1, 3))) > distance
    )
    if not distance > 0 or not suspect.any():
        return image, 0
    rows, columns = suspect.nonzero(as_tuple=True)
    far = (blocks[rows, :, columns] - mean[rows, columns, None, None]).abs() > distance
    block, y, x = far.nonzero(as_tuple=True)
    ys, xs = rows[block] * BLOCK_PX + y, columns[block] * BLOCK_PX + x
    inside = (ys < height) & (xs < width)
    return _replace_outliers(image, (ys[inside], xs[inside]), float(distance))


def _block_sizes(side: int, device: torch.device) -> Float[Tensor, "blocks"]:
    """The number of pixels of each block along an axis: 16, or the remainder for the last."""
    edges = torch.arange(0, side, BLOCK_PX, device=device)
    return (side - edges).clamp(max=BLOCK_PX).float()


def _replace_outliers(
    image: Float[Tensor, "y x"], places: tuple[Int[Tensor, "n"], Int[Tensor, "n"]], distance: float
) -> tuple[Float[Tensor, "y x"], int]:
    """The image in which those of the pixels at these places that are further than ``distance``
    from their neighbourhood's median are replaced by it.
    """
    ys, xs = places
    offsets = torch.arange(_NEIGHBOURS_PX, device=image.device) - _NEIGHBOURS_PX // 2
    rows = _reflected(ys[:, None] + offsets, image.shape[0])
    columns = _reflected(xs[:, None] + offsets, image.shape[1])
    around = image[rows[:, :, None], columns[:, None, :]]
    median = around.flatten(1).median(dim=1).values
    hot = (image[ys, xs] - median).abs() > distance
    if not hot.any():
        return image, 0
    clean = image.clone()
    clean[ys[hot], xs[hot]] = median[hot]
    return clean, int(hot.sum())


def _reflected(index: Int[Tensor, "*n"], extent: int) -> Int[Tensor, "*n"]:
    """Indices beyond either end of an axis, reflected into it."""
    return extent - 1 - (extent - 1 - index.abs()).abs()
