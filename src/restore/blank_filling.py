"""What stands in for pixels without data: the smooth background, and noise like the image's own.

The filling carries nothing: it has the spectrum of the image around it, and is independent from one
image to the next, so that two halves have nothing in common there.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier
from restore.background import fit_surface

_TILE_PX, _SMALLEST_TILE_PX = 256, 32
_MOST_PATCHES = 16


def fill_blank_pixels(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"], order: int, seed: int
) -> Float[Tensor, "y x"]:
    """The image with ``blank`` pixels replaced by its background and noise of its own spectrum.

    ``order`` is the degree of the background surface, which is fitted to the other pixels alone.
    The noise follows from ``seed``; images that are compared must have different ones.
    """
    surface = fit_surface(image, order, blank)
    places = blank.flatten().nonzero()[:, 0]
    y, x = places // image.shape[1], places % image.shape[1]
    tile = _noise_tile(image, blank, seed)
    filled = image.clone()
    filled.view(-1)[places] = surface.at(y, x) + tile[y % tile.shape[0], x % tile.shape[1]]
    return filled


def _noise_tile(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"], seed: int
) -> Float[Tensor, "tile tile"]:
    """A square of noise that continues itself periodically, with the power spectrum of the valid
    image.
    """
    generator = torch.Generator().manual_seed(seed)
    patches = _valid_patches(image, blank)
    if patches is None:  # nowhere wide enough: white noise of the right strength
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
    """Up to 16 square patches, evenly chosen, without blank pixels: of 256 pixels or the largest
    power of two that there is room for; None where even 32 are too many.
    """
    side = _TILE_PX
    while side >= _SMALLEST_TILE_PX:
        if side <= min(image.shape):
            step = side // 2
            corners = [
                (y, x)
                for y in range(0, image.shape[0] - side + 1, step)
                for x in range(0, image.shape[1] - side + 1, step)
            ]
            corners = _without_blank(blank, corners, side)
            if corners:
                chosen = corners[:: -(-len(corners) // _MOST_PATCHES)]
                return torch.stack([image[y : y + side, x : x + side] for y, x in chosen])
        side //= 2
    return None


def _without_blank(
    blank: Bool[Tensor, "y x"], corners: list[tuple[int, int]], side: int
) -> list[tuple[int, int]]:
    return [(y, x) for y, x in corners if not blank[y : y + side, x : x + side].any()]
