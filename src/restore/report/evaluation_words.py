"""The meaning of an evaluation's numbers in sentences: the summary, warnings, and remarks on single
micrographs.
"""

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from statistics import median

from restore.evaluation.records import Facts, Group
from restore.micrograph import MANY_HOT_PIXELS
from restore.quantities import Number
from restore.report.numerals import figure, interval, share
from restore.report.pattern_words import lattice_remark, pattern_warnings

Numbers = Mapping[str, Number]

_WORTHWHILE = 1.05  # ratio to the Wiener filter: a smaller gain cannot be seen in an image
_MUCH_REFUTED = 0.2  # of a micrograph's area
_MUCH_BLANK = 0.1
_SURE_RINGS = 3


def summary(groups: Sequence[Group]) -> list[str]:
    """The verdict on the first group (the held-out one, if there is one): whether denoising was
    useful, then a sentence for each important quantity.
    """
    group = groups[0]
    numbers = group.numbers
    use = use_of(numbers, group.has_signal)
    first = headline(numbers, group.has_signal)
    if use is Use.IMPOSSIBLE:
        return [first]
    sentences = [
        first,
        f"{_where(group)}, the estimated correlation with the noise-free image is "
        f"{_with_interval(numbers['correlation_denoised'])}. "
        f"It is {figure(numbers['correlation_raw'].value)} for the raw halves, "
        f"{figure(numbers['correlation_lowpass'].value)} for the best low-pass filter and "
        f"{figure(numbers['correlation_wiener'].value)} for the Wiener filter.",
    ]
    if use is not Use.NO_SIGNAL:
        sentences += [_against_wiener(numbers), _shares(numbers)]
    if numbers["invented_share"].value is not None:
        sentences.append(
            "Given noise alone (EVN − ODD, in which the signal cancels), the model still draws "
            f"{share(numbers['invented_share'].value)} as much, in variance, as for a real half."
        )
    return sentences


def _shares(numbers: Numbers) -> str:
    return (
        f"Of the noise, {share(_ratio(numbers, 'var_noise_denoised', 'var_noise_raw'))} of the "
        f"variance remains; of the signal, {share(numbers['gain'].value)} of the amplitude. The "
        f"bias, which is lost and hallucinated signal together, has "
        f"{share(numbers['bias_share'].value)} of the signal's variance: "
        f"{share(_ratio(numbers, 'var_invented', 'var_signal'))} is hallucinated, and the rest is "
        "lost signal."
    )


class Use(Enum):
    """The usefulness of denoising compared with a Wiener filter."""

    HELPS, LITTLE, NONE, HARMS, UNCERTAIN, NO_SIGNAL, OFF_SCALE, IMPOSSIBLE = range(8)


_HOW_MUCH_BETTER = {Use.HARMS: "no", Use.NONE: "no", Use.LITTLE: "hardly"}
"""The uses that come with a warning, which says the same as the headline."""


def has_signal(numbers: Numbers, rings: Sequence[bool] = ()) -> bool:
    """Whether the raw halves have a measurable signal in common: their correlation is positive
    beyond its error (or positive, if it has no interval).

    For a group, three neighbouring ``rings`` with signal (see `Group.has_signal`) are enough, so
    that a weak signal in coarse rings is not lost among the noise of all others. Of 150 pairs of
    independent noise (16 units, 32 rings), 3 had three such rings by chance, and 33 had two.
    """
    frc = numbers["frc_raw"]
    if not _at(frc) > 0:
        return False
    is_sure = frc.low is None or frc.low > 0
    return is_sure or any(
        all(rings[first : first + _SURE_RINGS]) for first in range(len(rings) - _SURE_RINGS + 1)
    )


def use_of(numbers: Numbers, rings: Sequence[bool] = ()) -> Use:
    """Whether denoising brought the images closer to the signal than a Wiener filter does, by the
    interval of the ratio of their signal-to-error ratios.

    A significant gain counts as small if neither this ratio nor that of the correlations with the
    noise-free image reaches 1.05; a tie counts as useless if the interval ends below that. Images
    that are closer than the Wiener filter's in all but their scale are a case of their own. If the
    denoised halves correlate with the noise-free image by more than 1, beyond the error, there is
    no verdict: they share noise of the raw halves. ``rings`` as in `has_signal`.
    """
    correlation = numbers["correlation_denoised"]
    if correlation.low is not None and correlation.low > 1:
        return Use.IMPOSSIBLE
    return _use_by_ratio(numbers) if has_signal(numbers, rings) else Use.NO_SIGNAL


