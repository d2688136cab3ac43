"""The factors that bring a denoised image and the raw one nearest to the truth: against the truth
itself.
"""

import pytest
import torch

from restore.evaluation.estimators.calibration import (
    OWN_RINGS,
    PRIOR_PIXELS,
    HalfCovariances,
    following_ctf,
    least_squares_weights,
    smoothed_rings,
    weights_for_full_sum,
    with_prior,
)

RINGS = 40


def noise(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariances(images):
    """The covariances of images given by their coefficients (images, rings, coefficients)."""
    return HalfCovariances.of(torch.einsum("irc,jrc->ijr", images, images) / images.shape[-1])


def world(denoise, count=20_000, snr=0.2):
    """Halves of a signal that fades over the rings, each through ``denoise``, and the signal."""
    power = snr * torch.exp(-torch.arange(RINGS) / 10.0)[:, None]
    signal = noise(RINGS, count, seed=0) * power.sqrt()
    halves = [signal + noise(RINGS, count, seed=seed) for seed in (1, 2)]
    return torch.stack([*halves, *(denoise(half, signal, power) for half in halves)]), signal


def twice_wiener(half, signal, power):
    """A denoiser that is right but for the scale."""
    return 2 * power / (power + 1) * half


def half_blind(half, signal, power):
    """One that knows more than a filter of the coarse half of the rings, and of the fine half draws
    noise.
    """
    coarse = (torch.arange(RINGS) < RINGS // 2)[:, None]
    drawn = noise(*half.shape, seed=9) * 0.3
    return torch.where(coarse, 0.8 * signal + 0.05 * half, drawn)


def error(weights, images, signal):
    """The squared distance of the weighted first half to the signal, in each ring."""
    weighted = weights.slope[:, None] * images[2] + weights.share[:, None] * images[0]
    return (weighted - signal).square().mean(dim=-1)


def test_a_wrong_scale_is_found_and_the_raw_image_left_out():
    images, _ = world(twice_wiener)
    weights = least_squares_weights(covariances(images))
    torch.testing.assert_close(
        weights.slope[:20], torch.full((20,), 0.5).double(), atol=0.06, rtol=0
    )
    assert (weights.share[:20] < 0.02).all()


def test_no_ring_is_worse_than_under_the_wiener_filter_or_than_the_denoised_image_as_it_is():
    images, signal = world(half_blind)
    weights = least_squares_weights(covariances(images))
    power = signal.square().mean(dim=-1, keepdim=True)
    wiener = (power / (power + 1) * images[0] - signal).square().mean(dim=-1)
    as_it_is = (images[2] - signal).square().mean(dim=-1)
    calibrated_error = error(weights, images, signal)
    best = torch.minimum(wiener, as_it_is)
    away = (torch.arange(RINGS) - RINGS // 2).abs() > 6  # no network changes from ring to ring
    assert (calibrated_error[away] <= 1.03 * best[away] + 2e-4).all()
    assert (
        calibrated_error[: RINGS // 2 - 6] < 0.5 * wiener[: RINGS // 2 - 6]
    ).all()  # the network is used


def test_where_the_denoised_image_knows_nothing_the_wiener_filter_is_left():
    images, _ = world(lambda half, signal, power: noise(*half.shape, seed=7), snr=1.0)
    table = covariances(images)
    weights = least_squares_weights(table)
    smooth = table.smoothed(11)
    expected = smooth.signal / smooth.raw
    assert (weights.slope.abs() < 0.03).all()
    torch.testing.assert_close(weights.share, expected.clamp(min=0), atol=0.01, rtol=0)
    full = weights_for_full_sum(weights, table)
    strong = expected > 0.2
    torch.testing.assert_close(
        full.share[strong], (2 * expected / (1 + expected))[strong], atol=0.02, rtol=0
    )


def test_rings_without_signal_or_without_a_denoised_image_are_left_empty_and_never_a_nan():
    images, _ = world(lambda half, signal, power: 0 * half, snr=0.0)
    weights = least_squares_weights(covariances(images))
    assert (weights.slope == 0).all() and (weights.share.abs() < 0.02).all()
    empty = least_squares_weights(HalfCovariances.of(torch.zeros(4, 4, RINGS)))
    assert (empty.slope == 0).all() and (empty.share == 0).all()


@pytest.mark.parametrize("rings", [1, 2, 3, 11, 40])
def test_smoothing_keeps_what_is_the_same_in_all_rings(rings):
    table = torch.full((4, 4, rings), 3.0)
    torch.testing.assert_close(smoothed_rings(table), table)


def test_one_denoised_half_is_enough():
    images, _ = world(half_blind)
    both, one = covariances(images), covariances(images[:3])
    for name in ("raw", "signal", "denoised", "across", "mixed"):
        torch.testing.assert_close(getattr(one, name), getattr(both, name), atol=0.02, rtol=0.1)
    torch.testing.assert_close(
        least_squares_weights(one).slope[:15], least_squares_weights(both).slope[:15],
        atol=0.05, rtol=0,
    )  # fmt: skip


def test_between_its_own_halves_and_the_prior_the_size_of_a_micrograph_decides():
    own, prior = (
        covariances(
            world(lambda half, signal, _, strength=strength: strength * signal + 0.02 * half)[0]
        )
        for strength in (1.6, 0.8)
    )
    slopes = {
        pixels: least_squares_weights(with_prior(own, prior, pixels), OWN_RINGS).slope[:10]
        for pixels in (1e3, PRIOR_PIXELS, 1e9)
    }
    assert (slopes[1e3] - 1.2).abs().max() < 0.1
    assert (slopes[1e9] - 0.6).abs().max() < 0.1
    assert (slopes[PRIOR_PIXELS] > slopes[1e9]).all() and (slopes[1e3] > slopes[PRIOR_PIXELS]).all()


def test_the_prior_counts_as_so_many_pixels_whatever_its_scale():
    images, _ = world(half_blind)
    own = covariances(images)
    louder = HalfCovariances(*(7 * curve for curve in own.curves()))
    same = with_prior(own, louder, PRIOR_PIXELS)
    for mine, both in zip(own.curves(), same.curves(), strict=True):
        torch.testing.assert_close(both, 2 * mine)


def test_without_a_model_of_it_a_small_image_trusts_the_network():
    images, _ = world(half_blind, count=40)
    own = covariances(images)
    weights = least_squares_weights(with_prior(own, None, 1.0), OWN_RINGS)
    assert (weights.slope - 1).abs().max() < 0.05 and weights.share.max() < 0.05


def oscillating(amplitude=1.0, rings=120):
    """The CTF squared in each ring, between 1 − ``amplitude`` and 1, faster and faster."""
    return 1 - amplitude * torch.cos(torch.arange(rings, dtype=torch.float64).square() / 150) ** 2


def weak_world(ctf_square, count=400, seed=0):
    """Halves of a weak signal that follows the CTF, one of them denoised by a plain Wiener filter;
    and the best weights.
    """
    rings = len(ctf_square)
    power = (0.4 * torch.exp(-torch.arange(rings) / 40.0) * ctf_square)[:, None]
    signal = noise(rings, count, seed=seed) * power.sqrt()
    halves = [signal + noise(rings, count, seed=seed + n) for n in (1, 2)]
    images = torch.stack([*halves, 0.1 * signal + 0.1 * halves[0]])
    return covariances(images), (power / (power + 1))[:, 0]


RING = 1 / 600


def followed(own, ctf_square, count=400):
    components = torch.full((len(ctf_square),), float(count), dtype=torch.float64)
    return following_ctf(own, ctf_square, components, RING)


def test_what_follows_the_ctf_stays():
    ctf_square = oscillating()
    curves = [2 + 3 * ctf_square, ctf_square, 1 + ctf_square, 0.1 * ctf_square, 0.5 * ctf_square]
    own = HalfCovariances(*curves)
    for before, after in zip(curves, followed(own, ctf_square).curves(), strict=True):
        torch.testing.assert_close(after[30:], before[30:], rtol=0.05, atol=0.01)


def test_following_the_ctf_brings_the_weights_nearer_to_the_best():
    """Nearer than neighbouring rings do, few or many."""
    ctf_square = oscillating()
    errors = {"ctf": 0.0, "three": 0.0, "eleven": 0.0}
    for seed in range(0, 50, 5):
        own, best = weak_world(ctf_square, seed=seed)
        smooth = {
            "ctf": followed(own, ctf_square),
            "three": own.smoothed(3),
            "eleven": own.smoothed(11),
        }
        for name, curves in smooth.items():
            measured = (curves.signal.clamp(min=0) / curves.raw)[30:]
            errors[name] += float((measured - best[30:]).square().mean())
    assert errors["ctf"] < 0.5 * min(errors["three"], errors["eleven"])


def test_a_wrong_ctf_costs_no_more_than_to_smooth_it_away():
    """The line is then nearly level."""
    errors = {"wrong": 0.0, "smooth": 0.0}
    for seed in range(0, 50, 5):
        own, best = weak_world(oscillating(), seed=seed)
        for name, assumed in (("wrong", oscillating().flip(0)), ("smooth", torch.ones(120))):
            curves = followed(own, assumed.double())
            measured = (curves.signal.clamp(min=0) / curves.raw)[30:]
            errors[name] += float((measured - best[30:]).square().mean())
    assert errors["wrong"] < 1.1 * errors["smooth"]


def test_a_ring_that_is_measured_well_stands_alone():
    square = oscillating(0.8)
    own = HalfCovariances(1 + square, square, 0.2 + square, square, 0.1 + square)
    level = torch.ones(120, dtype=torch.float64)
    sure, unsure = (followed(own, level, count=count) for count in (10**7, 10))
    for before, kept, lost in zip(*(c.curves() for c in (own, sure, unsure)), strict=True):
        torch.testing.assert_close(kept, before, rtol=1e-3, atol=1e-3)
        assert lost[60:].std() < 0.5 * before[60:].std()


def test_empty_rings_give_no_nans():
    empty = HalfCovariances(*(torch.zeros(120, dtype=torch.float64) for _ in range(5)))
    components = torch.zeros(120, dtype=torch.float64)
    curves = following_ctf(empty, torch.zeros(120, dtype=torch.float64), components, RING).curves()
    assert all((curve == 0).all() for curve in curves)
