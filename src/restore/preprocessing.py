"""The one road from a raw image to what the network sees, and back; training, denoising and evaluation all take it.

Hot pixels out, smooth background off, Fourier crop, band-pass, phase flip, zero mean and unit standard deviation
(Palovcak 2020, S2.1). What training and use must agree on is the `Recipe`, which travels in patch and model files.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from restore import fourier
from restore.ctf import ctf_sign
from restore.errors import UserError
from restore.fourier import Shape
from restore.micrograph import CTFParameters

_BLOCK_PX = 16
_NEIGHBOURS_PX = 5


@dataclass(frozen=True)
class Recipe:
    """How images were prepared for the network.

    ``max_resolution_A`` is the Nyquist limit of the cropped image, ``highpass_A`` the band-pass's other edge.
    ``background_order`` is the degree of the surface that is taken off, ``hot_pixel_sigma`` how many local
    standard deviations away a pixel is replaced.
    """

    max_resolution_A: float = 4.5
    phase_flip: bool = True
    highpass_A: float = 200.0
    background_order: int = 2
    hot_pixel_sigma: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.max_resolution_A < self.highpass_A:
            raise UserError(
                f"max_resolution is {self.max_resolution_A:g} Å",
                wanted=f"it must be between 0 and {self.highpass_A:g} Å",
            )

    def card(self) -> dict[str, Any]:
        """The recipe as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "Recipe":
        """The recipe that `card` wrote; ValueError where a field is missing or unknown."""
        try:
            return cls(**card)
        except TypeError as error:
            raise ValueError(f"not a recipe: {error}") from None


@dataclass(frozen=True)
class Grid:
    """The full and the cropped sampling of one micrograph: shapes (y, x) in pixels, pixel sizes (y, x) in Å."""

    full_shape: Shape
    full_pixel_size_A: float
    shape: Shape
    pixel_size_yx_A: tuple[float, float]


@dataclass(frozen=True)
class Prepared:
    """What the network sees, and what it takes to go back: input grey value = ``image * scale + mean``."""

    image: Float[Tensor, "y x"]
    grid: Grid
    scale: float
    mean: float
    hot_pixels: int


