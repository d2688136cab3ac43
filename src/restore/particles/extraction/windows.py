"""Windows of a micrograph around its particles, cut, rescaled and normalised as by
``relion_preprocess``.
"""

from dataclasses import MISSING, dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from restore.errors import UserError
from restore.settings import setting

Normalise = Literal["own", "raw", "none"]


@dataclass(frozen=True)
class ExtractionSettings:
    """How windows are converted to particle images.

    A denoised background is nearly flat, and dividing by its standard deviation would make the
    particle far too strong. With ``normalise`` "raw" a denoised image is divided by the standard
    deviation of the raw image's background instead, so that the remaining signal keeps its raw
    scale and the amplitudes of two reconstructions can be compared.
    """

    box_px: int = setting(MISSING, "side of the window in the micrograph, even, in pixels")
    scale_px: int | None = setting(
        None,
        "side of the particle image after cropping in Fourier space, even, in pixels (default: "
        "the side of the window)",
    )
    background_radius_px: int | None = setting(
        None,
        "radius beyond which the background lies, in pixels of the particle image (default: 0.75 "
        "of half its side)",
    )
    normalise: Normalise = setting(
        "own",
        "background whose standard deviation becomes 1: the image's own, or the raw micrograph's "
        "at the same place",
        choices=("own", "raw", "none"),
    )
    ramp: bool = setting(
        True, "subtract a plane fitted to the background, otherwise only its mean", off="--no_ramp"
    )
    invert_contrast: bool = setting(
        True, "invert the contrast, so that protein becomes bright", off="--dont_invert_contrast"
    )
    engine: str = setting(
        "auto",
        "program that extracts: relion_preprocess (auto: where it is installed), or restore",
        choices=("auto", "relion", "own"),
    )

    def __post_init__(self) -> None:
        for name, value in (("box_px", self.box_px), ("scale_px", self.image_px)):
            if value < 2 or value % 2:
                raise UserError(
                    f"{name} is {value}",
                    wanted="An even number of pixels is needed",
                    do="choose another number",
                )
        if self.image_px > self.box_px:
            wanted = "Particle images cannot be finer than the micrograph"
            raise UserError(f"scale_px is {self.image_px}, and box_px {self.box_px}", wanted=wanted)
        if not 0 < 2 * self.radius_px <= self.image_px:
            wanted = f"The circle must lie inside the particle image of {self.image_px} pixels"
            raise UserError(
                f"background_radius_px is {self.radius_px}",
                wanted=wanted,
                do="choose another number",
            )

    @property
    def image_px(self) -> int:
        """Side of the particle images."""
        return self.box_px if self.scale_px is None else self.scale_px

    @property
    def radius_px(self) -> int:
        """The radius beyond which the background lies."""
        default = max(int(0.375 * self.image_px), 1)
        return default if self.background_radius_px is None else self.background_radius_px


def corners_px(
    coordinates_px: Float[NDArray[np.float64], "n 2"], box_px: int
) -> Int[NDArray[np.int64], "n 2"]:
    """The first column and row of each window, from coordinates x and y.

    RELION truncates the coordinates towards zero; the truncated coordinate is at pixel ``box_px /
    2`` of the window.

    >>> corners_px(np.array([[100.4, 80.6], [-5.6, 20.0]]), 32).tolist()
    [[84, 64], [-21, 4]]
    """
    return np.trunc(coordinates_px).astype(np.int64) - box_px // 2


def beyond_edges(
    corners: Int[NDArray[np.int64], "n 2"], box_px: int, shape: tuple[int, int]
) -> Bool[NDArray[np.bool_], "n"]:
    """Which windows reach beyond a micrograph of this shape (y, x)."""
    sides = np.array(shape[::-1])
    return np.any((corners < 0) | (corners + box_px > sides), axis=1)


def wholly_outside(
    corners: Int[NDArray[np.int64], "n 2"], box_px: int, shape: tuple[int, int]
) -> Bool[NDArray[np.bool_], "n"]:
    """Which windows have no pixel of a micrograph of this shape (y, x); RELION rejects them."""
    sides = np.array(shape[::-1])
    return np.any((corners + box_px <= 0) | (corners >= sides), axis=1)


