"""What a ResLog figure shows."""

import numpy as np
import pytest

from restore.maps.reslog import ResLogCurve, fit_reslog
from restore.report.figures import save_png
from restore.report.reslog_figure import reslog_figure

SIZES = np.array([100, 200, 400, 800, 1600])


def curve_of(frequency, nyquist=0.25):
    return ResLogCurve(SIZES, np.asarray(frequency, float), nyquist)


@pytest.fixture
def curves():
    raw = 0.05 + 0.03 * np.log10(SIZES) + 0.002 * np.random.default_rng(0).standard_normal((3, 5))
    denoised = raw + 0.06
    raw[0, 0], denoised[denoised > 0.2] = 0, np.inf
    return {
        name: (curve, fit_reslog(curve))
        for name, curve in (("raw", curve_of(raw)), ("denoised", curve_of(denoised)))
    }


def test_every_point_is_drawn_and_what_is_not_fitted_is_counted(curves, tmp_path):
    figure = reslog_figure(curves, "a title")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert len(lines["raw"].get_xdata()) == 14 and len(lines["raw, 1 not fitted"].get_xdata()) == 1
    at_nyquist = lines[next(name for name in lines if name.startswith("denoised,"))]
    assert set(at_nyquist.get_ydata()) == {0.25} and at_nyquist.get_markerfacecolor() == "none"
    assert lines["raw, 1 not fitted"].get_ydata()[0] == axes.get_ylim()[0]
    assert axes.get_title() == "a title" and len(axes.collections) == 2
    save_png(figure, tmp_path / "figure.png")


def test_resolutions_are_named_in_angstrom_where_their_inverse_lies(curves):
    axes = reslog_figure(curves, "").axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    ticks = list(zip(axes.get_yticks(), names, strict=True))
    assert len(ticks) >= 4 and all(place == pytest.approx(1 / float(name)) for place, name in ticks)


@pytest.mark.parametrize("value", [0.0, np.inf, 0.1])
def test_curves_without_a_line_are_drawn(value, tmp_path):
    curve = curve_of(np.full((2, 5), value))
    save_png(reslog_figure({"raw": (curve, None)}, ""), tmp_path / "figure.png")
