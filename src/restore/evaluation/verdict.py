"""What the numbers mean, in plain sentences: the verdict, warnings, and remarks on single
micrographs.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from scipy.stats import norm, t

Interval = Mapping[str, float | None]
Numbers = Mapping[str, Interval]

_STRANGE = 4.0
_LARGEST_SCORE = 37.0  # beyond it a tail of the normal distribution is no double any more
_FREEDOM_OF_SPREAD = (
    0.7  # with it 1 in 100 of sets of 8 like micrographs, and 1 in 8 of 300, has one beyond 4
)
_OUTLIER_KEYS = ("snr_raw", "correlation_denoised", "bias_share", "invented_share", "calibration")
_LOG_KEYS = ("snr_raw", "bias_share", "invented_share")


def summary(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The verdict on the first group (held out, where there is one), a sentence for each thing that
    matters.
    """
    group = groups[0]
    numbers: Numbers = group["numbers"]
    where = _where(group)
    sentences = [
        f"{where}, the estimated correlation with the noise-free image is "
        f"{_with_interval(numbers['correlation_denoised'])}; "
        f"raw halves have {_value(numbers['correlation_raw'])}, the best plain low-pass "
        f"{_value(numbers['correlation_lowpass'])}, the Wiener filter "
        f"{_value(numbers['correlation_wiener'])}.",
        _against_wiener(numbers),
        "Of the noise's variance "
        f"{_percent(_ratio(numbers, 'var_noise_denoised', 'var_noise_raw'))} is left, and of the "
        "signal's "
        f"amplitude {_percent(numbers['gain']['value'])}. The bias, false or lost signal, has "
        f"{_percent(numbers['bias_share']['value'])} of "
        f"the signal's variance; {_percent(_ratio(numbers, 'var_invented', 'var_signal'))} is "
        "invented, the rest is lost.",
    ]
    if numbers["invented_share"]["value"] is not None:
        sentences.append(
            "Into EVN − ODD, where the signal cancels, the model draws "
            f"{_percent(numbers['invented_share']['value'])} "
            "of the variance that it draws into a real half."
        )
    return sentences


def _where(group: Mapping[str, Any]) -> str:
    count = group["micrographs"]
    words = {"held out": "never trained on", "trained on": "that the model was trained on"}.get(
        group["name"], ""
    )
    return f"On {count} micrograph{'s' if count > 1 else ''}{' ' if words else ''}{words}"


def _against_wiener(numbers: Numbers) -> str:
    ours, theirs, ratio = (
        numbers[key]
        for key in ("signal_to_error_denoised", "signal_to_error_wiener", "advantage_over_wiener")
    )
    said = {
        1: (
            "The denoised halves are nearer to the signal than what the Wiener filter makes of "
            "the same halves"
        ),
        0: (
            "The denoised halves cannot be told from what the Wiener filter makes of the same "
            "halves"
        ),
        -1: "The denoised halves do NOT beat the Wiener filter of the same halves",
    }[_beats_wiener(numbers)]
    return (
        f"{said}: signal-to-error {_value(ours)} against {_value(theirs)}, their ratio "
        f"{_with_interval(ratio)}."
    )


def _beats_wiener(numbers: Numbers) -> int:
    """1 beyond doubt, −1 where it does not, 0 where the interval has one in it or there is none, or
    no signal.
    """
    low, high = numbers["advantage_over_wiener"]["low"], numbers["advantage_over_wiener"]["high"]
    if low is None or high is None or not _at(numbers["frc_raw"]) > 0:
        return 0
    return 1 if low > 1 else -1 if high <= 1 else 0