def cut(
    image: Float[NDArray[np.floating], "y x"], corner: Int[NDArray[np.int64], "2"], box_px: int
) -> Float[NDArray[np.floating], "box box"]:
    """One window; pixels beyond the edge of the micrograph repeat the edge, as in RELION."""
    columns, rows = (
        np.clip(np.arange(start, start + box_px), 0, side - 1)
        for start, side in zip(corner, image.shape[::-1], strict=True)
    )
    return image[np.ix_(rows, columns)]


def rescaled(
    window: Float[NDArray[np.floating], "box box"], side_px: int
) -> Float[NDArray[np.float64], "side side"]:
    """The same field on fewer pixels, by cropping its Fourier transform. Grey values keep their
    scale.

    At the new Nyquist frequency only the component of positive ky is kept, as in RELION.
    """
    box_px = len(window)
    if side_px == box_px:
        return window.astype(np.float64)
    half = side_px // 2
    rows = [*range(half + 1), *range(1 - half, 0)]
    spectrum = np.fft.rfft2(window.astype(np.float64), norm="forward")[rows, : half + 1]
    return np.fft.irfft2(spectrum, s=(side_px, side_px), norm="forward")


class Background:
    """The background of particle images of one size: all beyond a radius, under which a plane or a
    mean is fitted.
    """

    def __init__(self, side_px: int, radius_px: int, ramp: bool) -> None:
        y, x = np.indices((side_px, side_px)) - side_px // 2
        terms = (np.ones_like(x), x, y) if ramp else (np.ones_like(x),)
        self._outside = x**2 + y**2 > radius_px**2
        self._terms = np.stack(terms, axis=-1).astype(np.float64)
        self._fit = np.linalg.pinv(self._terms[self._outside])

    def flattened(
        self, window: Float[NDArray[np.float64], "y x"]
    ) -> Float[NDArray[np.float64], "y x"]:
        """The window less the plane, or the mean, of its background."""
        return window - self._terms @ (self._fit @ window[self._outside])

    def deviation(self, flattened: Float[NDArray[np.float64], "y x"]) -> float:
        """The standard deviation of a flattened window's background."""
        return float(np.sqrt(np.mean(flattened[self._outside] ** 2)))


def own_windows(
    image: Float[NDArray[np.floating], "y x"],
    coordinates_px: Float[NDArray[np.float64], "n 2"],
    settings: ExtractionSettings,
) -> Float[NDArray[np.float32], "n side side"]:
    """The window around each particle, cut and rescaled, with the micrograph's grey values."""
    windows = np.empty((len(coordinates_px), settings.image_px, settings.image_px), np.float32)
    for index, corner in enumerate(corners_px(coordinates_px, settings.box_px)):
        windows[index] = rescaled(cut(image, corner, settings.box_px), settings.image_px)
    return windows


def normalised(
    windows: Float[NDArray[np.float32], "n y x"],
    raw: Float[NDArray[np.float32], "n y x"] | None,
    settings: ExtractionSettings,
) -> Float[NDArray[np.float32], "n y x"]:
    """The windows, each less the plane of its own background, divided by the background's standard
    deviation or by that of a ``raw`` window.

    The plane is the image's own in either case: denoised images need not have the slow gradients of
    the raw ones. Raises UserError, with the particle's number from 1, where a background is
    constant.
    """
    background = Background(settings.image_px, settings.radius_px, settings.ramp)
    done = np.empty_like(windows)
    for index, window in enumerate(windows):
        flat = background.flattened(window.astype(np.float64))
        measured = flat if raw is None else background.flattened(raw[index].astype(np.float64))
        deviation = background.deviation(measured)
        if not deviation > 1e-10:
            wanted, do = "The particle image cannot be normalised", "leave the particle out"
            raise UserError(
                f"the background of particle {index + 1} in it is constant", wanted=wanted, do=do
            )
        done[index] = flat / deviation
    return done
