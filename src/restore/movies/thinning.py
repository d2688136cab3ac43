"""Two independent halves of one image of counted electrons, for data without frames."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError

_SAMPLE_PX = 1 << 18
_MOST_VALUES = 1 << 14
_OFF_GRID = 0.05
"""The largest deviation of a count from a whole number, as caused by rounding in float16 images."""
_OUTLIERS = 1e-4
"""The largest share of pixels (hot ones) that need not be whole numbers."""
_VARIANCE_TO_MEAN = (0.5, 2.0)
_WORD = 64
_CURE = "give the movie, or halves that the motion correction wrote"


@dataclass(frozen=True)
class Counts:
    """An image as numbers of electrons: ``electrons`` (y, x) times ``unit`` are its grey values.

    ``outliers`` is the number of (hot) pixels that were not a whole number of electrons and were
    rounded.
    """

    electrons: NDArray[np.int64]
    unit: float
    outliers: int


def counts_of(image: NDArray[np.floating]) -> Counts:
    """The numbers of electrons in an image (y, x) of counts, which are whole multiples of some
    unit.

    Raises
    ------
    UserError
        It is not an image of counts: it has values below zero, values between the multiples (from a
        gain reference, dose weighting, interpolation or a filter), or whole numbers whose noise is
        not that of counting.
    """
    values = image.astype(np.float64)
    if values.min() < 0:
        problem = f"its lowest value is {values.min():g}"
        raise UserError(
            problem,
            wanted="Counts are never below zero, so something was subtracted or added",
            do=_CURE,
        )
    unit = _unit(values)
    scaled = values / unit
    electrons = np.rint(scaled)
    outliers = int(np.count_nonzero(np.abs(scaled - electrons) > _OFF_GRID + 1e-6 * scaled))
    if outliers > _OUTLIERS * values.size:
        raise _not_counts(
            f"{100 * outliers / values.size:.3g} % of its pixels lie between the multiples of "
            f"{unit:.6g}"
        )
    _require_counting_noise(electrons)
    return Counts(electrons.astype(np.int64), unit, outliers)


def thin(counts: Counts, seed: int, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The even and the odd half: each electron goes to one of them at random; both are in the
    image's grey values.

    Where the counts are Poisson, so are those of both halves, with half the mean each, and they are
    independent; their sum is the image. The same seed and ``name`` (the micrograph's) give the same
    halves.
    """
    digest = int.from_bytes(
        hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "little"
    )
    even = _heads(counts.electrons, np.random.default_rng([seed, digest]))
    odd = counts.electrons - even
    return (even * counts.unit).astype(np.float32), (odd * counts.unit).astype(np.float32)


def _heads(tosses: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """The number of heads among ``tosses`` of a coin, counted as ones among random bits, ten times
    as fast as `binomial`.
    """
    few = np.minimum(tosses, _WORD)
    bits = random.integers(0, 1 << _WORD, tosses.shape, np.uint64, endpoint=False)
    bits >>= np.minimum(_WORD - few, _WORD - 1).astype(np.uint64)
    heads = np.where(few > 0, _ones(bits), 0)
    many = tosses > _WORD
    heads[many] += random.binomial(tosses[many] - _WORD, 0.5)
    return heads


def _ones(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The number of ones in each word: sums of pairs, of fours, of eights, then of the bytes."""
    pairs = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    mask = np.uint64(0x3333333333333333)
    fours = (pairs & mask) + ((pairs >> np.uint64(2)) & mask)
    bytes_ = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bytes_ * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _unit(values: NDArray[np.float64]) -> float:
    """The grey value of one electron: the smallest step between the values that most pixels have,
    made precise.
    """
    sample = values.ravel()[:: max(values.size // _SAMPLE_PX, 1)]
    distinct, often = np.unique(sample, return_counts=True)
    if len(distinct) > min(_MOST_VALUES, sample.size / 4):
        raise _not_counts(f"{len(distinct)} of {sample.size} pixels have distinct values")
    usual = distinct[np.argsort(often)[::-1]][: _usual(often)]
    steps = np.diff(np.sort(np.append(usual, 0.0)))
    steps = steps[steps > 0]
    if not len(steps):
        raise _not_counts("most of its pixels have the same value")
    near = usual / steps.min()
    multiples = np.rint(near)
    return float(usual @ multiples / (multiples @ multiples))


def _usual(often: NDArray[np.int64]) -> int:
    """How many of the values, the most frequent first, hold nine tenths of the pixels."""
    return int(np.searchsorted(np.cumsum(np.sort(often)[::-1]), 0.9 * often.sum())) + 1


def _require_counting_noise(electrons: NDArray[np.float64]) -> None:
    """Counting has a variance equal to its mean; it is taken from the steps between diagonal
    neighbours.
    """
    rows = max(_SAMPLE_PX // electrons.shape[1], 2)
    every = max(electrons.shape[0] // rows, 1)
    sample = np.minimum(
        electrons, np.quantile(electrons[::every], 0.999) + 1
    )  # hot pixels no longer count
    variance = float(np.mean((sample[1:, 1:] - sample[:-1, :-1]) ** 2)) / 2
    ratio = variance / float(sample.mean())
    if not _VARIANCE_TO_MEAN[0] <= ratio <= _VARIANCE_TO_MEAN[1]:
        problem = (
            f"its values are whole numbers, but their variance is {ratio:.3g} times their mean"
        )
        raise UserError(problem, wanted="The two are equal where electrons are counted", do=_CURE)


def _not_counts(problem: str) -> UserError:
    wanted = (
        "Only electron counts can be thinned, and these values were multiplied by a gain "
        "reference, dose-weighted, interpolated or filtered"
    )
    return UserError(problem, wanted=wanted, do=_CURE)
