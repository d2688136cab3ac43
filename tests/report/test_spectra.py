"""The figures of an evaluation: which curves they have, and where."""

import evaluation_example
import numpy as np
import pytest
from matplotlib.colors import to_hex

from restore.evaluation.records import evaluation_from
from restore.report.figures import save_png
from restore.report.spectra import error_curves, shares


def lines(figure):
    return {
        line.get_label(): line
        for line in figure.axes[0].lines
        if not line.get_label().startswith("_")
    }


def test_signal_over_error_is_drawn_for_raw_wiener_and_denoised():
    card = evaluation_example.evaluation()
    figure = error_curves(evaluation_from(card))
    drawn_lines = lines(figure)
    assert (
        set(drawn_lines) == {"raw", "Wiener filter", "denoised"}
        and figure.axes[0].get_yscale() == "log"
    )
    curves = card["groups"][0]["curves"]
    for label, key in (("raw", "raw"), ("Wiener filter", "wiener"), ("denoised", "denoised")):
        x, y = drawn_lines[label].get_data()
        seen = np.array(card["frequency_per_A"]) >= 1 / 200
        assert np.array_equal(x, np.array(card["frequency_per_A"])[seen])
        assert np.array_equal(y, np.array(curves[f"signal_to_error_{key}"]["value"])[seen])
    assert len(figure.axes[0].collections) == 3  # the intervals
    assert figure.axes[0].get_title() == "held out: 4 micrographs"


def test_shares_are_drawn_in_different_colours():
    curves = lines(shares(evaluation_from(evaluation_example.evaluation())))
    assert len(curves) == 4 and len({to_hex(curve.get_color()) for curve in curves.values()}) == 4


def test_a_curve_that_was_not_measured_is_left_out():
    card = evaluation_example.evaluation()
    curve = card["groups"][0]["curves"]["invented_share"]
    for end in curve:
        curve[end] = [None] * len(curve[end])
    assert set(lines(shares(evaluation_from(card)))) == {
        "signal kept",
        "bias",
        "FRC of unrelated micrographs",
    }


def test_gaps_and_one_micrograph_are_drawn(tmp_path):
    card = evaluation_example.evaluation(micrographs=1, held_out=0)
    for curve in card["groups"][0]["curves"].values():
        curve["value"][5] = curve["low"][5] = curve["low"][9] = None
    figure = error_curves(evaluation_from(card))
    assert figure.axes[0].get_title() == "trained on: 1 micrograph"
    save_png(figure, tmp_path / "a.png")
    save_png(shares(evaluation_from(card)), tmp_path / "b.png")
    assert min((tmp_path / name).stat().st_size for name in ("a.png", "b.png")) > 10_000


@pytest.mark.parametrize("draw", [error_curves, shares])
def test_a_result_without_any_signal_can_be_drawn(draw, tmp_path):
    card = evaluation_example.evaluation(micrographs=2)
    for curve in card["groups"][0]["curves"].values():
        for end in curve:
            curve[end] = [None] * len(curve[end])
    save_png(draw(evaluation_from(card)), tmp_path / "empty.png")


def test_the_ratio_to_the_wiener_filter_stands_below_on_an_axis_that_holds_one():
    card = evaluation_example.evaluation()
    below = error_curves(evaluation_from(card)).axes[1]
    assert below.get_yscale() == "linear" and below.get_ylabel() == "denoised / Wiener filter"
    low, high = below.get_ylim()
    assert low <= 0.9 and 1.1 <= high < 2.5
    assert np.allclose(below.lines[0].get_ydata(), 1.4)


def test_rings_without_signal_are_left_out_and_shaded():
    card = evaluation_example.evaluation()
    card["groups"][0]["has_signal"] = [index < 40 for index in range(evaluation_example.RINGS)]
    figure = error_curves(evaluation_from(card))
    x, y = lines(figure)["denoised"].get_data()
    assert np.isnan(y[x > card["frequency_per_A"][39]]).all() and not np.isnan(y).all()
    assert len(figure.axes[0].patches) == evaluation_example.RINGS - 40
    noise_alone = lines(shares(evaluation_from(card)))["output for noise alone"]
    assert not np.isnan(noise_alone.get_ydata()).any()
