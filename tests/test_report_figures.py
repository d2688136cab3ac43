"""Figures are files that can be looked at."""

import matplotlib.image
import numpy as np
import torch

from restore.report.figures import Panel, losses, ring_curves, save_png, side_by_side


def test_images_side_by_side_make_a_png_with_both_in_their_own_grey_range(tmp_path):
    ramp = torch.linspace(0, 1, 64).expand(48, 64)
    figure = side_by_side([Panel("raw", 1000 * ramp, 1.0), Panel("denoised", -ramp, 1.0)])
    save_png(figure, tmp_path / "picture.png")
    drawn = matplotlib.image.imread(tmp_path / "picture.png")[..., 0]
    row = drawn[drawn.shape[0] // 2]
    left, right = row[: len(row) // 2], row[len(row) // 2 :]
    assert left[20] < 0.2 < 0.8 < left[-20]
    assert right[20] > 0.8 > 0.2 > right[-20]


def test_large_images_are_averaged_down_not_sampled(tmp_path):
    stripes = torch.zeros(2400, 2400)
    stripes[::2] = 1
    figure = side_by_side([Panel("stripes", stripes, 1.0)])
    shown = figure.axes[0].images[0].get_array()
    assert max(shown.shape) == 1200
    assert np.allclose(shown, 0.5)


def test_losses_and_curves_are_drawn_with_every_line_named(tmp_path):
    rows = [{"step": n, "train_loss": 1.0, "held_out_loss": 0.9, "perfect_loss": 0.8} for n in (1, 2)]
    named = [text.get_text() for text in losses(rows).axes[0].get_legend().get_texts()]
    assert named == ["training", "held out", "a perfect denoiser"]
    frequency = torch.linspace(0.01, 0.1, 10)
    figure = ring_curves(frequency, {"raw": frequency, "denoised": 2 * frequency})
    assert [line.get_label() for line in figure.axes[0].lines[:2]] == ["raw", "denoised"]
    save_png(figure, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
