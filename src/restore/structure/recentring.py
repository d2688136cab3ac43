"""Shifts of a refinement, converted to the windows of another extraction of the same particles."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from restore.io.particle_images import ParticleImages
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

    ``apart_px`` is the largest distance between two coordinates of a particle, and ``most_px`` the
    largest in x or y that recentring can cause, half the side of a window, both in pixels of the
    first file's micrographs; ``most_px`` is None if no pixel size of the micrographs is known.
    ``offsets_A`` (x, y) are the places of the first file's windows less those of the second's; None
    if the pixel size is not known, or the coordinates are too far apart.
    """

    apart_px: float
    most_px: float | None
    offsets_A: Float[np.ndarray, "n 2"] | None


def recentring(windows: ParticleImages, refined: Particles) -> Recentring | None:
    """The offsets between the windows of images and those of a refinement of the same particles,
    row by row; None if all windows are at the same places, or if a file has no coordinates.

    A window is cut around the coordinate truncated to a whole pixel, as RELION does.
    """
    first, second = windows.particles.coordinates_px, refined.coordinates_px
    if first is None or second is None or not len(windows):
        return None
    if abs(first - second).max() <= _SAME_PX:
        return None
    sizes_A = _sizes_A(windows.particles, refined)
    if sizes_A is None:
        return Recentring(float(np.linalg.norm(first - second, axis=1).max()), None, None)
    unit_A, other_A = (size_A[:, None] for size_A in sizes_A)
    between_px = first - second * other_A / unit_A
    apart_px = np.linalg.norm(between_px, axis=1)
    most_px = windows.box_px * windows.pixel_size_A / sizes_A[0] / 2
    beyond = np.flatnonzero(~(abs(between_px).max(axis=1) <= most_px))
    if len(beyond):  # files may count y from different edges, or lack the micrographs' size
        farthest = int(beyond[apart_px[beyond].argmax()])
        return Recentring(float(apart_px[farthest]), float(most_px[farthest]), None)
    offsets_A = np.trunc(first) * unit_A - np.trunc(second) * other_A
    offsets_A[apart_px <= _SAME_PX] = 0
    if not offsets_A.any():
        return None
    return Recentring(float(apart_px.max()), float(most_px[apart_px.argmax()]), offsets_A)


def origins_in(windows: ParticleImages, refined: Particles) -> Float[np.ndarray, "n 2"] | None:
    """RELION's origins (x, y; Å) of the refined particles in the windows of other images.

    A particle lies at (window's place − origin) in its micrograph, so that the origin changes by as
    much as the window's place. Where the offset is not known, or is too large to come from
    recentring, origins are returned unchanged (`restore.structure.warnings` warns of that).
    """
    moved = recentring(windows, refined)
    if moved is None or moved.offsets_A is None:
        return refined.origins_A
    return moved.offsets_A + (0 if refined.origins_A is None else refined.origins_A)


def _sizes_A(
    windows: Particles, refined: Particles
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]] | None:
    """The micrographs' pixel sizes in both files; that of one file stands for the other's if the
    other has none, or nearly the same. None if neither file has that of some particle.
    """
    first, second = _known_sizes_A(windows), _known_sizes_A(refined)
    first, second = (
        np.where(np.isnan(first), second, first),
        np.where(np.isnan(second), first, second),
    )
    if np.isnan(first).any():
        return None
    is_one = abs(first - second) <= _ONE_SIZE * first
    return first, np.where(is_one, first, second)


def _known_sizes_A(particles: Particles) -> Float[np.ndarray, "n"]:
    """The pixel size of each particle's micrograph; NaN if it is not known, or not positive, as
    cryoSPARC writes it for micrographs that it does not know.
    """
    sizes_A = micrograph_pixel_sizes_A(particles)
    if sizes_A is None:
        return np.full(len(particles), np.nan)
    return np.where((sizes_A > 0) & np.isfinite(sizes_A), sizes_A, np.nan)