def warnings(groups: Sequence[Mapping[str, Any]], has_model: bool) -> list[str]:
    """What a reader must know before any number."""
    found: list[str] = []
    first = groups[0]
    numbers: Numbers = first["numbers"]
    if has_model and first["name"] != "held out":
        found.append(
            "Every micrograph here was trained on: the numbers may flatter the model. Train with "
            "some held out, or evaluate others."
        )
    if not _at(numbers["frc_raw"]) > 0:
        return [
            *found,
            "The halves have no signal in common: nothing can be said of what became of it.",
        ]
    if _at(numbers["signal_to_error_denoised"]) <= _at(numbers["signal_to_error_wiener"]):
        cure = ": train longer, or on more data" if has_model else ""
        found.append(
            f"The denoised images are no better than a plain Wiener filter would be{cure}."
        )
    if abs(_at(numbers["calibration"]) - 1) > 0.25:
        found.append(
            "The denoised images are not in the scale of the data: multiplying them by "
            f"{_at(numbers['calibration']):.2f} would bring "
            f"them nearer.{'' if has_model else ' Of programs that do not keep it, give --fit_scale.'}"
        )
    fine = [
        value
        for value in first["curves"]["frc_raw"]["value"][
            -max(2, len(first["curves"]["frc_raw"]["value"]) // 8) :
        ]
        if value is not None
    ]
    if fine and median(fine) > 0.3:
        found.append(
            f"The halves are alike at the finest resolution (FRC {median(fine):.2f}): are they "
            "independent? Fixed patterns, "
            "interpolation or a wrong pair of files count as signal here."
        )
    fixed = numbers["unpaired_raw"]
    if fixed["low"] is not None and fixed["low"] > 0.1 * _at(numbers["frc_raw"]):
        found.append(
            "Unrelated micrographs have something in common: a fixed pattern of the camera is "
            "taken for signal."
        )
    return found


def remarks(numbers: Numbers, facts: Mapping[str, Any]) -> list[str]:
    """What is worth saying of one micrograph."""
    found: list[str] = []
    if not _at(numbers["frc_raw"]) > 0:
        found.append("The halves have no signal in common.")
    elif _beats_wiener(numbers) < 0:
        found.append("Here the Wiener filter is nearer to the signal.")
    if facts.get("refuted", 0.0) > 0.2:
        found.append(
            f"In {100 * facts['refuted']:.0f} % of the area the other half does not confirm what "
            "is drawn."
        )
    if facts.get("hot_pixels", 0) > 1000:
        found.append(f"{facts['hot_pixels']} hot pixels were replaced.")
    return found


def strangeness(everything: Sequence[Numbers]) -> list[float]:
    """How far each micrograph is from the others: the largest robust z-score of what is compared.

    The spread of a few micrographs is known badly: a distance counts as Student's t of as many
    degrees of freedom as the median absolute deviation has, and what comes back is the z-score of a
    normal distribution that is as unlikely.
    """
    scores = [0.0] * len(everything)
    for key in _OUTLIER_KEYS:
        values = [_scaled(numbers, key) for numbers in everything]
        known = [value for value in values if value is not None]
        if len(known) < 3:
            continue
        middle = median(known)
        spread = 1.4826 * median(abs(value - middle) for value in known)
        for index, value in enumerate(values):
            if value is not None and spread > 0:
                scores[index] = max(
                    scores[index], _z_score(abs(value - middle) / spread, len(known))
                )
    return scores


def _z_score(distance: float, count: int) -> float:
    freedom = _FREEDOM_OF_SPREAD * (count - 1)
    return min(float(norm.isf(t.sf(distance, freedom))), _LARGEST_SCORE)


def is_strange(score: float) -> bool:
    """Whether a micrograph is far from the others."""
    return score > _STRANGE


def _scaled(numbers: Numbers, key: str) -> float | None:
    value = numbers[key]["value"]
    if value is None or key not in _LOG_KEYS:
        return value
    return math.log(max(value, 1e-6))


def _at(interval: Interval) -> float:
    value = interval["value"]
    return math.nan if value is None else value


def _value(interval: Interval) -> str:
    return "–" if interval["value"] is None else f"{interval['value']:.3g}"


def _with_interval(interval: Interval) -> str:
    if interval["low"] is None or interval["high"] is None:
        return _value(interval)
    return f"{_value(interval)} ({interval['low']:.3g} to {interval['high']:.3g})"


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.3g} %"


def _ratio(numbers: Numbers, above: str, below: str) -> float:
    divisor = _at(numbers[below])
    return _at(numbers[above]) / divisor if divisor else math.nan
