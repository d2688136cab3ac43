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
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from restore import fourier
from restore.background import BLOCK_PX, blocks_of, without_background
from restore.blank_filling import fill_blank_pixels
from restore.blank_pixels import find_blank_pixels, union
from restore.ctf import ctf_sign, require_plausible_defocus
from restore.errors import UserError
from restore.fourier import Shape
from restore.micrograph import CTFParameters

_NEIGHBOURS_PX = 5
_SAMPLED = 8
_FEWEST_VALID = 0.05
_HIGHEST_ORDER = 6


@dataclass(frozen=True)
class Recipe:
    """How images were prepared for the network.

    ``max_resolution_A`` is the Nyquist limit of the cropped image, ``highpass_A`` the band-pass's
    other edge. ``background_order`` is the degree of the surface that is taken off,
    ``hot_pixel_sigma`` how many local standard deviations away a pixel is replaced (infinity: none
    is). Raises UserError where a value is impossible or of another type.
    """

    max_resolution_A: float = 4.5
    phase_flip: bool = True
    highpass_A: float = 200.0
    background_order: int = 2
    hot_pixel_sigma: float = 10.0

    def __post_init__(self) -> None:
        if type(self.phase_flip) is not bool:
            raise UserError(f"phase_flip is {self.phase_flip!r}", wanted="it must be true or false")
        for name in ("max_resolution_A", "highpass_A", "hot_pixel_sigma", "background_order"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{name} is {value!r}", wanted="it must be a number")
        if not self.hot_pixel_sigma > 0:
            raise UserError(
                f"hot_pixel_sigma is {self.hot_pixel_sigma:g}", wanted="it must be more than 0"
            )
        if self.background_order not in range(_HIGHEST_ORDER + 1):
            raise UserError(
                f"background_order is {self.background_order:g}",
                wanted=f"it must be a whole number from 0 to {_HIGHEST_ORDER}",
            )
        if not (0 < self.max_resolution_A < self.highpass_A < math.inf):
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

    ``blank`` marks the pixels of the cropped image that hold no data, None where all of them do;
    scale and mean are those of the others. ``blank_pixels`` counts them in the input.
    """

    image: Float[Tensor, "y x"]
    grid: Grid
    scale: float
    mean: float
    hot_pixels: int
    blank: Bool[Tensor, "y x"] | None = None
    blank_pixels: int = 0


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
    if min(height, width) < 2 * BLOCK_PX:
        raise UserError(
            f"an image of {full_shape[0]}×{full_shape[1]} pixels has only {height}×{width} "
            f"left at {max_resolution_A:g} Å",
            wanted=f"at least {2 * BLOCK_PX} pixels a side",
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
    """`prepare` for several raw images of one exposure: of one shape and one CTF, which is computed
    once. A pixel without data in any of them counts for none of them.
    """
    return prepare_masked(images, pixel_size_A, ctf, recipe, common_blank_pixels(images))


def common_blank_pixels(
    images: Sequence[Float[Tensor, "y x"]],
) -> Bool[Tensor, "y x"] | None:
    """The pixels that hold no data in any one of several raw images; None where all of them do.

    Raises UserError where nearly nothing is left.
    """
    blank = union([find_blank_pixels(image) for image in images])
    if blank is not None:
        share = 1 - int(blank.sum()) / blank.numel()
        if share < _FEWEST_VALID:
            raise UserError(
                f"only {100 * share:.1f} % of the pixels hold data",
                wanted="the others are flat: a border, a masked area, or the edge of the beam",
            )
    return blank


def prepare_masked(
    images: Sequence[Float[Tensor, "full_y full_x"]],
    pixel_size_A: float,
    ctf: CTFParameters | None,
    recipe: Recipe,
    blank: Bool[Tensor, "full_y full_x"] | None,
) -> list[Prepared]:
    """`prepare_alike` where it is known which pixels hold no data (``blank``, None for no pixel).

    So images without noise, a simulated truth or a denoised image, get the mask of the raw image
    that they belong to.
    """
    grid = cropped_grid(
        (images[0].shape[0], images[0].shape[1]), pixel_size_A, recipe.max_resolution_A
    )
    passed = transfer(grid, ctf, recipe, images[0].device)
    if blank is None:
        return [_prepared(image, grid, passed, recipe) for image in images]
    return [
        _prepared_around(image, blank, grid, passed, recipe, seed=seed)
        for seed, image in enumerate(images)
    ]


def _prepared(
    image: Float[Tensor, "full_y full_x"], grid: Grid, passed: Float[Tensor, "y kx"], recipe: Recipe
) -> Prepared:
    clean, hot_pixels = replace_hot_pixels(image, recipe.hot_pixel_sigma)
    band = _band_of(clean, grid, passed, recipe)
    scale = band.std()
    _require_contrast(scale)
    return Prepared(band / scale, grid, float(scale), float(clean.mean()), hot_pixels)


def _prepared_around(
    image: Float[Tensor, "full_y full_x"],
    blank: Bool[Tensor, "full_y full_x"],
    grid: Grid,
    passed: Float[Tensor, "y kx"],
    recipe: Recipe,
    *,
    seed: int,
) -> Prepared:
    """`_prepared` for an image with pixels without data, which are filled and do not count."""
    clean, hot_pixels = completed(image, blank, recipe, seed)
    band = _band_of(clean, grid, passed, recipe)
    blank_on_grid = _on_grid(blank, grid.shape)
    values = band[~blank_on_grid]
    if not values.numel():
        _require_contrast(torch.zeros(()))
    scale = values.std()
    _require_contrast(scale)
    # The mean of the valid pixels, from those of all and of the filled ones.
    pixels, blank_pixels = blank.numel(), int(blank.sum())
    filled = float(clean[blank].mean()) * blank_pixels
    mean = (float(clean.mean()) * pixels - filled) / (pixels - blank_pixels)
    return Prepared(
        (band - values.mean()) / scale,
        grid,
        float(scale),
        mean,
        hot_pixels,
        blank_on_grid,
        blank_pixels,
    )


def completed(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"] | None, recipe: Recipe, seed: int = 0
) -> tuple[Float[Tensor, "y x"], int]:
    """The image with hot pixels replaced and ``blank`` ones filled, and how many were hot.

    The filling follows from ``seed``: images that are compared need different ones.
    """
    if blank is None:
        return replace_hot_pixels(image, recipe.hot_pixel_sigma)
    # Blank pixels first get the image's usual value, beside which hot ones can be told.
    sample = image[::_SAMPLED, ::_SAMPLED][~blank[::_SAMPLED, ::_SAMPLED]]
    usual = sample.median() if sample.numel() else image[~blank].median()
    flat = torch.where(blank, usual, image)
    clean, hot_pixels = replace_hot_pixels(flat, recipe.hot_pixel_sigma)
    return fill_blank_pixels(clean, blank, recipe.background_order, seed), hot_pixels


def _band_of(
    clean: Float[Tensor, "full_y full_x"], grid: Grid, passed: Float[Tensor, "y kx"], recipe: Recipe
) -> Float[Tensor, "y x"]:
    """What passes of an image, on the cropped grid."""
    flat = without_background(clean, recipe.background_order)
    return fourier.image_of(fourier.cropped_spectrum_of(flat, grid.shape) * passed, grid.shape)


def _require_contrast(scale: Float[Tensor, ""]) -> None:
    if not scale > 0:
        raise UserError("the image is constant in the band that the recipe keeps")


def _on_grid(blank: Bool[Tensor, "full_y full_x"], shape: Shape) -> Bool[Tensor, "y x"]:
    """The pixels of the cropped grid that a blank pixel of the full one lies in, wholly or in
    part.
    """
    # The first and the last cropped pixel that each full one touches along either axis: integer
    # arithmetic, because the edges of both grids coincide at common multiples.
    places = blank.nonzero(as_tuple=True)
    touched = [
        (index * small // full, ((index + 1) * small - 1) // full)
        for index, full, small in zip(places, blank.shape, shape, strict=True)
    ]
    on_grid = torch.zeros(shape, dtype=torch.bool, device=blank.device)
    for rows in touched[0]:
        for columns in touched[1]:
            on_grid[rows, columns] = True
    return on_grid


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
    require_plausible_defocus(ctf)
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
    """How many pixels each block along an axis has: 16, or what is left for the last."""
    edges = torch.arange(0, side, BLOCK_PX, device=device)
    return (side - edges).clamp(max=BLOCK_PX).float()


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
