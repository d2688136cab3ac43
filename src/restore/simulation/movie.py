"""The frames of a movie: the displaced specimen in each frame, and the electrons that the detector
counts.
"""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Integer
from scipy.ndimage import map_coordinates
from torch import Tensor

from restore.fourier import pad
from restore.simulation.damage import amplitude_left, exposure_in_frame_e_per_A2
from restore.simulation.microscope import HOT_PIXEL_RATES, Contrast, Exposure, with_hot_pixels
from restore.simulation.motion import Motion, local_displacement_yx_px
from restore.simulation.settings import SimulationSettings

_ROWS_AT_A_TIME = 128
_FINER = 2
_INTEGERS = {"mrc": (np.int8, np.int16, np.uint16), "tiff": (np.uint8, np.uint16)}


def movie_frames(
    exposure: Exposure,
    settings: SimulationSettings,
    motion: Motion,
    gain: Float[Tensor, "y x"],
    generator: torch.Generator,
) -> Iterator[Integer[np.ndarray, "y x"]]:
    """The electrons counted in each frame, in order: Poisson draws of :func:`expected_frame`, hot
    pixels included.

    They are independent of the exposure's halves. A pixel with gain g counts 1/g of its electrons,
    so that the counts times the gain are correct on average; only whole electrons are recorded. One
    frame is made at a time.
    """
    kind = counting_type(settings, float(gain.min()))
    for frame in range(settings.frames):
        rate = with_hot_pixels(expected_frame(exposure, settings, motion, frame), settings) / gain
        counts = torch.poisson(rate, generator).numpy()
        yield np.minimum(counts, np.iinfo(kind).max).astype(kind)


def expected_frame(
    exposure: Exposure, settings: SimulationSettings, motion: Motion, frame: int
) -> Float[Tensor, "y x"]:
    """The expected counts in ``frame`` (from zero), without noise and hot pixels.

    The specimen is displaced according to this frame; the ice gradient, smooth over the whole
    field, is not. There is no motion within a frame.
    """
    contrast = exposure.contrast
    if settings.radiation_damage:
        dose = exposure_in_frame_e_per_A2(settings.dose_e_per_A2, settings.frames, frame)
        contrast = contrast.filtered(amplitude_left(contrast.k_per_A, dose, settings.voltage_kV))
    image = displaced(contrast, motion, frame, settings.shape)
    return (exposure.intensity / settings.frames * (1 - image)).clamp(min=0)


def displaced(
    contrast: Contrast, motion: Motion, frame: int, shape: tuple[int, int]
) -> Float[Tensor, "y x"]:
    """The image of a contrast displaced as in ``frame``: drift by phase shifts, local motion by
    interpolation.

    Cubic B-splines are used on a grid twice as fine, and their own filter is undone in the
    spectrum: without the finer grid they would attenuate components near the Nyquist frequency,
    such as the water ring.
    """
    ky, kx = (
        torch.fft.fftfreq(contrast.canvas[0])[:, None],
        torch.fft.rfftfreq(contrast.canvas[1])[None],
    )
    dy, dx = motion.drift_yx_px[frame]
    ramps = [torch.exp(-2j * math.pi * k * float(d)) for k, d in ((ky, dy), (kx, dx))]
    if not motion.is_local:
        return contrast.filtered(*ramps).image(shape)
    return _interpolated(contrast.filtered(*ramps), motion, frame, shape)


def counting_type(
    settings: SimulationSettings, least_gain: float
) -> type[np.signedinteger | np.unsignedinteger]:
    """The smallest integer type of the movie's format that no count will exceed, including hot
    pixels.

    The bound is ten standard deviations above twice the mean, which leaves room for the ice
    gradient and contrast.
    """
    brightest = (
        2
        * settings.dose_per_frame_e_per_px
        / least_gain
        * (HOT_PIXEL_RATES[1] if settings.hot_pixels else 1)
    )
    bound = brightest + 10 * math.sqrt(brightest) + 20
    return next(
        (kind for kind in _INTEGERS[settings.movies] if bound <= np.iinfo(kind).max), np.uint16
    )


def detector_gain(settings: SimulationSettings) -> Float[Tensor, "y x"]:
    """The gain reference (mean one) by which counts must be multiplied, the same for all
    micrographs of a session.
    """
    detector = np.random.default_rng([settings.seed, 2**31 + 1])
    gain = np.exp(settings.gain_spread * detector.standard_normal(settings.shape, dtype=np.float32))
    return torch.from_numpy(gain / gain.mean())


def _interpolated(
    contrast: Contrast, motion: Motion, frame: int, shape: tuple[int, int]
) -> Float[Tensor, "y x"]:
    """The values of the canvas at the original position of each pixel's specimen."""
    splines, margin = _spline_coefficients(contrast).numpy(), contrast.margin_px
    image = np.empty(shape, dtype=np.float32)
    y, x = (np.arange(n) + margin for n in shape)

    def fill(start: int) -> None:
        rows = slice(start, start + _ROWS_AT_A_TIME)
        dy, dx = local_displacement_yx_px(motion, frame, shape, rows)
        places = np.stack([y[rows, None] - dy, x - dx]) * _FINER
        map_coordinates(
            splines, places, output=image[rows], order=3, mode="grid-wrap", prefilter=False
        )

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        deque(pool.map(fill, range(0, shape[0], _ROWS_AT_A_TIME)), maxlen=0)
    return torch.from_numpy(image)


def _spline_coefficients(contrast: Contrast) -> Float[Tensor, "fine_y fine_x"]:
    """The canvas on the finer grid, as coefficients of cubic B-splines whose values at whole pixels
    are 1/6, 4/6, 1/6.
    """
    fine = (contrast.canvas[0] * _FINER, contrast.canvas[1] * _FINER)
    spectrum = pad(contrast.spectrum, contrast.canvas, fine) * float(_FINER**2)
    for k_per_px in (torch.fft.fftfreq(fine[0])[:, None], torch.fft.rfftfreq(fine[1])):
        spectrum /= (2 + torch.cos(2 * math.pi * k_per_px)) / 3
    return torch.fft.irfft2(spectrum, s=fine)
