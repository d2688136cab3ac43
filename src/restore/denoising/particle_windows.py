"""The surroundings of a particle image: from its micrograph, or by reflection."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from restore.particles.extraction.windows import rescaled

_ALIKE = 0.5
"""The least share of a particle image's variance that its window in the micrograph must explain. It
is near 1 for the right window and, because of the noise, near 0 for any other.
"""


@dataclass(frozen=True)
class Surrounded:
    """A particle image in the middle of a larger one.

    ``contrast`` is the sign between the grey values of the micrograph and of the particle, or None
    if there is no micrograph, or the particle is not found in it at its coordinates.
    """

    image: Float[NDArray[np.float64], "Y X"]
    contrast: int | None


def margin_px(wanted_px: float, image_px: int, window_px: int) -> int:
    """The margin, in pixels of the particle image, that is at least ``wanted_px`` and corresponds
    to a whole number of pixels of the micrograph, in which the image is a window of ``window_px``.

    >>> margin_px(10.0, 64, 64), margin_px(10.0, 64, 96), margin_px(10.0, 64, 100)
    (10, 10, 16)
    """
    step = image_px // math.gcd(image_px, window_px)
    return math.ceil(wanted_px / step) * step


def reflected(start: int, count: int, side: int) -> Int[NDArray[np.int64], "count"]:
    """Indices from ``start`` on, reflected at both ends of an axis of ``side`` pixels as often as
    needed; the edge itself is not repeated.

    >>> reflected(-2, 8, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    period = max(2 * side - 2, 1)
    places = np.arange(start, start + count) % period
    return np.minimum(places, period - places)


@dataclass(frozen=True)
class Window:
    """The part of a micrograph around a particle, sampled like the particle image and with a margin
    on each side; ``inside`` marks the pixels of the particle image itself that are within the
    micrograph.
    """

    image: Float[NDArray[np.float64], "Y X"]
    inside: Bool[NDArray[np.bool_], "y x"]


def window_of(
    micrograph: Float[NDArray[np.floating], "y x"],
    corner_px: Int[NDArray[np.int64], "2"],
    window_px: int,
    image_px: int,
    margin: int,
) -> Window:
    """The window of a micrograph around a particle.

    ``corner_px`` is the first column and row of the particle's own window of ``window_px``; beyond
    its edges the micrograph is reflected.
    """
    beyond = margin * window_px // image_px
    side = window_px + 2 * beyond
    columns, rows = (
        reflected(int(start) - beyond, side, extent)
        for start, extent in zip(corner_px, micrograph.shape[::-1], strict=True)
    )
    centres = (np.arange(image_px) + 0.5) * window_px / image_px
    x, y = (
        (start + centres > 0) & (start + centres < extent)
        for start, extent in zip(corner_px, micrograph.shape[::-1], strict=True)
    )
    image = rescaled(micrograph[np.ix_(rows, columns)], image_px + 2 * margin)
    return Window(image, y[:, None] & x)


def surrounded(
    particle: Float[NDArray[np.float32], "y x"],
    window: Window | None,
    margin: int,
) -> Surrounded:
    """A particle image with a margin of ``margin`` pixels on each side.

    Extraction has normalised the particle, subtracted a plane and perhaps inverted it. A
    least-squares fit inside gives particle = gain · window + plane, and the same gain and plane
    continue the particle outside. They are also used where the particle image itself reaches beyond
    the micrograph, so that extraction has repeated its edge. If the window does not show the
    particle, or is None, the particle is reflected.
    """
    side = particle.shape[0]
    if window is not None:
        inner = slice(margin, margin + side)
        gain, plane, explained = _fit(particle, window.image[inner, inner], window.inside)
        if explained > _ALIKE:
            y, x = np.indices(window.image.shape) - margin
            image = gain * window.image + plane[0] + plane[1] * x + plane[2] * y
            image[inner, inner][window.inside] = particle[window.inside]
            return Surrounded(image, 1 if gain > 0 else -1)
    places = reflected(-margin, side + 2 * margin, side)
    return Surrounded(particle[np.ix_(places, places)].astype(np.float64), None)


def _fit(
    particle: Float[NDArray[np.float32], "y x"],
    window: Float[NDArray[np.float64], "y x"],
    inside: Bool[NDArray[np.bool_], "y x"],
) -> tuple[float, Float[NDArray[np.float64], "3"], float]:
    """Gain, plane (constant, along x, along y), and the share of variance that the window explains
    beyond a plane, from the pixels ``inside`` the micrograph.
    """
    y, x = np.nonzero(inside)
    terms = np.stack([np.ones(len(x)), x, y], axis=1).astype(np.float64)
    wanted, shown = particle[inside].astype(np.float64), window[inside]
    # Both without their planes; gain is then a regression through the origin.
    flat = [values - terms @ _plane(terms, values) for values in (wanted, shown)]
    power, total = float(flat[1] @ flat[1]), float(flat[0] @ flat[0])
    if power == 0 or total == 0:
        return 0.0, np.zeros(3), 0.0
    gain = float(flat[0] @ flat[1]) / power
    return gain, _plane(terms, wanted - gain * shown), gain**2 * power / total


def _plane(
    terms: Float[NDArray[np.float64], "n 3"], values: Float[NDArray[np.float64], "n"]
) -> Float[NDArray[np.float64], "3"]:
    """The plane through values, by least squares (three normal equations)."""
    return np.linalg.lstsq(terms.T @ terms, terms.T @ values, rcond=None)[0].astype(np.float64)