def _use_by_ratio(numbers: Numbers) -> Use:
    ratio = numbers["advantage_over_wiener"]
    if ratio.value is None or ratio.low is None or ratio.high is None:
        return Use.UNCERTAIN
    correlations = _ratio(numbers, "correlation_denoised", "correlation_wiener")
    no_use = ratio.low <= 1 and ratio.high < _WORTHWHILE
    if no_use and correlations >= _WORTHWHILE:
        return Use.OFF_SCALE
    if ratio.high <= 1:
        return Use.HARMS
    if ratio.low <= 1:
        return Use.NONE if no_use else Use.UNCERTAIN
    return Use.HELPS if max(ratio.value, correlations) >= _WORTHWHILE else Use.LITTLE


def headline(numbers: Numbers, rings: Sequence[bool] = ()) -> str:
    """Whether denoising was useful, in one sentence; ``rings`` as in `has_signal`."""
    denoised, wiener, raw = (
        figure(numbers[f"correlation_{which}"].value) for which in ("denoised", "wiener", "raw")
    )
    correlations = (
        f"estimated correlation with the noise-free image {denoised}, against {wiener} for the "
        "Wiener filter"
    )
    use = use_of(numbers, rings)
    if use is Use.HARMS and _ratio(numbers, "correlation_denoised", "correlation_wiener") >= 1:
        denoised, wiener = (
            figure(numbers[f"signal_to_error_{which}"].value) for which in ("denoised", "wiener")
        )
        correlations = f"signal over all error {denoised}, against {wiener}"
    return {
        Use.HELPS: "Denoising helps: it brings the images closer to the signal than a Wiener "
        f"filter can ({correlations} and {raw} for the raw halves).",
        Use.LITTLE: "This denoising is nearly useless: a Wiener filter, which needs no network, "
        f"does almost as well ({correlations}).",
        Use.NONE: "This denoising is useless: a Wiener filter, which needs no network, does as "
        f"well ({correlations}).",
        Use.HARMS: "This denoising is worse than useless: a Wiener filter, which needs no network, "
        f"comes closer to the signal ({correlations}).",
        Use.UNCERTAIN: "These data do not show whether denoising helps: the difference from a "
        f"Wiener filter, which needs no network, is within the error ({correlations}).",
        Use.NO_SIGNAL: "These data do not show whether denoising helps: the two halves have no "
        "measurable signal in common.",
        Use.OFF_SCALE: "Denoising shows the signal better than a Wiener filter does "
        f"({correlations}), but the grey values are on another scale, so that the error is no "
        "smaller.",
        Use.IMPOSSIBLE: "There is no verdict, because the numbers cannot be right: an estimated "
        f"correlation with the noise-free image of {denoised} is more than any image has. Each "
        "denoised half holds noise of the other raw half, or they are not versions of these raw "
        "halves: were both made from the full sum?",
    }[use]


def _where(group: Group) -> str:
    words = {"held out": " never trained on", "trained on": " that the model was trained on"}
    plural = "s" if group.micrographs != 1 else ""
    return f"On {group.micrographs} micrograph{plural}{words.get(group.name, '')}"


def _against_wiener(numbers: Numbers) -> str:
    return (
        "The ratio of signal to error (noise and bias together) is "
        f"{figure(numbers['signal_to_error_denoised'].value)} for the denoised halves and "
        f"{figure(numbers['signal_to_error_wiener'].value)} for the Wiener-filtered halves: "
        f"{_times(numbers['advantage_over_wiener'])}."
    )


