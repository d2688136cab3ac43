"""The one road from a raw image to what the network sees, and back; training, denoising and
evaluation all take it.

Hot pixels out, smooth background off, Fourier crop, band-pass, phase flip, zero mean and unit
standard deviation (Palovcak 2020, S2.1). What training and use must agree on is the `Recipe`, which
travels in patch and model files.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from restore import fourier
from restore.ctf import ctf_sign
from restore.errors import UserError
from restore.fourier import Shape
from restore.micrograph import CTFParameters

_BLOCK_PX = 16
_NEIGHBOURS_PX = 5
_HIGHEST_ORDER = 10


@dataclass(frozen=True)
class Recipe:
    """How images were prepared for the network.

    ``max_resolution_A`` is the Nyquist limit of the cropped image, ``highpass_A`` the band-pass's
    other edge. ``background_order`` is the degree of the surface that is taken off,
    ``hot_pixel_sigma`` how many local standard deviations away a pixel is replaced.
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
        if not (self.hot_pixel_sigma > 0 and 0 <= self.background_order <= _HIGHEST_ORDER):
            raise UserError(
                f"hot_pixel_sigma is {self.hot_pixel_sigma:g}, background_order "
                f"{self.background_order}",
                wanted=f"the one must be positive, the other from 0 to {_HIGHEST_ORDER}",
            )

    def card(self) -> dict[str, Any]:
        """The recipe as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "Recipe":
        """The recipe that `card` wrote; ValueError where a field is unknown or of another type."""
        for name, value in card.items():
            kinds = {"phase_flip": bool, "background_order": int}.get(name, int | float)
            is_number = isinstance(value, int | float) and math.isfinite(value)
            if (
                not isinstance(value, kinds)
                or not is_number
                or isinstance(value, bool) != (kinds is bool)
            ):
                raise ValueError(f"not a recipe: {name} is {value!r}")
        try:
            return cls(**card)
        except TypeError as error:
            raise ValueError(f"not a recipe: {error}") from None


@dataclass(frozen=True)
class Grid:
    """The full and the cropped sampling of one micrograph: shapes (y, x) in pixels, pixel sizes (y,
    x) in Å.
    """

    full_shape: Shape
    full_pixel_size_A: float
    shape: Shape
    pixel_size_yx_A: tuple[float, float]


@dataclass(frozen=True)
class Prepared:
    """What the network sees, and what it takes to go back: input grey value = ``image * scale +
    mean``.
    """

    image: Float[Tensor, "y x"]
    grid: Grid
    scale: float
    mean: float
    hot_pixels: int


def cropped_grid(full_shape: Shape, pixel_size_A: float, max_resolution_A: float) -> Grid:
    """The grid whose Nyquist frequency is 1/``max_resolution_A``, with even sides.

    Raises UserError where the image itself does not reach that far, or is too small to leave
    anything.
    """
    if 2 * pixel_size_A > max_resolution_A * (1 + 1e-6):
        raise UserError(
            f"max_resolution {max_resolution_A:g} Å is finer than the image's Nyquist limit, "
            f"{2 * pixel_size_A:.4g} Å",
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
    image: Float[Tensor, "full_y full_x"],
    pixel_size_A: float,
    ctf: CTFParameters | None,
    recipe: Recipe,
) -> Prepared:
    """The network's view of a raw image. ``ctf`` is needed, and used, only where the recipe flips
    phases.
    """
    return prepare_alike([image], pixel_size_A, ctf, recipe)[0]


def prepare_alike(
    images: Sequence[Float[Tensor, "full_y full_x"]],
    pixel_size_A: float,
    ctf: CTFParameters | None,
    recipe: Recipe,
) -> list[Prepared]:
    """`prepare` for several images of one exposure: of one shape and one CTF, which is computed
    once.
    """
    grid = cropped_grid(
        (images[0].shape[0], images[0].shape[1]), pixel_size_A, recipe.max_resolution_A
    )
    passed = transfer(grid, ctf, recipe, images[0].device)
    return [_prepared(image, grid, passed, recipe) for image in images]


def _prepared(
    image: Float[Tensor, "full_y full_x"], grid: Grid, passed: Float[Tensor, "y kx"], recipe: Recipe
) -> Prepared:
    clean, hot_pixels = replace_hot_pixels(image, recipe.hot_pixel_sigma)
    flat = without_background(clean, recipe.background_order)
    band = fourier.image_of(fourier.cropped_spectrum_of(flat, grid.shape) * passed, grid.shape)
    scale = band.std()
    if not scale > 0:
        raise UserError("the image is constant in the band that the recipe keeps")
    return Prepared(band / scale, grid, float(scale), float(clean.mean()), hot_pixels)


def transfer(
    grid: Grid, ctf: CTFParameters | None, recipe: Recipe, device: torch.device | str = "cpu"
) -> Float[Tensor, "y kx"]:
    """What each Fourier component of the cropped image is multiplied by: the band-pass, and the
    sign of the CTF.

    Nothing passes at the Nyquist frequency of either axis: there +f and −f are one component, and
    the CTF of an astigmatic image can have both signs.
    """
    frequency = fourier.frequency_per_A(grid.shape, grid.pixel_size_yx_A, device)
    band = fourier.bandpass(frequency, recipe.highpass_A, recipe.max_resolution_A)
    band[grid.shape[0] // 2, :] = 0
    band[:, -1] = 0
    if not recipe.phase_flip:
        return band
    if ctf is None:
        raise UserError(
            "no CTF is known",
            wanted="phase flipping needs one",
            do="run CTF estimation, or give --dont_phaseflip",
        )
    return band * ctf_sign(ctf, grid.shape, grid.pixel_size_yx_A, device)


def restored_spectrum(
    denoised: Float[Tensor, "y x"], prepared: Prepared
) -> Complex[Tensor, "y kx"]:
    """The denoised image's spectrum, on the cropped grid, in the input's grey values and with its
    mean.

    A fifth-order soft edge ends at the recipe's Nyquist frequency, so that padding to the full grid
    leaves no ringing.
    """
    grid = prepared.grid
    frequency = fourier.frequency_per_A(grid.shape, grid.pixel_size_yx_A, denoised.device)
    nyquist = min(0.5 / side for side in grid.pixel_size_yx_A)
    spectrum = fourier.spectrum_of(denoised) * prepared.scale
    spectrum = spectrum * fourier.soft_lowpass(frequency, SOFT_EDGE * nyquist, nyquist)
    spectrum[0, 0] = prepared.mean
    return spectrum


SOFT_EDGE = 0.9
"""Where the soft low-pass of a full-size output begins, as a share of the recipe's Nyquist
frequency.
"""


def replace_hot_pixels(
    image: Float[Tensor, "y x"], sigma: float
) -> tuple[Float[Tensor, "y x"], int]:
    """The image with far outliers replaced by the median of their neighbours, and how many there
    were.

    A pixel is an outlier when it is more than ``sigma`` standard deviations from the mean of its
    16×16 block and from the median of its 5×5 neighbourhood; the standard deviation is the median
    over blocks, blind to outliers.
    """
    height, width = image.shape
    centred = (
        image - image.mean()
    )  # a square of large numbers would leave float32 no digits for the variance
    blocks = _blocks(pad(centred, (0, -width % _BLOCK_PX, 0, -height % _BLOCK_PX)))
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
    ys, xs = rows[block] * _BLOCK_PX + y, columns[block] * _BLOCK_PX + x
    inside = (ys < height) & (xs < width)
    return _replace_outliers(image, (ys[inside], xs[inside]), float(distance))


def _blocks(image: Float[Tensor, "y x"]) -> Float[Tensor, "rows 16 columns 16"]:
    """The image as blocks; its sides must be multiples of theirs."""
    return image.unflatten(1, (-1, _BLOCK_PX)).unflatten(0, (-1, _BLOCK_PX))


def _block_sizes(side: int, device: torch.device) -> Float[Tensor, "blocks"]:
    """How many pixels each block along an axis has: 16, or what is left for the last."""
    edges = torch.arange(0, side, _BLOCK_PX, device=device)
    return (side - edges).clamp(max=_BLOCK_PX).float()


def _replace_outliers(
    image: Float[Tensor, "y x"], places: tuple[Int[Tensor, "n"], Int[Tensor, "n"]], distance: float
) -> tuple[Float[Tensor, "y x"], int]:
    """Those of the pixels at these places that are further than ``distance`` from their
    neighbourhood's median, replaced by it.
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


