"""The smooth background of an image: a polynomial surface through the means of its blocks."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BLOCK_PX = 16


def blocks_of(image: Float[Tensor, "y x"]) -> Float[Tensor, "rows 16 columns 16"]:
    """The image as blocks of 16×16 pixels; its sides must be multiples of theirs."""
    return image.unflatten(1, (-1, BLOCK_PX)).unflatten(0, (-1, BLOCK_PX))


def marked_in_blocks(
    mask: Bool[Tensor, "y x"], rows_per_block: int
) -> Float[Tensor, "rows columns"]:
    """The number of marked pixels in each block of ``rows_per_block``×16 pixels (16 rows or fewer);
    the mask's sides must be multiples of the block's.
    """
    bytes_of_rows = mask.view(torch.uint8).unflatten(0, (-1, rows_per_block))
    # Adding whole rows of bytes is many times as fast as summing truth values.
    along_y = bytes_of_rows[:, 0].clone()
    for row in range(1, rows_per_block):
        along_y += bytes_of_rows[:, row]
    return along_y.unflatten(1, (-1, BLOCK_PX)).sum(dim=2, dtype=torch.float32)


@dataclass(frozen=True)
class Surface:
    """A polynomial surface over an image of ``shape`` (y, x) pixels.

    ``coefficients[i, j]`` is the factor of yⁱ xʲ, with y and x running from −1 to 1 over the image.
    """

    coefficients: Float[Tensor, "order order"]
    shape: tuple[int, int]

    def added_to(
        self, rows: Float[Tensor, "rows x"], first_row: int = 0, factor: float = 1
    ) -> Float[Tensor, "rows x"]:
        """Rows of an image, from ``first_row`` on, and ``factor`` times the surface."""
        order, device = self.coefficients.shape[0] - 1, rows.device
        y = _powers(self.shape[0], self.shape[0], order, device)[first_row:][: rows.shape[0]]
        x = _powers(self.shape[1], self.shape[1], order, device)
        along_y = (y @ self.coefficients).to(rows.dtype)
        return torch.addmm(rows, along_y, x.T.to(rows.dtype), alpha=factor)


def fit_surface(
    image: Float[Tensor, "y x"], order: int, blank: Bool[Tensor, "y x"] | None = None
) -> Surface:
    """The polynomial surface of total degree ``order`` that fits the image's block means best.

    Blocks are 16×16 pixels; an incomplete last row or column of them is left out. ``blank`` marks
    pixels to ignore: a block has the mean, and the weight, of its other pixels.
    """
    rows, columns = image.shape[0] // BLOCK_PX, image.shape[1] // BLOCK_PX
    inside = (slice(rows * BLOCK_PX), slice(columns * BLOCK_PX))
    weight: Float[Tensor, "blocks 1"] | None = None
    if blank is None:
        means = blocks_of(image[inside]).mean(dim=(1, 3)).double()
    else:
        # Every second row is enough for means.
        half = BLOCK_PX // 2
        counts = half * BLOCK_PX - marked_in_blocks(blank[inside][::2], half).double()
        values = image[inside][::2].masked_fill(blank[inside][::2], 0)
        values = values.unflatten(1, (-1, BLOCK_PX)).unflatten(0, (-1, half))
        sums = values.sum(dim=(1, 3)).double()
        means = sums / counts.clamp(min=1)
        weight = counts.sqrt().reshape(
            -1, 1
        )  # weight of a residual, whose square is weighted by the number of pixels
    block_y = _powers(rows, image.shape[0] / BLOCK_PX, order, image.device)
    block_x = _powers(columns, image.shape[1] / BLOCK_PX, order, image.device)
    terms = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    design = torch.stack(
        [torch.outer(block_y[:, i], block_x[:, j]).flatten() for i, j in terms], dim=1
    )
    target = means.reshape(-1, 1)
    if weight is not None:
        design, target = design * weight, target * weight
    fitted = torch.linalg.lstsq(design, target).solution[:, 0]
    coefficients = fitted.new_zeros(order + 1, order + 1)
    for coefficient, (i, j) in zip(fitted, terms, strict=True):
        coefficients[i, j] = coefficient
    return Surface(coefficients, (image.shape[0], image.shape[1]))


def without_background(image: Float[Tensor, "y x"], order: int) -> Float[Tensor, "y x"]:
    """The image minus the polynomial surface of total degree ``order`` that fits its 16×16 block
    means best.
    """
    return fit_surface(image, order).added_to(image, factor=-1)


def _powers(
    count: int, extent: float, order: int, device: torch.device
) -> Float[Tensor, "count order"]:
    """Powers 0 … ``order`` of the centres of ``count`` cells, on an axis that runs from −1 to 1
    over ``extent`` cells.
    """
    centres = (torch.arange(count, device=device, dtype=torch.float64) + 0.5) / extent * 2 - 1
    return centres[:, None] ** torch.arange(order + 1, device=device)
