"""Figures are files that can be looked at."""

import torch

from restore.evaluation.records import ModelSummary
from restore.report.curves import loss_chart
from restore.report.figures import losses, ring_curves, save_png


def test_losses_and_curves_are_drawn_with_every_line_named(tmp_path):
    rows = [
        {"step": n, "train_loss": 1.0, "held_out_loss": 0.9, "perfect_loss": 0.8} for n in (1, 2)
    ]
    named = [text.get_text() for text in losses(rows).axes[0].get_legend().get_texts()]
    assert named == ["training loss", "validation loss", "noise floor"]
    frequency = torch.linspace(0.01, 0.1, 10)
    figure = ring_curves(frequency, {"raw": frequency, "denoised": 2 * frequency})
    assert [line.get_label() for line in figure.axes[0].lines[:2]] == ["raw", "denoised"]
    save_png(figure, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_losses_of_one_evaluation_can_be_read():
    row = {"step": 40, "train_loss": 1.0, "held_out_loss": 0.9, "perfect_loss": 0.7}
    axes = losses([row | {"wiener_loss": 0.8}]).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {"training loss", "validation loss", "noise floor", "Wiener filter"}
    for label in ("training loss", "validation loss"):  # a line of one point would not be seen
        assert lines[label].get_marker() == "o"
    for label, level in (("noise floor", 0.7), ("Wiener filter", 0.8)):
        assert list(lines[label].get_xdata()) == [0, 1]  # all across
        assert list(lines[label].get_ydata()) == [level, level]
    assert axes.get_xticks().tolist() == [40]


def test_the_page_shows_one_evaluation_as_marks_between_levels():
    row = {"step": 40, "train_loss": 1.0, "held_out_loss": 0.9, "perfect_loss": 0.7}
    history = [row | {"wiener_loss": 0.8}]
    chart = loss_chart(ModelSummary(training={"history": history}))
    assert chart is not None and chart.x[0] == 0 and chart.x[1] == 40 < chart.x[-1]
    marks = {line.label: line.curve.value for line in chart.lines if line.dots}
    assert marks == {"training loss": (None, 1.0, None), "validation loss": (None, 0.9, None)}
    levels = {line.label: set(line.curve.value) for line in chart.lines if not line.dots}
    assert levels == {"noise floor": {0.7}, "Wiener filter": {0.8}}


def test_an_epoch_without_an_evaluation_leaves_the_others_drawn():
    rows = [{"step": 1, "train_loss": 1.0}, {"step": 2, "train_loss": 0.9, "held_out_loss": 0.8}]
    lines = {line.get_label(): line for line in losses(rows).axes[0].lines}
    assert list(lines["validation loss"].get_xdata()) == [2]
    assert list(lines["training loss"].get_xdata()) == [1, 2]
