"""Resolution against the number of particles, ResLog (Stagg et al. 2014, J. Struct. Biol. 185,
418).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import t

from restore.errors import UserError
from restore.settings import setting

MOST_DOUBLINGS = 20
THRESHOLD = 0.143
_FEWEST = 32  # with fewer, the FSC falls in its first shells, which have very few components


@dataclass(frozen=True)
class ResLogSettings:
    """Which subsets of the particles are reconstructed."""

    sizes: int = setting(8, "number of subset sizes, logarithmically spaced up to all particles")
    smallest: int | None = setting(
        None,
        "number of particles in the smallest subset (default: the number of all particles, halved "
        "once for each further size, but at least 32 where there are 128 particles or more)",
    )
    repeats: int = setting(
        3,
        ("number of independent draws of the subsets; the intervals come from their spread"),
    )
    seed: int = setting(0, "seed of the draws: the same seed and particles give the same subsets")

    def __post_init__(self) -> None:
        for name, value, least in (
            ("sizes", self.sizes, 2),
            ("smallest", 2 if self.smallest is None else self.smallest, 2),
            ("repeats", self.repeats, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise UserError(
                    f"{name} is {value}", field=name, wanted=f"At least {least} is needed"
                )


def subset_sizes(count: int, settings: ResLogSettings) -> list[int]:
    """The number of particles in each subset: a geometric series that ends with all of them; fewer
    sizes where numbers would repeat.

    >>> subset_sizes(1600, ResLogSettings(sizes=5))
    [100, 200, 400, 800, 1600]
    """
    least = _FEWEST if count >= 4 * _FEWEST else 2
    smallest = settings.smallest or max(least, count / 2 ** min(settings.sizes - 1, MOST_DOUBLINGS))
    if smallest >= count:
        raise UserError(
            f"there are {count} particles",
            wanted="There must be more of them than in the smallest subset",
            do="give more particles, or a smaller `smallest`",
        )
    return sorted({round(size) for size in np.geomspace(smallest, count, settings.sizes).tolist()})


def subset_order(
    half_sets: Int[np.ndarray, "n"], generator: np.random.Generator
) -> Int[np.ndarray, "n"]:
    """All particles, in an order whose first n are, for every n, a random subset with its share of
    either half set.

    Subsets are nested. At any number of particles, each half set is within one particle of its
    share.
    """
    place = np.empty(len(half_sets))
    for half in np.unique(half_sets):
        own = np.flatnonzero(half_sets == half)
        place[generator.permutation(own)] = (np.arange(len(own)) + 0.5) / len(own)
    return np.argsort(place, kind="stable")


def subset_orders(
    half_sets: Int[np.ndarray, "n"], settings: ResLogSettings
) -> Int[np.ndarray, "repeats n"]:
    """An order of the particles for each repeat, from independent random numbers."""
    seeds = np.random.SeedSequence(settings.seed).spawn(settings.repeats)
    return np.stack([subset_order(half_sets, np.random.default_rng(seed)) for seed in seeds])


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its confidence interval, which are NaN if there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ResLogCurve:
    """The resolution of each subset: ``frequency_per_A`` is 1/d where the FSC falls under 0.143.

    It is 0 where the FSC is under it from the first shell on, and infinite where it never is, so
    that the Nyquist frequency, not the number of particles, sets the resolution.
    """

    particles: Int[np.ndarray, "sizes"]
    frequency_per_A: Float[np.ndarray, "repeats sizes"]
    nyquist_per_A: float

    @property
    def at_nyquist(self) -> Bool[np.ndarray, "repeats sizes"]:
        """The points at which the FSC never falls under the threshold."""
        return np.isposinf(self.frequency_per_A)

    @property
    def at_once(self) -> Bool[np.ndarray, "repeats sizes"]:
        """The points at which the FSC is under the threshold from the first shell on."""
        return self.frequency_per_A == 0

    @property
    def fitted(self) -> Bool[np.ndarray, "repeats sizes"]:
        """The points that the number of particles determines, to which lines are fitted."""
        return ~(self.at_nyquist | self.at_once)


@dataclass(frozen=True)
class ResLogFit:
    """The line 1/d = ``intercept_per_A`` + ``slope_per_A`` log10 n through all fitted points, and
    its uncertainty.

    ``slope_per_A`` is the gain from ten times as many particles. ``bfactor_A2`` is 2 over the slope
    of 1/d² against ln n (Rosenthal & Henderson 2003). ``lines`` holds intercept and slope, first of
    all points, then of each repeat.
    """

    slope_per_A: Estimate
    intercept_per_A: Estimate
    bfactor_A2: Estimate
    lines: Float[np.ndarray, "lines 2"]
    confidence: float

    def at(
        self, particles: Float[np.ndarray, "m"]
    ) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
        """The line at some numbers of particles, and the two ends of its confidence interval
        there.
        """
        values = self.lines @ np.stack([np.ones(len(particles)), np.log10(particles)])
        ends = [_estimate(column, self.confidence) for column in values.T]
        value, low, high = (
            np.array([(estimate.value, estimate.low, estimate.high) for estimate in ends])
            .reshape(-1, 3)
            .T
        )
        return value, low, high


@dataclass(frozen=True)
class ResLogDifference:
    """The difference of a second curve from a first of the same subsets, over the ``pairs`` of
    points fitted in both.

    ``frequency_per_A`` is the mean difference in 1/d, second minus first. ``particles_ratio`` is
    the factor by which the first would need more particles, along its line, for the same gain: 10
    to the power of the difference over its slope.
    """

    frequency_per_A: Estimate
    particles_ratio: Estimate
    pairs: int


class FittedReslog(NamedTuple):
    """A curve and the line through it; None where there is no line."""

    curve: ResLogCurve
    fit: ResLogFit | None


def fit_reslog(curve: ResLogCurve, confidence: float = 0.95) -> ResLogFit | None:
    """The least-squares line through the fitted points, or None where they cover fewer than two
    sizes.

    The subsets of one repeat share particles, so the repeat is the unit: intervals are Student's t
    over the lines of the repeats, about the line through all points. They say how much other
    subsets of these particles would move the line, not another data set: the largest subsets share
    most of their particles, the last all of them. With one repeat there is no interval.
    """
    log_n = np.log10(curve.particles)
    lines = _lines(log_n, curve.frequency_per_A, curve.fitted)
    if lines is None:
        return None
    squares = _lines(log_n * math.log(10), curve.frequency_per_A**2, curve.fitted)
    slopes = lines if squares is None else squares
    slope = _estimate(slopes[:, 1], confidence)
    bfactor = Estimate(_twice_over(slope.value), _twice_over(slope.high), _twice_over(slope.low))
    intercept, gain = (_estimate(column, confidence) for column in lines.T)
    return ResLogFit(gain, intercept, bfactor, lines, confidence)


def compare_reslog(
    first: ResLogCurve, second: ResLogCurve, confidence: float = 0.95
) -> ResLogDifference | None:
    """The difference of two curves of the same subsets, or None where fewer than two sizes are
    fitted in both.

    Chance differences between subsets are common to both curves and cancel, so the interval is
    narrower than those of the two curves would suggest.
    """
    both = first.fitted & second.fitted
    lines = _lines(np.log10(first.particles), first.frequency_per_A, both)
    if lines is None:
        return None
    apart = np.where(both, second.frequency_per_A, 0) - np.where(both, first.frequency_per_A, 0)
    used = both.sum(axis=1) > 1
    means = np.array(
        [apart.sum() / both.sum(), *(apart[used].sum(axis=1) / both[used].sum(axis=1))]
    )
    steps = _estimate(means / lines[:, 1], confidence)
    ratio = Estimate(*(10.0**exponent for exponent in (steps.value, steps.low, steps.high)))
    return ResLogDifference(_estimate(means, confidence), ratio, int(both.sum()))


def _lines(
    x: Float[np.ndarray, "sizes"],
    y: Float[np.ndarray, "repeats sizes"],
    known: Bool[np.ndarray, "repeats sizes"],
) -> Float[np.ndarray, "lines 2"] | None:
    """Intercept and slope through the known points of all repeats, then of each repeat that has
    two; None without two.
    """
    rows = np.broadcast_to(x, y.shape)
    parts = [
        (rows[known], y[known]),
        *((x[has], row[has]) for row, has in zip(y, known, strict=True)),
    ]
    lines = [
        np.polynomial.polynomial.polyfit(*part, 1)
        for part in parts
        if len(set(part[0].tolist())) > 1
    ]
    return np.array(lines) if len(set(rows[known].tolist())) > 1 else None


def _estimate(values: Float[np.ndarray, "lines"], confidence: float) -> Estimate:
    """The first value, with Student's t over the others, those of the repeats."""
    value, repeats = float(values[0]), values[1:]
    if len(repeats) < 2:
        return Estimate(value, math.nan, math.nan)
    error = float(repeats.std(ddof=1)) / math.sqrt(len(repeats))
    spread = float(t.ppf((1 + confidence) / 2, len(repeats) - 1)) * error
    return Estimate(value, value - spread, value + spread)


def _twice_over(slope: float) -> float:
    """2 over a slope; infinite if resolution does not rise with the number of particles."""
    return slope if math.isnan(slope) else 2 / slope if slope > 0 else math.inf