def cropped_grid(full_shape: Shape, pixel_size_A: float, max_resolution_A: float) -> Grid:
    """The grid whose Nyquist frequency is 1/``max_resolution_A``, with even sides.

    Raises UserError where the image itself does not reach that far, or is too small to leave anything.
    """
    if 2 * pixel_size_A > max_resolution_A * (1 + 1e-6):
        raise UserError(
            f"max_resolution {max_resolution_A:g} Å is finer than the image's Nyquist limit, {2 * pixel_size_A:.4g} Å",
            do=f"give --max_resolution {math.ceil(20 * pixel_size_A) / 10:g} or more",
        )
    factor = 2 * pixel_size_A / max_resolution_A
    height, width = (min(2 * round(side * factor / 2), side // 2 * 2) for side in full_shape)
    if min(height, width) < 2 * _BLOCK_PX:
        raise UserError(
            f"an image of {full_shape[0]}×{full_shape[1]} pixels has only {height}×{width} "
            f"left at {max_resolution_A:g} Å",
            wanted=f"at least {2 * _BLOCK_PX} pixels a side",
            do="check the pixel size, or use a finer --max_resolution",
        )
    pixel_size_yx_A = (pixel_size_A * full_shape[0] / height, pixel_size_A * full_shape[1] / width)
    return Grid(full_shape, pixel_size_A, (height, width), pixel_size_yx_A)


def prepare(
    image: Float[Tensor, "full_y full_x"], pixel_size_A: float, ctf: CTFParameters | None, recipe: Recipe
) -> Prepared:
    """The network's view of a raw image. ``ctf`` is needed, and used, only where the recipe flips phases."""
    grid = cropped_grid((image.shape[0], image.shape[1]), pixel_size_A, recipe.max_resolution_A)
    clean, hot_pixels = replace_hot_pixels(image, recipe.hot_pixel_sigma)
    mean = clean.mean()
    flat = clean - smooth_background(clean, recipe.background_order)
    spectrum = fourier.crop(fourier.spectrum_of(flat), grid.full_shape, grid.shape)
    spectrum = spectrum * transfer(grid, ctf, recipe, image.device)
    band = fourier.image_of(spectrum, grid.shape)
    scale = band.std()
    if not scale > 0:
        raise UserError("the image is constant in the band that the recipe keeps")
    return Prepared(band / scale, grid, float(scale), float(mean), hot_pixels)


def transfer(
    grid: Grid, ctf: CTFParameters | None, recipe: Recipe, device: torch.device | str = "cpu"
) -> Float[Tensor, "y kx"]:
    """What each Fourier component of the cropped image is multiplied by: the band-pass, and the sign of the CTF.

    Nothing passes at the Nyquist frequency of either axis: there +f and −f are one component, and the CTF of an
    astigmatic image can have both signs.
    """
    frequency = fourier.frequency_per_A(grid.shape, grid.pixel_size_yx_A, device)
    band = fourier.bandpass(frequency, recipe.highpass_A, recipe.max_resolution_A)
    band[grid.shape[0] // 2, :] = 0
    band[:, -1] = 0
    if not recipe.phase_flip:
        return band
    if ctf is None:
        raise UserError(
            "no CTF is known", wanted="phase flipping needs one", do="run CTF estimation, or give --dont_phaseflip"
        )
    return band * ctf_sign(ctf, grid.shape, grid.pixel_size_yx_A, device)


def full_spectrum(denoised: Float[Tensor, "y x"], prepared: Prepared) -> tuple[Tensor, Float[Tensor, "full_y full_kx"]]:
    """The denoised image's spectrum on the full grid in the input's grey values, and the frequency (1/Å) there.

    A fifth-order soft edge ends at the recipe's Nyquist frequency, so that padding leaves no ringing. The mean is
    that of the input image.
    """
    grid = prepared.grid
    spectrum = fourier.spectrum_of(denoised) * prepared.scale
    spectrum = fourier.pad(spectrum, grid.shape, grid.full_shape)
    frequency = fourier.frequency_per_A(
        grid.full_shape, (grid.full_pixel_size_A, grid.full_pixel_size_A), denoised.device
    )
    nyquist = min(0.5 / side for side in grid.pixel_size_yx_A)
    spectrum = spectrum * fourier.soft_lowpass(frequency, SOFT_EDGE * nyquist, nyquist)
    spectrum[0, 0] = prepared.mean
    return spectrum, frequency


SOFT_EDGE = 0.9
"""Where the soft low-pass of a full-size output begins, as a share of the recipe's Nyquist frequency."""


def replace_hot_pixels(image: Float[Tensor, "y x"], sigma: float) -> tuple[Float[Tensor, "y x"], int]:
    """The image with far outliers replaced by the median of their neighbours, and how many there were.

    A pixel is an outlier when it is more than ``sigma`` standard deviations from the mean of its 16×16 block and
    from the median of its 5×5 neighbourhood; the standard deviation is the median over blocks, blind to outliers.
    """
    centred = image - image.mean()  # a square of large numbers would leave float32 no digits for the variance
    block_mean = avg_pool2d(centred[None, None], _BLOCK_PX, ceil_mode=True, count_include_pad=False)
    block_square = avg_pool2d(centred.square()[None, None], _BLOCK_PX, ceil_mode=True, count_include_pad=False)
    spread = (block_square - block_mean.square()).clamp(min=0).median().sqrt()
    local_mean = interpolate(block_mean, size=image.shape, mode="nearest")[0, 0]
    candidate = (centred - local_mean).abs() > sigma * spread
    if not spread > 0 or not candidate.any():
        return image, 0
    return _replace_outliers(image, candidate, float(sigma * spread))


def _replace_outliers(
    image: Float[Tensor, "y x"], candidate: Bool[Tensor, "y x"], distance: float
) -> tuple[Float[Tensor, "y x"], int]:
    """The candidates that are further than ``distance`` from their neighbourhood's median, replaced by it."""
    margin = _NEIGHBOURS_PX // 2
    padded = pad(image[None, None], (margin,) * 4, mode="reflect")[0, 0]
    offsets = torch.arange(_NEIGHBOURS_PX, device=image.device)
    ys, xs = candidate.nonzero(as_tuple=True)
    around = padded[ys[:, None, None] + offsets[:, None], xs[:, None, None] + offsets]
    median = around.flatten(1).median(dim=1).values
    hot = (image[ys, xs] - median).abs() > distance
    clean = image.clone()
    clean[ys[hot], xs[hot]] = median[hot]
    return clean, int(hot.sum())


def smooth_background(image: Float[Tensor, "y x"], order: int) -> Float[Tensor, "y x"]:
    """The polynomial surface of total degree ``order`` that fits the image's 16×16 block means best."""
    rows, columns = image.shape[0] // _BLOCK_PX, image.shape[1] // _BLOCK_PX
    means = avg_pool2d(image[None, None], _BLOCK_PX)[0, 0].double()
    block_y = _powers(rows, image.shape[0] / _BLOCK_PX, order, image.device)
    block_x = _powers(columns, image.shape[1] / _BLOCK_PX, order, image.device)
    terms = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    design = torch.stack([torch.outer(block_y[:, i], block_x[:, j]).flatten() for i, j in terms], dim=1)
    fitted = torch.linalg.lstsq(design, means.reshape(-1, 1)).solution[:, 0]
    coefficients = fitted.new_zeros(order + 1, order + 1)
    for coefficient, (i, j) in zip(fitted, terms, strict=True):
        coefficients[i, j] = coefficient
    full_y = _powers(image.shape[0], image.shape[0], order, image.device)
    full_x = _powers(image.shape[1], image.shape[1], order, image.device)
    return (full_y @ coefficients).to(image.dtype) @ full_x.T.to(image.dtype)


def _powers(count: int, extent: float, order: int, device: torch.device) -> Float[Tensor, "count order"]:
    """Powers 0 … ``order`` of the centres of ``count`` cells, on an axis that runs from −1 to 1 over ``extent`` cells."""
    centres = (torch.arange(count, device=device, dtype=torch.float64) + 0.5) / extent * 2 - 1
    return centres[:, None] ** torch.arange(order + 1, device=device)
