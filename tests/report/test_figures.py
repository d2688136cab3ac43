"""Figures are files that can be looked at."""

import torch

from restore.report.figures import losses, ring_curves, save_png


def test_losses_and_curves_are_drawn_with_every_line_named(tmp_path):
    rows = [
        {"step": n, "train_loss": 1.0, "held_out_loss": 0.9, "perfect_loss": 0.8} for n in (1, 2)
    ]
    named = [text.get_text() for text in losses(rows).axes[0].get_legend().get_texts()]
    assert named == ["training", "held out", "a perfect denoiser"]
    frequency = torch.linspace(0.01, 0.1, 10)
    figure = ring_curves(frequency, {"raw": frequency, "denoised": 2 * frequency})
    assert [line.get_label() for line in figure.axes[0].lines[:2]] == ["raw", "denoised"]
    save_png(figure, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
