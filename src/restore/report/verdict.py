"""The verdict in large figures: how close each method comes to the noise-free image, and what the
network did.
"""

from collections.abc import Mapping
from html import escape

from restore.evaluation.records import Group
from restore.quantities import Number
from restore.report.numerals import figure, interval, share

_NOTHING = Number()


def ladder(numbers: Mapping[str, Number]) -> str:
    """Bars from raw to denoised: the estimated correlation with the noise-free image, with
    intervals.
    """
    lowpass_A = numbers.get("lowpass_A", _NOTHING).value
    steps = (
        ("correlation_raw", "raw", "raw"),
        (
            "correlation_lowpass",
            f"low-pass, {figure(lowpass_A, 2)} Å" if lowpass_A else "low-pass",
            "lowpass",
        ),
        ("correlation_wiener", "Wiener filter", "wiener"),
        ("correlation_denoised", "denoised", "denoised"),
    )
    rows = [
        _step(numbers[key], label, look) for key, label, look in steps if _is_there(numbers, key)
    ]
    return f'<ol class="ladder">{"".join(rows)}</ol>' if rows else ""


def _step(number: Number, label: str, look: str) -> str:
    ends = interval(number)
    between = f'<span class="interval">{ends}</span>' if ends else ""
    return (
        f'<li class="{look}"><span class="label">{escape(label)}</span>{_bar(number, look)}'
        f'<span class="value">{figure(number.value)}</span>{between}</li>'
    )


def _bar(number: Number, look: str) -> str:
    """A bar from 0 to 1 with its interval as a whisker."""
    length = _percent(number.value)
    whisker = ""
    if number.low is not None and number.high is not None:
        low, high = _percent(number.low), _percent(number.high)
        whisker = (
            f'<path class="whisker" d="M{low:.2f} 5H{high:.2f}M{low:.2f} 2.5v5M{high:.2f} 2.5v5"/>'
        )
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="whole" width="100" height="10"/><rect class="{look}" width="{length:.2f}" '
        'height="10"/>'
        f"{whisker}</svg>"
    )


def _percent(value: float | None) -> float:
    return 100 * min(max(value or 0.0, 0.0), 1.0)


def large_figures(group: Group) -> str:
    """At most six numbers in large type, compared with the Wiener filter and the ideal, each with a
    sentence; unknown ones are left out.
    """
    numbers = group.numbers
    drawn = [_noise_removed(numbers), *(_figure(numbers, *tile) for tile in _SHARES)]
    drawn.append(_ratio(numbers))
    return f'<dl class="figures">{"".join(drawn)}</dl>' if any(drawn) else ""


_SHARES = (
    (
        "gain",
        "signal kept",
        "of the signal’s amplitude is kept. The rest was lost with the noise.",
        1.0,
    ),
    (
        "bias_share",
        "bias",
        "as much variance as the signal has: the error that both denoised halves share, made of "
        "lost and hallucinated signal.",
        0.0,
    ),
    (
        "hallucinated_share",
        "hallucinated",
        "as much variance as the signal has: the part of the bias that is not lost signal, but "
        "was added.",
        0.0,
    ),
    (
        "invented_share",
        "output for noise alone",
        "as much is drawn, in variance, as for a real half when the network is given noise only "
        "(EVN − ODD, in which the signal cancels).",
        0.0,
    ),
)
"""The tiles that are shares: key, title, the sentence that starts with the share, and the ideal."""


def _is_there(numbers: Mapping[str, Number], key: str) -> bool:
    return numbers.get(key, _NOTHING).value is not None


def _reference(wiener: float | None, ideal: float) -> str:
    """The reference of a share: that of the Wiener filter, if known, and the ideal."""
    beside = f"Wiener filter {share(wiener)} · " if wiener is not None else ""
    return f"{beside}ideal {100 * ideal:.0f} %"


def _figure(numbers: Mapping[str, Number], key: str, title: str, words: str, ideal: float) -> str:
    if not _is_there(numbers, key):
        return ""
    ends = interval(numbers[key], as_share=True)
    reference = _reference(numbers.get(f"{key}_wiener", _NOTHING).value, ideal)
    return _card(title, share(numbers[key].value), ends, words, reference)


def _noise_removed(numbers: Mapping[str, Number]) -> str:
    removed, wiener = (_complement(numbers.get(key, _NOTHING)) for key in _NOISE_SHARES)
    if removed.value is None:
        return ""
    words = "of the variance of the noise was removed."
    ends = interval(removed, as_share=True)
    reference = _reference(wiener.value, 1.0)
    return _card("noise removed", share(removed.value), ends, words, reference)


_NOISE_SHARES = ("noise_share", "noise_share_wiener")


def _complement(number: Number) -> Number:
    """One minus a share, with its interval."""
    ends = (number.value, number.high, number.low)
    return Number(*(None if end is None else 1 - end for end in ends))


def _ratio(numbers: Mapping[str, Number]) -> str:
    key = "signal_to_error_denoised"
    if not _is_there(numbers, key):
        return ""
    wiener = numbers.get("signal_to_error_wiener", _NOTHING).value
    reference = f"Wiener filter {figure(wiener)}" if wiener is not None else ""
    ratio = numbers.get("advantage_over_wiener", _NOTHING)
    if reference and ratio.value is not None:
        between = f" ({interval(ratio)})" if interval(ratio) else ""
        reference += f" · {figure(ratio.value)} times as much{between}"
    words = (
        "is the ratio of the signal’s variance to that of all error, noise and bias together. An "
        "empty image has 1."
    )
    ends = interval(numbers[key])
    return _card("signal to error", figure(numbers[key].value), ends, words, reference)


def _card(title: str, value: str, ends: str, words: str, reference: str) -> str:
    between = f' <span class="interval">{ends}</span>' if ends else ""
    beside = f'<p class="reference">{reference}</p>' if reference else ""
    return (
        f"<div><dt>{title}</dt><dd><strong>{value}</strong>{between}{beside}"
        f"<p>{words}</p></dd></div>"
    )
