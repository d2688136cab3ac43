"""Each sentence appears when it should, and only then."""

import re

import pytest

from restore.evaluation.records import Facts, Group
from restore.quantities import Curve, Number
from restore.report.evaluation_words import has_signal, remarks, summary, warnings

KEYS = (
    "var_signal", "var_noise_raw", "var_noise_denoised", "var_bias", "var_invented",
    "snr_raw", "frc_raw",
    "gain", "bias_share", "invented_share", "unpaired_raw", "calibration",
    "signal_to_error_raw", "signal_to_error_wiener", "signal_to_error_denoised",
    "correlation_raw", "correlation_lowpass", "correlation_wiener", "correlation_denoised",
)  # fmt: skip
BEATS, UNSURE, FAILS, UNKNOWN = (
    (1.2, 1.1, 1.3),
    (1.02, 0.9, 1.1),
    (0.8, 0.7, 0.9),
    (1.2, None, None),
)
NO_WIENER, NO_SCALE = "no better than a Wiener filter", "not on the scale of the data"
TRAINED, ALIKE, FIXED, NO_SIGNAL = (
    "was trained on all of",
    "agree even at the finest",
    "fixed pattern of the camera",
    "no measurable signal in common",
)


def numbers(advantage=BEATS, **changed):
    """Numbers of a good result, with some changed."""
    known = {key: Number(0.1, 0.09, 0.11) for key in KEYS} | {
        "advantage_over_wiener": Number(*advantage)
    }
    known |= {"calibration": Number(1.0), "unpaired_raw": Number(0.001, -0.01, 0.01)}
    denoised = None if advantage[0] is None else 2 * advantage[0]
    known |= {
        "signal_to_error_denoised": Number(denoised),
        "signal_to_error_wiener": Number(2.0),
    }
    return known | {
        key: Number(*value) if isinstance(value, tuple) else Number(value)
        for key, value in changed.items()
    }


def group(name="held out", micrographs=8, fine=0.0, rings=(), **changed):
    curves = {"frc_raw": Curve((*[0.8] * 12, *[fine] * 4))}
    return Group(
        name=name, micrographs=micrographs, numbers=numbers(**changed), curves=curves,
        has_signal=rings,
    )  # fmt: skip


def test_a_good_result_has_no_warnings():
    assert warnings([group()], has_model=True) == []
    assert warnings([group("all")], has_model=False) == []


@pytest.mark.parametrize("changed, word", [
    ({"advantage": FAILS}, NO_WIENER),
    ({"advantage": (1.01, 0.99, 1.03)}, NO_WIENER),
    ({"calibration": 3.0}, NO_SCALE),
    ({"calibration": 0.7}, NO_SCALE),
    ({"fine": 0.4}, ALIKE),
    ({"unpaired_raw": (0.05, 0.02, 0.08)}, FIXED),
    ({"frc_raw": -0.01, "unpaired_raw": None}, NO_SIGNAL),
    ({"name": "trained on"}, TRAINED),
    ({"name": "all"}, TRAINED),
])  # fmt: skip
def test_each_warning_comes_alone_and_for_its_reason(changed, word):
    (warning,) = warnings([group(**changed)], has_model=True)
    assert word in warning


@pytest.mark.parametrize("changed", [
    {"advantage": (1.01, 0.9, 1.1)},
    {"advantage": (1.0, 0.9, 1.1)},
    {"calibration": 1.24},
    {"calibration": None},
    {"fine": 0.29},
    {"unpaired_raw": (0.05, -0.01, 0.08)},
    {"unpaired_raw": None},
])  # fmt: skip
def test_what_is_within_bounds_or_unknown_is_no_reason_to_warn(changed):
    assert warnings([group(**changed)], has_model=True) == []


def test_fit_scale_is_advised_for_another_program_and_not_for_a_model():
    texts = [
        warnings([group("all", calibration=2.0)], has_model=has_model)[-1]
        for has_model in (True, False)
    ]
    assert ["fit_scale" in text for text in texts] == [False, True]
    assert all("multiplying them by 2.00" in text for text in texts)


def test_without_any_signal_nothing_is_said_of_the_wiener_filter():
    unknown = dict.fromkeys(
        ("signal_to_error_denoised", "signal_to_error_wiener", "correlation_denoised")
    )
    lost = group("all", advantage=(None, None, None), frc_raw=None, **unknown)
    assert [NO_SIGNAL in warning for warning in warnings([lost], has_model=False)] == [True]
    assert "no measurable signal in common" in summary([lost])[0]
    assert "noise-free image is –." in summary([lost])[1]


BY_CHANCE = (0.0008, -0.002, 0.003)


@pytest.mark.parametrize("advantage", [BEATS, FAILS])
def test_a_correlation_that_is_positive_by_chance_is_no_signal(advantage):
    noise = group(advantage=advantage, frc_raw=BY_CHANCE)
    lines = summary([noise])
    assert lines[0].endswith("the two halves have no measurable signal in common.")
    assert not any("times as much" in line or "Of the noise" in line for line in lines)
    (warning,) = warnings([noise], has_model=True)
    assert NO_SIGNAL in warning
    assert remarks(noise.numbers, Facts()) == ["The halves have no measurable signal in common."]


