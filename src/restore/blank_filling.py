"""Filling of pixels without data with the smooth background and noise like the image's own.

The filling carries no information: it has the spectrum of the image around it, and is independent
between images, so that two halves have nothing in common there.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from restore import fourier
from restore.background import fit_surface

_TILE_PX, _SMALLEST_TILE_PX = 256, 32
_MOST_PATCHES = 16


def fill_blank_pixels(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"], order: int, seed: int
) -> Float[Tensor, "y x"]:
    """The image with ``blank`` pixels replaced by its background and noise of its own spectrum.

    ``order`` is the degree of the background surface, which is fitted only to the other pixels. The
    noise follows from ``seed``; images that are compared must have different ones.
    """
    surface = fit_surface(image, order, blank)
    tile = _noise_tile(image, blank, seed)
    side, width = tile.shape[0], image.shape[1]
    noise = tile.repeat(1, -(-width // side))[:, :width].contiguous()
    filled = torch.empty_like(image)
    # Band by band, as high as the tile, which stays in the cache.
    for y in range(0, image.shape[0], side):
        rows = slice(y, y + side)
        if blank[rows].any():
            filling = surface.added_to(noise[: image.shape[0] - y], y)
            torch.where(blank[rows], filling, image[rows], out=filled[rows])
        else:
            filled[rows] = image[rows]
    return filled


def _noise_tile(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"], seed: int
) -> Float[Tensor, "tile tile"]:
    """A square of periodic noise with the power spectrum of the valid image."""
    generator = torch.Generator().manual_seed(seed)
    patches = _valid_patches(image, blank)
    if patches is None:  # no place wide enough: white noise of the right strength
        white = torch.randn(_SMALLEST_TILE_PX, _SMALLEST_TILE_PX, generator=generator)
        return white.to(image.device) * image[~blank].std()
    side = patches.shape[-1]
    # Welch's estimate of the power, under a window that keeps the variance of white noise.
    along = torch.sin(torch.pi * (torch.arange(side, device=image.device) + 0.5) / side).square()
    window = along[:, None] * along / along.square().mean()
    flat = patches - patches.mean(dim=(1, 2), keepdim=True)
    power = fourier.spectrum_of(flat * window).abs().square().mean(dim=0)
    # Its square root turns white noise into noise of that power.
    white = torch.randn(side, side, generator=generator).to(image.device)
    spectrum = fourier.spectrum_of(white) * power.sqrt() * side
    spectrum[0, 0] = 0
    return fourier.image_of(spectrum, (side, side))


def _valid_patches(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"]
) -> Float[Tensor, "n side side"] | None:
    """Up to 16 square patches, evenly chosen, without blank pixels, with a side of 256 pixels or
    the largest power of two for which there is room; None if there is no room even for 32.
    """
    side = _TILE_PX
    while side >= _SMALLEST_TILE_PX:
        corners = _valid_corners(blank, side // 2)
        if len(corners):
            chosen = corners[:: -(-len(corners) // _MOST_PATCHES)].tolist()
            return torch.stack([image[y : y + side, x : x + side] for y, x in chosen])
        side //= 2
    return None


def _valid_corners(blank: Bool[Tensor, "y x"], step: int) -> Int[Tensor, "n 2"]:
    """The corners (y, x), multiples of ``step``, of all squares of 2×2 steps without blank pixels,
    row by row.
    """
    whole = [slice(length // step * step) for length in blank.shape]
    steps = blank[whole[0], whole[1]].unflatten(0, (-1, step)).any(dim=1)
    steps = ~steps.unflatten(1, (-1, step)).any(dim=2)
    squares = steps[1:, 1:] & steps[1:, :-1] & steps[:-1, 1:] & steps[:-1, :-1]
    return squares.nonzero() * step
