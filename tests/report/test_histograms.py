"""The histogram shows what it says."""

import numpy as np
import pytest

from restore.report.figures import save_png
from restore.report.histograms import histogram


def draw(values, median=2.0, quartiles=(1.0, 3.0)):
    return histogram(
        np.asarray(values, dtype=float), median, quartiles, ("two files", "distance, degrees"), "°"
    )


def words(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_the_median_and_the_quartiles_stand_where_they_are():
    axes = draw(np.linspace(0, 10, 101)).axes[0]
    assert list(axes.lines[0].get_xdata()) == [2, 2]
    assert words(axes.figure) == [
        "interquartile range: 1.00 to 3.00°",
        "median: 2.00°",
        "2 of 101 beyond 9.80°",
    ]
    assert axes.get_xlabel() == "distance, degrees" and axes.get_title(loc="left") == "two files"


def test_every_value_within_the_axis_is_in_a_bar_and_the_others_are_counted():
    axes = draw(np.concatenate([np.linspace(0, 5, 97), [40.0, 50.0, 60.0]])).axes[0]
    end = axes.get_xlim()[1]
    bars = [patch for patch in axes.patches if patch.get_facecolor()[:3] != (221 / 255,) * 3]
    assert len(bars) == 60 and bars[-1].get_x() + bars[-1].get_width() == pytest.approx(end)
    assert 40 <= end < 50 and sum(bar.get_height() for bar in bars) == 98
    assert words(axes.figure)[2].startswith("2 of 100 beyond")


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [1.0], [0.0] * 99 + [5.0]])
def test_values_that_are_all_alike_are_drawn(values, tmp_path):
    save_png(draw(values, 0.0, (0.0, 0.0)), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_equal_files_have_an_axis_that_can_be_read():
    axes = draw(np.array([0.0, 1e-7, 3e-6]), 1e-7, (0.0, 1e-6)).axes[0]
    assert axes.get_xlim() == (0, 1)
    assert words(axes.figure)[2] == "0 of 3 beyond 1.00°"
