"""What the numbers of an evaluation mean, in plain sentences: the summary, warnings, and remarks on
single micrographs.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from restore.evaluation.records import Facts, Group
from restore.quantities import Number
from restore.report.numerals import figure, interval, share

Numbers = Mapping[str, Number]

_MUCH_REFUTED = 0.2  # of a micrograph's area
_MUCH_BLANK = 0.1
_MANY_HOT_PIXELS = 1000


def summary(groups: Sequence[Group]) -> list[str]:
    """The verdict on the first group (held out, where there is one), a sentence for each thing that
    matters.
    """
    group = groups[0]
    numbers = group.numbers
    sentences = [
        f"{_where(group)}, the estimated correlation with the noise-free image is "
        f"{_with_interval(numbers['correlation_denoised'])}; "
        f"it is {figure(numbers['correlation_raw'].value)} for the raw halves, "
        f"{figure(numbers['correlation_lowpass'].value)} for the best low-pass filter and "
        f"{figure(numbers['correlation_wiener'].value)} for the Wiener filter.",
        _against_wiener(numbers),
        f"{share(_ratio(numbers, 'var_noise_denoised', 'var_noise_raw'))} of the noise variance "
        f"remains, and {share(numbers['gain'].value)} of the signal's amplitude. The bias "
        f"(false or lost signal) has {share(numbers['bias_share'].value)} of the signal's "
        f"variance; {share(_ratio(numbers, 'var_invented', 'var_signal'))} is hallucinated, and "
        "the rest is signal that was lost.",
    ]
    if numbers["invented_share"].value is not None:
        sentences.append(
            "Given noise alone (EVN − ODD, in which the signal cancels), the model still draws "
            f"{share(numbers['invented_share'].value)} as much, in variance, as for a real half."
        )
    return sentences


def _where(group: Group) -> str:
    words = {"held out": " never trained on", "trained on": " that the model was trained on"}
    plural = "s" if group.micrographs != 1 else ""
    return f"On {group.micrographs} micrograph{plural}{words.get(group.name, '')}"


def _against_wiener(numbers: Numbers) -> str:
    verdict = {
        1: "The denoised halves are closer to the signal than the Wiener-filtered halves",
        0: (
            "The denoised halves and the Wiener-filtered halves are equally close to the signal, "
            "within error"
        ),
        -1: "The denoised halves do NOT beat the Wiener filter",
    }[_beats_wiener(numbers)]
    return (
        f"{verdict}: signal-to-error {figure(numbers['signal_to_error_denoised'].value)} against "
        f"{figure(numbers['signal_to_error_wiener'].value)}, a ratio of "
        f"{_with_interval(numbers['advantage_over_wiener'])}."
    )


def _beats_wiener(numbers: Numbers) -> int:
    """1 where the ratio's interval lies above one, −1 where it lies below, 0 where it includes one,
    where there is no interval, and where there is no signal.
    """
    ratio = numbers["advantage_over_wiener"]
    if ratio.low is None or ratio.high is None or not _at(numbers["frc_raw"]) > 0:
        return 0
    return 1 if ratio.low > 1 else -1 if ratio.high <= 1 else 0


def warnings(groups: Sequence[Group], has_model: bool) -> list[str]:
    """What a reader must know before any number."""
    first = groups[0]
    numbers = first.numbers
    warned: list[str] = []
    if has_model and first.name != "held out":
        warned.append(
            "The model was trained on all of these micrographs, so the numbers may flatter it. "
            "Hold some micrographs out of training, or evaluate other micrographs."
        )
    if not _at(numbers["frc_raw"]) > 0:
        lost = (
            "The halves have no signal in common, so it cannot be measured how much signal was "
            "kept."
        )
        return [*warned, lost]
    if _at(numbers["signal_to_error_denoised"]) <= _at(numbers["signal_to_error_wiener"]):
        cure = " Train longer, or on more data." if has_model else ""
        warned.append(f"The denoised images are no better than a Wiener filter.{cure}")
    if abs(_at(numbers["calibration"]) - 1) > 0.25:
        cure = "" if has_model else " Set fit_scale for programs that do not keep the scale."
        warned.append(
            "The denoised images are not on the scale of the data: multiplying them by "
            f"{_at(numbers['calibration']):.2f} would bring them closer to the data.{cure}"
        )
    return warned + _doubtful_halves(first)


def _doubtful_halves(group: Group) -> list[str]:
    """What suggests that the halves share more than the signal."""
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
    """What is worth saying of one micrograph."""
    remarked: list[str] = []
    if not _at(numbers["frc_raw"]) > 0:
        remarked.append("The halves have no signal in common.")
    elif _beats_wiener(numbers) < 0:
        remarked.append("The Wiener filter is closer to the signal here.")
    if (facts.refuted or 0.0) > _MUCH_REFUTED:
        remarked.append(
            f"In {100 * (facts.refuted or 0.0):.0f} % of the area, the other half does not "
            "confirm what the denoised image shows."
        )
    if facts.hot_pixels > _MANY_HOT_PIXELS:
        remarked.append(f"{facts.hot_pixels} hot pixels were replaced.")
    if facts.blank_share > _MUCH_BLANK:
        remarked.append(f"{100 * facts.blank_share:.0f} % of the area holds no data.")
    return remarked


def unlike_the_others(score: float) -> str:
    """The remark on a micrograph that is far from the others of its set."""
    return f"Unlike the others: {score:.1f} robust standard deviations from them."


def _at(number: Number) -> float:
    return math.nan if number.value is None else number.value


def _with_interval(number: Number) -> str:
    ends = interval(number)
    return f"{figure(number.value)} ({ends})" if ends else figure(number.value)


def _ratio(numbers: Numbers, above: str, below: str) -> float:
    divisor = _at(numbers[below])
    return _at(numbers[above]) / divisor if divisor else math.nan
