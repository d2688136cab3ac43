"""Each sentence appears when it should, and only then."""

import pytest

from restore.evaluation.verdict import is_strange, remarks, strangeness, summary, warnings

KEYS = (
    "var_signal", "var_noise_raw", "var_noise_denoised", "var_bias", "var_invented", "snr_raw", "frc_raw", "gain",
    "bias_share", "invented_share", "unpaired_raw", "calibration", "signal_to_error_raw", "signal_to_error_wiener",
    "signal_to_error_denoised", "correlation_raw", "correlation_lowpass", "correlation_wiener", "correlation_denoised",
)  # fmt: skip
BEATS, UNSURE, FAILS, UNKNOWN = (
    (1.2, 1.1, 1.3),
    (1.02, 0.9, 1.1),
    (0.8, 0.7, 0.9),
    (1.2, None, None),
)
NO_WIENER, NO_SCALE = "no better than a plain Wiener filter", "not in the scale of the data"
TRAINED, ALIKE, FIXED, NO_SIGNAL = (
    "was trained on",
    "alike at the finest",
    "fixed pattern of the camera",
    "no signal in common",
)


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def numbers(advantage=BEATS, **changed):
    """Numbers of a good result, with some changed."""
    known = {key: interval(0.1, 0.09, 0.11) for key in KEYS} | {
        "advantage_over_wiener": interval(*advantage)
    }
    known |= {"calibration": interval(1.0), "unpaired_raw": interval(0.001, -0.01, 0.01)}
    denoised = None if advantage[0] is None else 2 * advantage[0]
    known |= {
        "signal_to_error_denoised": interval(denoised),
        "signal_to_error_wiener": interval(2.0),
    }
    return known | {
        key: interval(*value) if isinstance(value, tuple) else interval(value)
        for key, value in changed.items()
    }


def group(name="held out", micrographs=8, fine=0.0, **changed):
    curves = {"frc_raw": {"value": [0.8] * 12 + [fine] * 4}}
    return {
        "name": name,
        "micrographs": micrographs,
        "numbers": numbers(**changed),
        "curves": curves,
    }


def test_a_good_result_has_no_warnings():
    assert warnings([group()], has_model=True) == []
    assert warnings([group("all")], has_model=False) == []


@pytest.mark.parametrize("changed, word", [
    ({"advantage": FAILS}, NO_WIENER),
    ({"advantage": (1.0, 0.9, 1.1)}, NO_WIENER),
    ({"calibration": 3.0}, NO_SCALE),
    ({"calibration": 0.7}, NO_SCALE),
    ({"fine": 0.4}, ALIKE),
    ({"unpaired_raw": (0.05, 0.02, 0.08)}, FIXED),
    ({"frc_raw": -0.01, "unpaired_raw": None}, NO_SIGNAL),
    ({"name": "trained on"}, TRAINED),
    ({"name": "all"}, TRAINED),
])  # fmt: skip
def test_each_warning_comes_alone_and_for_its_reason(changed, word):
    (said,) = warnings([group(**changed)], has_model=True)
    assert word in said


@pytest.mark.parametrize("changed", [
    {"advantage": (1.01, 0.9, 1.1)},
    {"calibration": 1.24},
    {"calibration": None},
    {"fine": 0.29},
    {"unpaired_raw": (0.05, -0.01, 0.08)},
    {"unpaired_raw": None},
])  # fmt: skip
def test_what_is_within_bounds_or_unknown_is_no_reason_to_warn(changed):
    assert warnings([group(**changed)], has_model=True) == []


def test_images_of_another_program_are_told_of_fit_scale_and_a_model_is_not():
    said = [
        warnings([group("all", calibration=2.0)], has_model=has_model)[-1]
        for has_model in (True, False)
    ]
    assert ["--fit_scale" in each for each in said] == [False, True]
    assert all("multiplying them by 2.00" in each for each in said)


def test_without_any_signal_nothing_is_said_of_the_wiener_filter():
    unknown = dict.fromkeys(
        ("signal_to_error_denoised", "signal_to_error_wiener", "correlation_denoised")
    )
    lost = group("all", advantage=(None, None, None), frc_raw=None, **unknown)
    assert [NO_SIGNAL in each for each in warnings([lost], has_model=False)] == [True]
    assert "cannot be told" in summary([lost])[1] and "is –;" in summary([lost])[0]


@pytest.mark.parametrize("advantage, words", [
    (BEATS, "are nearer to the signal than what the Wiener filter"),
    (UNSURE, "cannot be told from what the Wiener filter"),
    (FAILS, "do NOT beat the Wiener filter"),
    (UNKNOWN, "cannot be told from what the Wiener filter"),
])  # fmt: skip
def test_the_summary_says_whether_the_wiener_filter_is_beaten(advantage, words):
    said = summary([group(advantage=advantage)])
    assert words in said[1] and f"signal-to-error {2 * advantage[0]:.3g} against 2" in said[1]
    assert (
        sum("Wiener filter of" in each or "the Wiener filter makes" in each for each in said) == 1
    )


@pytest.mark.parametrize("name, count, words", [
    ("held out", 1, "On 1 micrograph never trained on, the"),
    ("trained on", 3, "On 3 micrographs that the model was trained on, the"),
    ("all", 2, "On 2 micrographs, the"),
])  # fmt: skip
def test_the_summary_says_what_it_is_about(name, count, words):
    assert summary([group(name, count)])[0].startswith(words)


def test_the_summary_has_the_shares_in_percent_and_the_noise_only_test_where_it_was_made():
    said = summary(
        [group(var_noise_denoised=0.02, var_noise_raw=0.8, gain=0.625, invented_share=0.043)]
    )
    assert "variance 2.5 % is left" in said[2] and "amplitude 62.5 %" in said[2]
    assert "draws 4.3 % of the variance" in said[3]
    assert len(summary([group(invented_share=None)])) == 3


def test_remarks_are_made_of_the_micrograph_that_deserves_them():
    assert remarks(numbers(), {"refuted": 0.1, "hot_pixels": 900}) == []
    assert remarks(numbers(UNSURE), {}) == []
    assert remarks(numbers(FAILS), {}) == ["Here the Wiener filter is nearer to the signal."]
    assert remarks(numbers(FAILS, frc_raw=-0.1), {}) == ["The halves have no signal in common."]
    refuted, hot = remarks(numbers(), {"refuted": 0.31, "hot_pixels": 1234})
    assert "In 31 % of the area" in refuted and hot == "1234 hot pixels were replaced."


def test_the_odd_one_out_is_strange_and_like_ones_are_not():
    usual = [numbers(snr_raw=0.1 + 0.004 * index) for index in range(9)]
    scores = strangeness([*usual, numbers(snr_raw=0.01)])
    assert is_strange(scores[-1]) and not any(is_strange(each) for each in scores[:-1])
    assert strangeness([*usual[:2]]) == [0.0, 0.0]
    assert not any(
        is_strange(each) for each in strangeness([*usual[:2], numbers(snr_raw=0.2)])
    )  # three tell nothing
    assert strangeness([numbers(snr_raw=None)] * 5) == [0.0] * 5
