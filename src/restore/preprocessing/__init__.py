"""The pipeline from a raw image to the network's input, and back, for training, denoising and
evaluation alike.

Pixels without data are filled, hot pixels replaced, and a smooth background and the jump between
opposite borders subtracted; then come Fourier cropping, band-pass filtering, phase flipping, and
scaling to zero mean and unit standard deviation (Palovcak 2020, S2.1). The settings that training
and use must share are the `Recipe`, which is stored in patch and model files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from restore import fourier
from restore.blank_filling import fill_blank_pixels
from restore.blank_pixels import find_blank_pixels, is_without_data, union
from restore.ctf import ctf_sign, require_plausible_defocus
from restore.errors import UserError
from restore.fourier import Shape
from restore.hot_pixels import replace_hot_pixels
from restore.micrograph import CTFParameters
from restore.preprocessing.flat import flattened
from restore.preprocessing.grid import Grid, cropped_grid
from restore.preprocessing.recipe import Recipe

PREPARATION_VERSION = 4
"""Increased when the same recipe gives a different result for the same image; in 2, pixels without
data are filled, in 3, they are ignored in the search for hot pixels, and in 4, a jump between
opposite borders is subtracted.
"""

_FEWEST_VALID = 0.05
_BAND_ROWS = 256  # of an image that are processed at a time


@dataclass(frozen=True)
class Prepared:
    """A prepared image for the network, and the values needed to undo the scaling.

    The input's grey values are ``image * scale + mean``.

    Attributes
    ----------
    image
        The cropped, filtered image (y, x), with mean 0 and standard deviation 1.
    grid
        Its sampling, and that of the input.
    scale, mean
        Standard deviation and mean, in the input's grey values, of the pixels that hold data.
    hot_pixels
        Number of hot pixels of the input that were replaced.
    blank
        Mask (y, x) of the pixels of ``image`` that hold no data; None if all of them do.
    blank_pixels
        Number of pixels of the input that hold no data.
    """

    image: Float[Tensor, "y x"]
    grid: Grid
    scale: float
    mean: float
    hot_pixels: int
    blank: Bool[Tensor, "y x"] | None = None
    blank_pixels: int = 0


def prepare(
    image: Float[Tensor, "full_y full_x"],
    pixel_size_A: float,
    ctf: CTFParameters | None,
    recipe: Recipe,
) -> Prepared:
    """Prepare a raw image for the network. ``ctf`` is needed, and used, only if the recipe flips
    phases.
    """
    return prepare_alike([image], pixel_size_A, ctf, recipe)[0]


def prepare_alike(
    images: Sequence[Float[Tensor, "full_y full_x"]],
    pixel_size_A: float,
    ctf: CTFParameters | None,
    recipe: Recipe,
) -> list[Prepared]:
    """`prepare` for several raw images of one exposure, with the same shape and the same CTF, which
    is computed once. A pixel without data in any of them is ignored in all of them.
    """
    return prepare_masked(images, pixel_size_A, ctf, recipe, common_blank_pixels(images))


def common_blank_pixels(
    images: Sequence[Float[Tensor, "y x"]],
) -> Bool[Tensor, "y x"] | None:
    """The pixels that hold no data in at least one of several raw images; None if all pixels hold
    data in all. Raises UserError if hardly any pixels are left.
    """
    return blank_in_any([blank_pixels_of(image) for image in images])


def blank_pixels_of(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """The pixels of a raw image that hold no data, which may be all of them; None if all hold
    data.
    """
    blank = find_blank_pixels(image)
    if blank is None and is_without_data(image):
        return torch.ones(image.shape, dtype=torch.bool, device=image.device)
    return blank


def blank_in_any(
    masks: Sequence[Bool[Tensor, "y x"] | None],
) -> Bool[Tensor, "y x"] | None:
    """The pixels that are blank in any of the masks of `blank_pixels_of`; None if there are none.
    Raises UserError if hardly any pixels are left.
    """
    blank = union(list(masks))
    if blank is not None:
        share = 1 - int(blank.count_nonzero()) / blank.numel()
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
    """`prepare_alike` if the pixels without data are known (``blank``, None for no pixel).

    In this way images without noise, such as a simulated truth or a denoised image, get the mask of
    their raw image.
    """
    grid = cropped_grid(
        (images[0].shape[0], images[0].shape[1]), pixel_size_A, recipe.max_resolution_A
    )
    passed = transfer(grid, ctf, recipe, images[0].device)
    way = _Way(grid, passed, recipe)
    if blank is None:
        return [_prepared(image, way) for image in images]
    return [_prepared_around(image, blank, way, seed) for seed, image in enumerate(images)]


@dataclass(frozen=True)
class _Way:
    """What all images of one exposure share: the grid, the transfer function of the preparation,
    the recipe.
    """

    grid: Grid
    passed: Float[Tensor, "y kx"]
    recipe: Recipe


def _prepared(image: Float[Tensor, "full_y full_x"], way: _Way) -> Prepared:
    clean, hot_pixels = replace_hot_pixels(image, way.recipe.hot_pixel_sigma)
    band = _band_of(clean, way)
    scale = band.std()
    _require_contrast(scale)
    return Prepared(band / scale, way.grid, float(scale), float(clean.mean()), hot_pixels)


def _prepared_around(
    image: Float[Tensor, "full_y full_x"],
    blank: Bool[Tensor, "full_y full_x"],
    way: _Way,
    seed: int,
) -> Prepared:
    """`_prepared` for an image with pixels without data, which are filled and ignored in the
    scaling.
    """
    clean, hot_pixels = completed(image, blank, way.recipe, seed)
    band = _band_of(clean, way, blank)
    blank_on_grid = _on_grid(blank, way.grid.shape)
    valid = (~blank_on_grid).to(band.dtype)
    count = valid.sum()
    if not count > 1:
        _require_contrast(torch.zeros(()))
    mean = (band * valid).sum() / count
    centred = band - mean
    scale = ((centred * valid).square().sum() / (count - 1)).sqrt()
    _require_contrast(scale)
    return Prepared(
        centred / scale,
        way.grid,
        float(scale),
        _valid_mean(clean, blank),
        hot_pixels,
        blank_on_grid,
        int(blank.count_nonzero()),
    )


def _valid_mean(image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"]) -> float:
    """The mean of the pixels that are not blank."""
    valid = blank.numel() - int(blank.count_nonzero())
    bands = zip(image.split(_BAND_ROWS), blank.split(_BAND_ROWS), strict=True)
    return sum(float(band.masked_fill(mask, 0).sum()) for band, mask in bands) / valid


def completed(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"] | None, recipe: Recipe, seed: int = 0
) -> tuple[Float[Tensor, "y x"], int]:
    """The image with hot pixels replaced and ``blank`` ones filled, and the number of hot pixels.

    The filling depends on ``seed``: images that are compared need different ones.
    """
    clean, hot_pixels = replace_hot_pixels(image, recipe.hot_pixel_sigma, blank)
    if blank is not None:
        clean = fill_blank_pixels(clean, blank, recipe.background_order, seed)
    return clean, hot_pixels


def _band_of(
    clean: Float[Tensor, "full_y full_x"],
    way: _Way,
    blank: Bool[Tensor, "full_y full_x"] | None = None,
) -> Float[Tensor, "y x"]:
    """The filtered spectrum of an image, on the cropped grid."""
    flat = flattened(clean, way.grid.full_pixel_size_A, way.recipe, blank).image
    shape = way.grid.shape
    return fourier.image_of(fourier.cropped_spectrum_of(flat, shape) * way.passed, shape)


def _require_contrast(scale: Float[Tensor, ""]) -> None:
    if not scale > 0:
        raise UserError("the image is constant in the band that the recipe keeps")


def _on_grid(blank: Bool[Tensor, "full_y full_x"], shape: Shape) -> Bool[Tensor, "y x"]:
    """The pixels of the cropped grid that overlap a blank pixel of the full one."""
    on_grid = blank
    for axis, small in enumerate(shape):
        full = blank.shape[axis]
        cropped = torch.arange(small, device=blank.device)
        # The first and the last full pixel that each cropped one touches: integer arithmetic,
        # because the edges of both grids coincide at common multiples.
        first, last = cropped * full // small, ((cropped + 1) * full - 1) // small
        touched = on_grid.index_select(axis, first)
        for step in range(1, int((last - first).max()) + 1):
            touched |= on_grid.index_select(axis, torch.minimum(first + step, last))
        on_grid = touched
    return on_grid


def transfer(
    grid: Grid, ctf: CTFParameters | None, recipe: Recipe, device: torch.device | str = "cpu"
) -> Float[Tensor, "y kx"]:
    """The factor of each Fourier component of the cropped image: the band-pass times the sign of
    the CTF.

    It is zero at the Nyquist frequency of either axis: there +f and −f are one component, for which
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
            "the CTF is not known",
            wanted="phase flipping needs a CTF",
            do="run CTF estimation, or give `phase_flip=False`",
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


SOFT_EDGE = 0.97
"""The start of the soft low-pass of a full-size output, as a share of the recipe's Nyquist
frequency.
"""