def test_a_weak_signal_in_three_neighbouring_rings_gets_a_verdict():
    few, enough = [(True, True, *more, False) for more in ((False, True), (True, False))]
    weak = [group(frc_raw=BY_CHANCE, rings=rings) for rings in (few, enough)]
    assert [summary([seen])[0].startswith(HELPS) for seen in weak] == [False, True]
    assert [len(warnings([seen], has_model=True)) for seen in weak] == [1, 0]
    assert not has_signal(numbers(frc_raw=(-0.001, -0.004, 0.002)), enough)
    assert has_signal(numbers(frc_raw=0.0008))


HELPS, LITTLE, USELESS, HARMS, OPEN = (
    "Denoising helps: it brings",
    "This denoising is nearly useless:",
    "This denoising is useless:",
    "This denoising is worse than useless:",
    "These data do not show whether denoising helps:",
)


@pytest.mark.parametrize("advantage, words, warned", [
    (BEATS, HELPS, []),
    ((1.049, 1.03, 1.06), LITTLE, ["hardly"]),
    ((1.01, 1.002, 1.02), LITTLE, ["hardly"]),
    ((1.01, 0.99, 1.03), USELESS, ["no"]),
    (UNSURE, OPEN, []),
    ((1.0, 0.9, 1.1), OPEN, []),
    ((0.97, 0.9, 1.1), OPEN, []),
    (FAILS, HARMS, ["no"]),
    (UNKNOWN, OPEN, []),
])  # fmt: skip
def test_the_first_sentence_says_whether_denoising_was_of_use(advantage, words, warned):
    spoken = " ".join(warnings([group(advantage=advantage)], has_model=True))
    assert re.findall(r"are (\w+) better than a Wiener filter", spoken) == warned
    lines = summary([group(advantage=advantage)])
    numbers = re.findall(r"\d\.\d", lines[0])
    assert lines[0].startswith(words) and lines[0].count(".") == len(numbers) + 1
    assert f"is {2 * advantage[0]:.2f} for the denoised halves and 2.00 for the W" in lines[2]
    assert sum("signal to error" in sentence for sentence in lines) == 1


def test_a_correlation_above_one_beyond_the_error_gets_no_verdict():
    beyond = group(advantage=FAILS, correlation_denoised=(1.13, 1.12, 1.14))
    (line,) = summary([beyond])
    assert line.startswith("There is no verdict") and "1.13 is more than any image has" in line
    assert warnings([beyond], has_model=False) == []
    assert "cannot be right" in remarks(beyond.numbers, Facts())[0]
    for within in ((1.005, 0.99, 1.02), 1.005):
        (first, *_) = summary([group(advantage=FAILS, correlation_denoised=within)])
        assert not first.startswith("There is no verdict")


def test_a_gain_in_the_correlation_counts_where_the_error_is_mostly_lost_signal():
    gained = group(
        advantage=(1.03, 1.02, 1.04), correlation_denoised=0.376, correlation_wiener=0.335
    )
    assert summary([gained])[0].startswith(HELPS)
    assert (
        "0.376, against 0.335 for the Wiener filter and 0.100 for the raw" in summary([gained])[0]
    )


def test_a_model_that_is_nearly_useless_comes_with_a_warning():
    (warning,) = warnings([group(advantage=(1.01, 1.002, 1.02))], has_model=True)
    assert "hardly better than a Wiener filter. Train longer, or on more data." in warning


@pytest.mark.parametrize("name, count, words", [
    ("held out", 1, "On 1 micrograph never trained on, the"),
    ("trained on", 3, "On 3 micrographs that the model was trained on, the"),
    ("all", 2, "On 2 micrographs, the"),
])  # fmt: skip
def test_the_summary_says_what_it_is_about(name, count, words):
    assert summary([group(name, count)])[1].startswith(words)


def test_the_summary_has_the_shares_in_percent_and_the_noise_only_test_where_it_was_made():
    lines = summary(
        [group(var_noise_denoised=0.02, var_noise_raw=0.8, gain=0.625, invented_share=0.043)]
    )
    assert "Of the noise, 2.5 % of the variance remains" in lines[3]
    assert "of the signal, 62 % of the amplitude" in lines[3]
    assert "the model still draws 4.3 % as much, in variance" in lines[4]
    assert len(summary([group(invented_share=None)])) == 4


def test_remarks_are_made_of_the_micrograph_that_deserves_them():
    assert remarks(numbers(), Facts(900, refuted=0.1)) == []
    assert remarks(numbers(UNSURE), Facts()) == []
    assert remarks(numbers(FAILS), Facts()) == ["The Wiener filter is closer to the signal here."]
    assert remarks(numbers(FAILS, frc_raw=-0.1), Facts()) == [
        "The halves have no measurable signal in common."
    ]
    refuted, hot = remarks(numbers(), Facts(1234, refuted=0.31))
    assert "In 31 % of the area" in refuted and hot == "1234 hot pixels were replaced."


def test_images_that_are_better_in_all_but_scale_are_not_called_harmful():
    off = group(
        advantage=(0.991, 0.985, 0.998),
        correlation_denoised=0.472,
        correlation_wiener=0.449,
        calibration=1.55,
    )
    assert "grey values are on another scale" in summary([off])[0]
    (warning,) = warnings([off], has_model=True)
    assert "multiplying them by 1.55" in warning and "comes with its halves" in warning


def test_the_first_sentence_never_gives_figures_that_contradict_it():
    harms = group(
        advantage=(0.98, 0.97, 0.99), correlation_denoised=0.451, correlation_wiener=0.449
    )
    assert summary([harms])[0].startswith(HARMS)
    assert "(signal over all error 1.96, against 2.00)" in summary([harms])[0]
