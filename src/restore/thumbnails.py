"""An image made small and grey, for a picture."""

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate


def shrunk_size(shape: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Rows and columns of an image whose longer side is to have at most ``longest_px`` pixels."""
    factor = max(1.0, max(shape) / longest_px)
    return round(shape[0] / factor), round(shape[1] / factor)


def shrunk(image: Float[Tensor, "y x"], size: tuple[int, int]) -> Float[np.ndarray, "rows columns"]:
    """The image averaged down to this size."""
    return interpolate(image[None, None].float(), size=size, mode="area")[0, 0].cpu().numpy()


def grey_levels(
    image: Float[np.ndarray, "y x"], clipped_percent: float
) -> UInt8[np.ndarray, "y x"]:
    """The image in levels from 0 to 255, with ``clipped_percent`` of its pixels clipped at either
    end.
    """
    low, high = np.percentile(image, [clipped_percent, 100 - clipped_percent])
    return (255 * ((image - low) / max(high - low, 1e-30)).clip(0, 1)).astype(np.uint8)