def warnings(
    groups: Sequence[Group], has_model: bool, remarked: Sequence[Sequence[str]] = ()
) -> list[str]:
    """What the reader must know before any numbers; ``remarked`` are the remarks of the checks of
    the halves on each micrograph.
    """
    first = groups[0]
    numbers = first.numbers
    warned = _faults_of_halves(remarked)
    if has_model and first.name != "held out":
        warned.append(
            "The model was trained on all of these micrographs, so the numbers may flatter it. "
            "Hold some micrographs out of training, or evaluate other micrographs."
        )
    use = use_of(numbers, first.has_signal)
    if not has_signal(numbers, first.has_signal):
        lost = (
            "The halves have no measurable signal in common, so it is not known how much signal "
            "was kept."
        )
        return [*warned, lost]
    if use is Use.IMPOSSIBLE:
        return [*warned, *_doubtful_halves(first)]
    if use in _HOW_MUCH_BETTER:
        cure = " Train longer, or on more data." if has_model else ""
        warned.append(
            f"The denoised images are {_HOW_MUCH_BETTER[use]} better than a Wiener filter.{cure}"
        )
    if abs(_at(numbers["calibration"]) - 1) > 0.25 or use is Use.OFF_SCALE:
        cure = (
            " Denoising does so where a micrograph comes with its halves."
            if has_model
            else " Set fit_scale for programs that do not keep the scale."
        )
        warned.append(
            "The denoised images are not on the scale of the data: multiplying them by "
            f"{_at(numbers['calibration']):.2f} would bring them closer to the data.{cure}"
        )
    return warned + _doubtful_halves(first) + pattern_warnings(first)


def _doubtful_halves(group: Group) -> list[str]:
    """Signs that the halves share more than the signal."""
    warned: list[str] = []
    frc = group.curves["frc_raw"].value
    finest = [value for value in frc[-max(2, len(frc) // 8) :] if value is not None]
    if finest and median(finest) > 0.3:
        warned.append(
            f"The halves agree even at the finest resolution (FRC {median(finest):.2f}). Are they "
            "independent? Fixed patterns, interpolation or a wrong pair of files count as signal "
            "here."
        )
    fixed = group.numbers["unpaired_raw"]
    if fixed.low is not None and fixed.low > 0.1 * _at(group.numbers["frc_raw"]):
        warned.append(
            "Unrelated micrographs are correlated: a fixed pattern of the camera counts as signal "
            "here."
        )
    return warned


def remarks(numbers: Numbers, facts: Facts) -> list[str]:
    """Noteworthy facts about one micrograph."""
    remarked: list[str] = []
    if not has_signal(numbers):
        remarked.append("The halves have no measurable signal in common.")
    elif use_of(numbers) is Use.HARMS:
        remarked.append("The Wiener filter is closer to the signal here.")
    elif use_of(numbers) is Use.IMPOSSIBLE:
        remarked.append("The numbers cannot be right: each denoised half holds noise of the other.")
    remarked += facts.remarks
    if (facts.refuted or 0.0) > _MUCH_REFUTED:
        remarked.append(
            f"In {100 * (facts.refuted or 0.0):.0f} % of the area, the other half does not "
            "confirm what the denoised image shows."
        )
    if facts.lattices:
        remarked.append(lattice_remark(facts.lattices))
    if facts.hot_pixels > MANY_HOT_PIXELS:
        remarked.append(f"{facts.hot_pixels} hot pixels were replaced.")
    if facts.blank_share > _MUCH_BLANK:
        remarked.append(f"{100 * facts.blank_share:.0f} % of the area holds no data.")
    return remarked


def _faults_of_halves(remarked: Sequence[Sequence[str]]) -> list[str]:
    """A warning if the checks of the halves remarked on at least half of the micrographs."""
    faulty = [of_one for of_one in remarked if of_one]
    if not faulty or 2 * len(faulty) < len(remarked):
        return []
    counted = f"{len(faulty)} of {len(remarked)} micrographs"
    return [f"The halves of {counted} are in doubt. The first: {faulty[0][0]}"]


def unlike_the_others(score: float) -> str:
    """The remark on a micrograph that is far from the others of its set."""
    return f"Unlike the others: {score:.1f} robust standard deviations from them."


def _at(number: Number) -> float:
    return math.nan if number.value is None else number.value


def _with_interval(number: Number) -> str:
    ends = interval(number)
    return f"{figure(number.value)} ({ends})" if ends else figure(number.value)


def _times(number: Number) -> str:
    ends = interval(number)
    return f"{figure(number.value)} times as much" + (f" ({ends})" if ends else "")


def _ratio(numbers: Numbers, above: str, below: str) -> float:
    divisor = _at(numbers[below])
    return _at(numbers[above]) / divisor if divisor else math.nan
