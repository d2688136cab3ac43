"""The figure and the STAR file of a Fourier shell correlation."""

import pytest
import torch

from restore.maps.fsc import FSC
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure

FREQUENCY = torch.arange(33) / 96.0
FALLING = 1 / (1 + (FREQUENCY * 6).double() ** 6)
RANDOM = torch.where(torch.arange(33) < 12, 0.99, 0.05).double()


def whole():
    return FSC(FREQUENCY, FALLING**1.5, FALLING, RANDOM, FALLING**1.1, 12)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_curve_is_drawn_and_named_and_the_crossings_of_the_best_are_said(tmp_path):
    fsc = whole()
    figure = fsc_figure(fsc, "half1 and half2")
    named = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert named == {"unmasked", "masked", "masked, phases random", "corrected"}
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert torch.equal(torch.from_numpy(drawn["corrected"]), fsc.corrected)
    words = [
        f"{fsc.crossing_A(fsc.corrected, threshold):.2f} Å at {threshold:g}"
        for threshold in (0.5, 0.143)
    ]
    assert texts(figure) == words
    save_png(figure, tmp_path / "fsc.png")
    assert (tmp_path / "fsc.png").stat().st_size > 5000


@pytest.mark.parametrize("level", [0.9, 0.01])
def test_without_a_crossing_the_thresholds_are_named_and_none_is_claimed(level):
    figure = fsc_figure(FSC(FREQUENCY, torch.full((33,), level).double()), "")
    assert texts(figure) == ["0.5", "0.143"]


def test_negative_correlations_stay_on_the_figure():
    figure = fsc_figure(FSC(FREQUENCY, torch.linspace(1, -0.9, 33).double()), "")
    assert figure.axes[0].get_ylim()[0] < -0.9
