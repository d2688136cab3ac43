"""Where a drawing is confirmed by the other half: a picture of which one side is true and the other
invented.
"""

import pytest
import torch
from simulated_halves import coloured, white

from restore.evaluation.estimators.support import local_support

SHAPE, WINDOW_PX = (160, 320), 32


def smooth(seed, shape=SHAPE):
    picture = coloured(shape, seed, lambda f: torch.exp(-((f / 0.06) ** 2)))
    return picture / picture.std()


def halves(picture, noise, shape=SHAPE, seed=0):
    return tuple(picture + noise * white(shape, seed + n) for n in (1, 2))


def true_on_the_left():
    """Raw halves, and drawings that are true on the left and of something else on the right."""
    signal, invented = smooth(1), smooth(2)
    drawn = torch.where(torch.arange(SHAPE[1]) < SHAPE[1] // 2, signal, invented)
    return halves(signal, 1.0, seed=10), halves(drawn, 0.05, seed=20)


def test_the_true_side_is_confirmed_and_the_invented_side_refuted():
    support = local_support(*true_on_the_left(), WINDOW_PX)
    columns = support.slope.shape[1]
    left, right = slice(0, columns * 3 // 8), slice(columns * 5 // 8, columns)
    assert (support.confirmed[:, left] > 0).float().mean() > 0.95 and not support.refuted[
        :, left
    ].any()
    assert (support.refuted[:, right] > 0).float().mean() > 0.9 and not support.confirmed[
        :, right
    ].any()
    assert float(support.slope[:, left].mean()) == pytest.approx(1, abs=0.05)
    assert float(support.slope[:, right].mean()) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("noise", [0.1, 3.0], ids=["chance likeness to the signal", "noise"])
def test_the_error_is_the_scatter_of_the_slope_of_what_is_invented(noise):
    supports = [local_support(halves(smooth(s), noise, seed=300 + 9 * s),
                           halves(smooth(100 + s), 0.05, seed=200 + 9 * s),
                           WINDOW_PX) for s in range(6)]  # fmt: skip
    scatter = torch.stack([support.slope for support in supports]).square().mean().sqrt()
    stated = torch.stack([support.error for support in supports]).square().mean().sqrt()
    assert float(stated / scatter) == pytest.approx(1, abs=0.25)


def test_the_own_noise_that_a_denoiser_leaves_is_no_support():
    raw = halves(torch.zeros(SHAPE), 1.0)
    support = local_support(raw, raw, WINDOW_PX)
    assert (support.refuted > 0).float().mean() > 0.95 and not support.confirmed.any()


def test_what_is_drawn_far_below_the_noise_cannot_be_told():
    """At a nominal 5 % on either side."""
    share = 0.0
    for seed in range(6):
        faint = 0.01 * smooth(seed)
        support = local_support(
            halves(torch.zeros(SHAPE), 1.0, seed=90 + 9 * seed), (faint, faint), WINDOW_PX
        )
        share += float(((support.confirmed > 0) | (support.refuted > 0)).float().mean()) / 6
    assert share < 0.15


def test_a_drawing_that_is_twice_too_strong_is_half_confirmed():
    signal = smooth(3)
    support = local_support(halves(signal, 0.5, seed=30), (2 * signal, 2 * signal), WINDOW_PX)
    assert float(support.slope.mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "shape, window_px", [((97, 61), 16), ((64, 64), 500), ((33, 200), 3), ((64, 64), 0.2)]
)
def test_any_shape_and_window_give_numbers_up_to_the_edges(shape, window_px):
    signal = smooth(4, shape)
    support = local_support(halves(signal, 0.3, shape), (signal, signal), window_px)
    assert support.slope.isfinite().all() and support.error.isfinite().all()
    assert float(support.slope.mean()) == pytest.approx(1, abs=0.2)
