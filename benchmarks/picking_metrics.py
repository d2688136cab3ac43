"""Picks beside the true centres of simulated particles: one-to-one matching, precision and recall.

The picks of one micrograph, best first, each take the nearest true centre within the tolerance that
no better pick has taken. So the verdict on a pick does not depend on the threshold, and every
threshold is a point on one curve. Near the border, where particles are cut, nothing counts: neither
a particle there, nor the pick that has it, nor a false pick.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree


@dataclass(frozen=True)
class Picks:
    """What a picker found in one micrograph: centres in pixels from the first pixel's centre, and
    the figure of merit of each, higher for better ones.
    """

    position_xy_px: Float[np.ndarray, "picks 2"]
    figure_of_merit: Float[np.ndarray, "picks"]


@dataclass(frozen=True)
class Truth:
    """The particles of one micrograph of ``width_px`` by ``height_px``, and how near a pick must
    come. Within ``margin_px`` of the border nothing counts.
    """

    position_xy_px: Float[np.ndarray, "particles 2"]
    size_xy_px: tuple[int, int]
    tolerance_px: float
    margin_px: float


@dataclass(frozen=True)
class Verdict:
    """The picks that count, whether each is true, and how many particles there were to find."""

    figure_of_merit: Float[np.ndarray, "picks"]
    is_true: Bool[np.ndarray, "picks"]
    particles: int


@dataclass(frozen=True)
class Curve:
    """Precision and recall of all picks at least as good as each threshold, strictest first."""

    threshold: Float[np.ndarray, "points"]
    precision: Float[np.ndarray, "points"]
    recall: Float[np.ndarray, "points"]


def judge(picks: Picks, truth: Truth) -> Verdict:
    """The verdict on the picks of one micrograph."""
    owner = match(picks, truth)
    particle_counts = is_inside(truth.position_xy_px, truth)
    matched = owner >= 0
    counts = is_inside(picks.position_xy_px, truth)
    counts[matched] = particle_counts[owner[matched]]
    return Verdict(picks.figure_of_merit[counts], matched[counts], int(particle_counts.sum()))


def match(picks: Picks, truth: Truth) -> np.ndarray:
    """The index of the particle that each pick has, −1 where it has none."""
    owner = np.full(len(picks.figure_of_merit), -1)
    if not len(truth.position_xy_px) or not len(owner):
        return owner
    tree = KDTree(truth.position_xy_px)
    free = np.ones(len(truth.position_xy_px), dtype=bool)
    for pick in np.argsort(-picks.figure_of_merit, kind="stable"):
        position = picks.position_xy_px[pick]
        near = [n for n in tree.query_ball_point(position, truth.tolerance_px) if free[n]]
        if near:
            distances = np.hypot(*(truth.position_xy_px[near] - position).T)
            owner[pick] = near[int(distances.argmin())]
            free[owner[pick]] = False
    return owner


def is_inside(
    position_xy_px: Float[np.ndarray, "points 2"], truth: Truth
) -> Bool[np.ndarray, "points"]:
    """Whether points are far enough from the border to count."""
    last = np.array(truth.size_xy_px) - 1 - truth.margin_px
    return np.all((position_xy_px >= truth.margin_px) & (position_xy_px <= last), axis=-1)


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdicts on several micrographs as one, for one threshold."""
    return Verdict(
        np.concatenate([verdict.figure_of_merit for verdict in verdicts]),
        np.concatenate([verdict.is_true for verdict in verdicts]),
        sum(verdict.particles for verdict in verdicts),
    )


def curve_of(verdict: Verdict) -> Curve:
    """Precision and recall at every threshold; picks of one figure of merit come together."""
    order = np.argsort(-verdict.figure_of_merit, kind="stable")
    merit, hits = verdict.figure_of_merit[order], verdict.is_true[order].cumsum()
    last = np.flatnonzero(np.append(merit[1:] != merit[:-1], True)) if len(merit) else []
    picked = np.arange(1, len(merit) + 1)[last]
    return Curve(merit[last], hits[last] / picked, hits[last] / max(verdict.particles, 1))


def average_precision(curve: Curve) -> float:
    """The precision averaged over recall, Σ (Rᵢ − Rᵢ₋₁) Pᵢ: 1 where every particle is found before
    anything else is picked. Particles that no threshold finds count as zero.
    """
    return float((np.diff(curve.recall, prepend=0.0) * curve.precision).sum())


def recall_at(curve: Curve, precision: float) -> float:
    """The largest recall at any threshold with at least this precision; 0 where there is none."""
    fine = curve.precision >= precision
    return float(curve.recall[fine].max()) if fine.any() else 0.0


def precision_at(curve: Curve, recall: float) -> float:
    """The largest precision at any threshold with at least this recall; 0 where there is none."""
    enough = curve.recall >= recall
    return float(curve.precision[enough].max()) if enough.any() else 0.0


def recall_error(
    groups: Sequence[Sequence[Verdict]], precision: float, draws: int = 200, seed: int = 0
) -> float:
    """The standard error of the mean over groups of `recall_at`, by drawing the micrographs of each
    group again, with replacement. Draws from n micrographs vary by (n − 1)/n of their variance, for
    which the result is corrected; NaN where a group has one alone.
    """
    count = min(len(group) for group in groups)
    if count < 2:
        return math.nan
    chance = np.random.default_rng(seed)
    means = [
        np.mean([
            recall_at(curve_of(together([group[n] for n in drawn])), precision)
            for group in groups
            for drawn in [chance.integers(len(group), size=len(group))]
        ])
        for _ in range(draws)
    ]  # fmt: skip
    return float(np.std(means) * math.sqrt(count / (count - 1)))