def without_background(image: Float[Tensor, "y x"], order: int) -> Float[Tensor, "y x"]:
    """The image less the polynomial surface of total degree ``order`` that fits its 16×16 block
    means best.
    """
    rows, columns = image.shape[0] // _BLOCK_PX, image.shape[1] // _BLOCK_PX
    means = _blocks(image[: rows * _BLOCK_PX, : columns * _BLOCK_PX]).mean(dim=(1, 3)).double()
    block_y = _powers(rows, image.shape[0] / _BLOCK_PX, order, image.device)
    block_x = _powers(columns, image.shape[1] / _BLOCK_PX, order, image.device)
    terms = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    design = torch.stack(
        [torch.outer(block_y[:, i], block_x[:, j]).flatten() for i, j in terms], dim=1
    )
    fitted = torch.linalg.lstsq(design, means.reshape(-1, 1)).solution[:, 0]
    coefficients = fitted.new_zeros(order + 1, order + 1)
    for coefficient, (i, j) in zip(fitted, terms, strict=True):
        coefficients[i, j] = coefficient
    full_y = _powers(image.shape[0], image.shape[0], order, image.device)
    full_x = _powers(image.shape[1], image.shape[1], order, image.device)
    return torch.addmm(
        image, (full_y @ coefficients).to(image.dtype), full_x.T.to(image.dtype), alpha=-1
    )


def _powers(
    count: int, extent: float, order: int, device: torch.device
) -> Float[Tensor, "count order"]:
    """Powers 0 … ``order`` of the centres of ``count`` cells, on an axis that runs from −1 to 1
    over ``extent`` cells.
    """
    centres = (torch.arange(count, device=device, dtype=torch.float64) + 0.5) / extent * 2 - 1
    return centres[:, None] ** torch.arange(order + 1, device=device)
