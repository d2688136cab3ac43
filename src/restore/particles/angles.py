"""Angular distances between two sets of orientations of the same particles (Palovcak 2020, S2.5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

_AT_A_TIME = 65536  # × 60 rotations × 8 bytes: some 30 MB, however many particles there are
_RANDOM_PAIRS = 20000
SHARES_BELOW_DEG = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class AngularDistances:
    """How far apart two orientations of each particle are, in degrees, the nearest symmetry copies
    taken.

    ``total`` is the angle of the one rotation between them. It parts into ``viewing``, between the
    two viewing directions, and ``in_plane``, about them: cos(total/2) = cos(viewing/2)
    cos(in_plane/2).
    """

    total_deg: Float[np.ndarray, "n"]
    viewing_deg: Float[np.ndarray, "n"]
    in_plane_deg: Float[np.ndarray, "n"]


@dataclass(frozen=True)
class AngleSummary:
    """Statistics of the distances of ``count`` particles, in degrees.

    ``shares_below`` holds the share (0 to 1) of particles below each of ``SHARES_BELOW_DEG``;
    ``chance_median`` is the median of the distances between orientations that have nothing to do
    with each other, under the same group.
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
    """The distances between the rotations of ``first`` and ``second``, one by one: min over g of 2
    arccos |⟨q1, g q2⟩|.

    The rotations turn image axes into specimen axes (:func:`restore.symmetry.from_euler_deg`), and
    ``group`` holds those g that the specimen does not show (:func:`restore.symmetry.point_group`).
    In-plane shifts play no part.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} orientations and {len(second)}")
    parts = [np.empty((0, 3))]
    for start in range(0, len(first), _AT_A_TIME):
        some = slice(start, start + _AT_A_TIME)
        parts.append(_distances_deg(first[some], second[some], group))
    return AngularDistances(*np.concatenate(parts).T)


def summary(distances: AngularDistances, group: Rotation) -> AngleSummary:
    """The statistics of at least one particle's distances under a group."""
    total_deg = distances.total_deg
    low, median, high = (float(each) for each in np.percentile(total_deg, [25, 50, 75]))
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
    """The median distance between random orientations under the group, to about 0.4°; the same at
    every call.
    """
    random = Rotation.from_quat(np.random.default_rng(0).standard_normal((_RANDOM_PAIRS, 4)))
    still = Rotation.identity(_RANDOM_PAIRS)
    return float(np.median(angular_distances(random, still, group).total_deg))


def _distances_deg(first: Rotation, second: Rotation, group: Rotation) -> Float[np.ndarray, "n 3"]:
    """Total, viewing and in-plane distance of each pair.

    ⟨q1, g q2⟩ = ⟨q1 q2⁻¹, g⟩, so that one matrix product serves all g. The angle then comes from an
    arctangent: the arccosine of a number near one loses half the digits.
    """
    scores = np.abs((first * second.inv()).as_quat() @ group.as_quat().T)
    nearest = group[scores.argmax(axis=1)]
    x, y, z, w = (first.inv() * nearest * second).as_quat().T
    total = np.arctan2(np.sqrt(x * x + y * y + z * z), np.abs(w))
    viewing = np.arctan2(np.hypot(x, y), np.hypot(z, w))
    in_plane = np.arctan2(np.abs(z), np.abs(w))
    return np.degrees(2 * np.stack([total, viewing, in_plane], axis=1))
