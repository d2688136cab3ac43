"""Angular distances between orientations of the same particles (Palovcak 2020, S2.5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

_AT_A_TIME = 65536  # × 60 rotations × 8 bytes: some 30 MB, however many particles there are
_RANDOM_PAIRS = 20000
SHARES_BELOW_DEG = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class AngularDistances:
    """The angular distances between two orientations of each particle, in degrees, between the
    nearest symmetry copies.

    ``total_deg`` is the angle of the single rotation between them. It is composed of
    ``viewing_deg``, between the viewing directions, and ``in_plane_deg``, about them: cos(total/2)
    = cos(viewing/2) cos(in_plane/2).
    """

    total_deg: Float[np.ndarray, "n"]
    viewing_deg: Float[np.ndarray, "n"]
    in_plane_deg: Float[np.ndarray, "n"]


@dataclass(frozen=True)
class AngleSummary:
    """Statistics of the distances of ``count`` particles, in degrees.

    ``shares_below`` holds the fraction (0 to 1) of particles below each of ``SHARES_BELOW_DEG``;
    ``chance_median_deg`` is the median distance between random orientations under the same group.
    """

    count: int
    median_deg: float
    quartiles_deg: tuple[float, float]
    mean_deg: float
    shares_below: tuple[float, ...]
    viewing_median_deg: float
    in_plane_median_deg: float
    chance_median_deg: float


def angular_distances(first: Rotation, second: Rotation, group: Rotation) -> AngularDistances:
    """The distances between the rotations of ``first`` and ``second``, pair by pair: the minimum
    over g of 2 arccos |⟨q1, g q2⟩|.

    The rotations take image axes to specimen axes (:func:`restore.symmetry.from_euler_deg`), and
    ``group`` holds the rotations g under which the specimen is unchanged
    (:func:`restore.symmetry.point_group`). In-plane shifts are ignored.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} orientations and {len(second)}")
    parts = [np.empty((0, 3))]
    for start in range(0, len(first), _AT_A_TIME):
        portion = slice(start, start + _AT_A_TIME)
        parts.append(_distances_deg(first[portion], second[portion], group))
    return AngularDistances(*np.concatenate(parts).T)


def summary(distances: AngularDistances, group: Rotation) -> AngleSummary:
    """The statistics of the distances, of at least one particle, under a point group."""
    total_deg = distances.total_deg
    low, median, high = (float(quartile) for quartile in np.percentile(total_deg, [25, 50, 75]))
    return AngleSummary(
        len(total_deg),
        median,
        (low, high),
        float(total_deg.mean()),
        tuple(float((total_deg < limit_deg).mean()) for limit_deg in SHARES_BELOW_DEG),
        float(np.median(distances.viewing_deg)),
        float(np.median(distances.in_plane_deg)),
        chance_median_deg(group),
    )


def chance_median_deg(group: Rotation) -> float:
    """The median distance between random orientations under the group, accurate to about 0.4°.
    Every call returns the same value.
    """
    random = Rotation.from_quat(np.random.default_rng(0).standard_normal((_RANDOM_PAIRS, 4)))
    still = Rotation.identity(_RANDOM_PAIRS)
    return float(np.median(angular_distances(random, still, group).total_deg))


def _distances_deg(first: Rotation, second: Rotation, group: Rotation) -> Float[np.ndarray, "n 3"]:
    """The total, viewing and in-plane distance of each pair.

    Since ⟨q1, g q2⟩ = ⟨q1 q2⁻¹, g⟩, one matrix product serves all g. The angle is then taken from
    an arctangent: the arccosine of a number near one loses half of the digits.
    """
    scores = np.abs((first * second.inv()).as_quat() @ group.as_quat().T)
    nearest = group[scores.argmax(axis=1)]
    x, y, z, w = (first.inv() * nearest * second).as_quat().T
    total = np.arctan2(np.sqrt(x * x + y * y + z * z), np.abs(w))
    viewing = np.arctan2(np.hypot(x, y), np.hypot(z, w))
    in_plane = np.arctan2(np.abs(z), np.abs(w))
    return np.degrees(2 * np.stack([total, viewing, in_plane], axis=1))
