"""Hot pixels: far outliers, replaced by the median of their neighbours."""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad

from restore.background import BLOCK_PX, blocks_of, marked_in_blocks

_NEIGHBOURS_PX = 5


def replace_hot_pixels(
    image: Float[Tensor, "y x"], sigma: float, blank: Bool[Tensor, "y x"] | None = None
) -> tuple[Float[Tensor, "y x"], int]:
    """The image with far outliers replaced by the median of their neighbours, and their number.

    A pixel is an outlier when it is more than ``sigma`` standard deviations from the mean of its
    16×16 block and from the median of its 5×5 neighbourhood; the standard deviation is the median
    over blocks, which outliers do not affect. ``blank`` marks pixels without data, which are left
    unchanged and have no influence on the others.
    """
    blocks = blocks_of(_padded(_centred(image, blank)))
    sizes = torch.outer(*(_block_sizes(side, image.device) for side in image.shape))
    counts = sizes if blank is None else sizes - marked_in_blocks(_padded(blank), BLOCK_PX)
    mean = blocks.sum(dim=(1, 3)) / counts.clamp(min=1)
    square = torch.linalg.vector_norm(blocks, dim=(1, 3)).square() / counts.clamp(min=1)
    share = counts / sizes
    # Blocks with few pixels, or none, would draw the median towards zero.
    variance = (square - mean.square())[share >= share.max() / 2].clamp(min=0).median()
    distance = sigma * variance.sqrt()
    if blank is not None:
        in_blocks = blocks_of(_padded(blank))
        blocks = torch.where(in_blocks, mean[:, None, :, None], blocks)  # never far from the mean
    suspect = (
        torch.maximum(blocks.amax(dim=(1, 3)) - mean, mean - blocks.amin(dim=(1, 3))) > distance
    )
    if not distance > 0 or not suspect.any():
        return image, 0
    rows, columns = suspect.nonzero(as_tuple=True)
    far = (blocks[rows, :, columns] - mean[rows, columns, None, None]).abs() > distance
    block, y, x = far.nonzero(as_tuple=True)
    ys, xs = rows[block] * BLOCK_PX + y, columns[block] * BLOCK_PX + x
    inside = (ys < image.shape[0]) & (xs < image.shape[1])
    return _replace_outliers(image, (ys[inside], xs[inside]), float(distance), blank)


def _centred(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"] | None
) -> Float[Tensor, "y x"]:
    """The image minus the mean of its valid pixels, and 0 in blank ones: a square of large numbers
    would leave float32 no digits for the variance.
    """
    if blank is None:
        return image - image.mean()
    valid = blank.numel() - blank.count_nonzero()
    return (image - image.masked_fill(blank, 0).sum() / valid).masked_fill_(blank, 0)


def _padded(image: Shaped[Tensor, "y x"]) -> Shaped[Tensor, "rows columns"]:
    """The image with zeros (False) below and to the right, up to whole blocks."""
    return pad(image, (0, -image.shape[1] % BLOCK_PX, 0, -image.shape[0] % BLOCK_PX))


def _block_sizes(side: int, device: torch.device) -> Float[Tensor, "blocks"]:
    """The number of pixels of each block along an axis: 16, or the remainder for the last."""
    edges = torch.arange(0, side, BLOCK_PX, device=device)
    return (side - edges).clamp(max=BLOCK_PX).float()


def _replace_outliers(
    image: Float[Tensor, "y x"],
    places: tuple[Int[Tensor, "n"], Int[Tensor, "n"]],
    distance: float,
    blank: Bool[Tensor, "y x"] | None,
) -> tuple[Float[Tensor, "y x"], int]:
    """The image in which those of the pixels at these places that are further than ``distance``
    from the median of their neighbourhood's valid pixels are replaced by it.
    """
    ys, xs = places
    offsets = torch.arange(_NEIGHBOURS_PX, device=image.device) - _NEIGHBOURS_PX // 2
    rows = _reflected(ys[:, None] + offsets, image.shape[0])[:, :, None]
    columns = _reflected(xs[:, None] + offsets, image.shape[1])[:, None, :]
    around = image[rows, columns]
    if blank is not None:
        around = around.masked_fill(blank[rows, columns], torch.nan)
    median = around.flatten(1).nanmedian(dim=1).values
    hot = (image[ys, xs] - median).abs() > distance
    if not hot.any():
        return image, 0
    clean = image.clone()
    clean[ys[hot], xs[hot]] = median[hot]
    return clean, int(hot.sum())


def _reflected(index: Int[Tensor, "*n"], extent: int) -> Int[Tensor, "*n"]:
    """Indices beyond either end of an axis, reflected into it."""
    return extent - 1 - (extent - 1 - index.abs()).abs()
