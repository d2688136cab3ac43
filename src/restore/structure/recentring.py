"""Shifts of a refinement, converted to the windows of another extraction of the same particles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from restore.io.particle_micrographs import micrograph_pixel_sizes_A
from restore.io.particles import Particles

_SAME_PX = 0.01
"""Distance up to which two coordinates count as one: STAR and ``.cs`` files round differently."""
_ONE_SIZE = 0.05
"""Relative difference up to which two pixel sizes are those of the same micrograph, calibrated
differently: at the far end of a large micrograph, it is hundreds of pixels.
"""


@dataclass(frozen=True)
class Recentring:
    """How far the windows of one file lie from those of another, row by row.

    ``apart_px`` is the largest distance between two coordinates of a particle, in pixels of the
    first file's micrographs. ``offsets_A`` (x, y) are the places of the first file's windows less
    those of the second's; None if no pixel size of the micrographs is known.
    """

    apart_px: float
    offsets_A: Float[np.ndarray, "n 2"] | None


def recentring(windows: Particles, refined: Particles) -> Recentring | None:
    """The offsets between the windows of two files of the same particles, row by row; None if all
    windows are at the same places, or if a file has no coordinates.

    A window is cut around the coordinate truncated to a whole pixel, as RELION does.
    """
    first, second = windows.coordinates_px, refined.coordinates_px
    if first is None or second is None or not len(windows):
        return None
    if abs(first - second).max() <= _SAME_PX:
        return None
    sizes_A = _sizes_A(windows, refined)
    if sizes_A is None:
        return Recentring(float(np.linalg.norm(first - second, axis=1).max()), None)
    unit_A, other_A = (size_A[:, None] for size_A in sizes_A)
    apart_px = np.linalg.norm(first - second * other_A / unit_A, axis=1)
    offsets_A = np.trunc(first) * unit_A - np.trunc(second) * other_A
    offsets_A[apart_px <= _SAME_PX] = 0
    return Recentring(float(apart_px.max()), offsets_A) if offsets_A.any() else None


def origins_in(windows: Particles, refined: Particles) -> Float[np.ndarray, "n 2"] | None:
    """RELION's origins (x, y; Å) of the refined particles in the windows of another file.

    A particle lies at (window's place − origin) in its micrograph, so that the origin changes by as
    much as the window's place. Where the offset is not known, origins are returned unchanged
    (`restore.structure.warnings` warns of that).
    """
    moved = recentring(windows, refined)
    if moved is None or moved.offsets_A is None:
        return refined.origins_A
    return moved.offsets_A + (0 if refined.origins_A is None else refined.origins_A)


def _sizes_A(
    windows: Particles, refined: Particles
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]] | None:
    """The micrographs' pixel sizes in both files; that of one file stands for the other's if the
    other has none, or nearly the same.
    """
    first, second = micrograph_pixel_sizes_A(windows), micrograph_pixel_sizes_A(refined)
    if first is None or second is None:
        known = first if second is None else second
        return None if known is None else (known, known)
    is_one = abs(first - second) <= _ONE_SIZE * first
    return first, np.where(is_one, first, second)
