"""The local part of a movie's motion: RELION's polynomial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LocalMotion:
    """The part of the motion that varies over the image, a polynomial of third order in time.

    ``coefficients_px`` is (2, 6, 3): for y and for x, the factor of each of 1, x, x², y, y², xy,
    times each of z, z², z³; x and y are −½ … ½ over the image's width and height, z counts frames
    from the first that is used (0), and the result is in pixels of the movie, with the sign of the
    global shifts.
    """

    coefficients_px: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.coefficients_px.shape != (2, 6, 3):
            raise ValueError(f"shape {self.coefficients_px.shape}: (2, 6, 3) is needed")


def local_shifts_px(
    coefficients: NDArray[np.float64],
    z: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The polynomial of :class:`LocalMotion` at points (y, x, each −½ … ½) and times z: shifts (2,
    points), y and x.
    """
    places, times = (
        np.stack([np.ones_like(x), x, x * x, y, y * y, x * y]),
        np.stack([z, z * z, z**3]),
    )
    return np.einsum("cpt,pn,tn->cn", coefficients, places, times)
