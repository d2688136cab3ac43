"""Inflation of the FSC of denoised half maps: a bias that was put in is found, and where there is
none, none is.
"""

import math

import pytest
import torch

from restore.maps.ball import ball
from restore.maps.fsc import ShellAxis, shell_correlation, shell_sums
from restore.maps.fsc_inflation import agreements, components, inflation
from restore.maps.sharpening import fsc_weight

SIDE = 32
VOXEL_A = (2.0, 2.0, 2.0)
AXIS = ShellAxis((SIDE,) * 3, VOXEL_A)


def field(seed, spectrum=0.0):
    """A random map; its amplitudes fall as exp(-spectrum k²), k in shells."""
    white = torch.randn(
        (SIDE,) * 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return filtered(white, lambda k: torch.exp(-spectrum * k**2))


def filtered(volume, weight):
    """A map with each component times ``weight`` of its distance from the centre, in whole
    shells.
    """
    k = torch.stack(list(AXIS.radii())).round()
    return torch.fft.irfftn(torch.fft.rfftn(volume) * weight(k), s=volume.shape)


def kept(k):
    """What a denoiser keeps of each component: a low-pass filter."""
    return 1 / (1 + (k / 8) ** 4)


def halves(seed=0, bias=0.0, noise=0.4, rest=0.5):
    """A signal, raw half maps, and denoised ones: filtered, with this ``rest`` of the noise, and
    ``bias`` that both get.
    """
    signal = field(seed, 0.01)
    noises = [noise * field(100 * seed + half + 1) for half in (0, 1)]
    own = [noise * field(100 * seed + half + 11) for half in (0, 1)]
    denoised = [filtered(signal + rest * (a + b), kept) for a, b in zip(noises, own, strict=True)]
    return (
        signal,
        torch.stack([signal + noise for noise in noises]),
        torch.stack(denoised) + bias * field(991, 0.01),
    )


def true_excess(signal, bias, noise=0.4, rest=0.5):
    """B² / P_D of ``halves``: the part of their common map that is not proportional to the signal,
    over all power.
    """
    common = torch.fft.rfftn(filtered(signal, kept) + bias * field(991, 0.01))
    cross, power, of_signal = shell_sums(common, torch.fft.rfftn(signal), AXIS, "half")
    k = torch.arange(AXIS.count)
    ones = torch.ones_like(common)
    of_noise = shell_sums(ones, ones, AXIS, "half")[0] * SIDE**3 * 2 * (noise * rest * kept(k)) ** 2
    return (power - cross**2 / of_signal) / (power + of_noise)


def found_for(raw, denoised, **how):
    return inflation(agreements(raw, denoised, VOXEL_A, **how))


def known(result, curve):
    """The shells of which something can be said."""
    return curve[1 : result.last_shell + 1]


def test_raw_maps_in_the_place_of_denoised_ones_have_no_inflation_at_all():
    _, raw, _ = halves()
    inflation = found_for(raw, raw)
    assert known(inflation, inflation.excess).abs().max() < 1e-12
    torch.testing.assert_close(
        known(inflation, inflation.correlation), known(inflation, inflation.claimed_correlation)
    )


def test_a_filter_of_frequencies_invents_nothing_and_none_is_found():
    scores = []
    for seed in range(12):
        _, raw, denoised = halves(seed)
        inflation = found_for(raw, denoised)
        assert not inflation.is_found
        assert abs(inflation.mean_excess[0]) < 0.01
        scores.append(inflation.mean_excess[0] / inflation.mean_excess[1])
    assert abs(sum(scores) / len(scores)) < 3 / math.sqrt(len(scores))


def test_scales_of_the_maps_and_their_signs_change_nothing():
    _, raw, denoised = halves(bias=0.5)
    plain = found_for(raw, denoised)
    scaled = found_for(7 * raw, -0.1 * denoised)
    torch.testing.assert_close(scaled.excess, plain.excess, equal_nan=True)


def test_a_bias_that_both_denoised_halves_share_is_found_as_large_as_it_is():
    signal, raw, denoised = halves(bias=0.5)
    inflation = found_for(raw, denoised)
    true = true_excess(signal, 0.5)
    assert inflation.is_found and known(inflation, true).mean() > 0.1
    score = known(inflation, inflation.excess - true) / known(inflation, inflation.excess_error)
    assert score.abs().max() < 4 and score.square().mean().sqrt() < 1.4


def test_a_bias_in_a_few_coarse_shells_is_found_there_though_the_mean_of_all_shells_hides_it():
    _, raw, denoised = halves()
    ring = filtered(field(5), lambda k: ((k >= 4) & (k <= 7)).double() * 0.3)
    inflation = found_for(raw, denoised + ring)
    assert inflation.inflated_band is not None
    first, last = inflation.inflated_band
    assert 4 <= first <= last <= 7 and last - first >= 2
    assert inflation.mean_excess[0] < 0.03 and found_for(raw, denoised).inflated_band is None


def test_the_errors_are_those_of_repeated_experiments():
    """Of reconstructions, which are limited to the ball in the box."""
    inside = ball(SIDE).double()
    signal = halves()[0] * inside
    excesses, errors = [], []
    for seed in range(1, 25):
        noises = [inside * field(1000 * seed + half) for half in (0, 1)]
        raw = torch.stack([signal + 0.4 * noise for noise in noises])
        denoised = torch.stack(
            [0.5 * half + filtered(half, lambda k: (k < 9).double()) for half in raw]
        )
        inflation = found_for(raw, denoised + 0.4 * inside * field(77, 0.01))
        excesses.append(inflation.excess[3:11])
        errors.append(inflation.excess_error[3:11])
    scatter = torch.stack(excesses).std(dim=0)
    ratio = torch.stack(errors).mean(dim=0) / scatter
    assert 0.8 < float(ratio.log().mean().exp()) < 1.25


@pytest.mark.parametrize("radius", [None, 11])
def test_the_samples_are_the_independent_values_of_noise_in_the_ball_and_the_mask(radius):
    """The mean correlation of independent noise, over all shells, scatters as 1/√(Σ samples)."""
    inside = ball(SIDE).double()
    mask = None
    if radius is not None:
        z, y, _ = torch.meshgrid(*[torch.arange(SIDE) - SIDE / 2] * 3, indexing="ij")
        mask = ((radius - (z * z + y * y).sqrt()) / 3).clamp(0, 1).double()  # a cylinder along x
    _, raw, denoised = halves()
    samples = agreements(raw, denoised, VOXEL_A, mask).samples[1:]
    weight = inside if mask is None else inside * mask
    means = []
    for seed in range(200):
        pair = [(weight * field(5000 + 2 * seed + half))[None] for half in (0, 1)]
        means.append((shell_correlation(*pair, AXIS)[1:] * samples).sum() / samples.sum())
    scatter = torch.stack(means).square().mean().sqrt()
    assert 0.87 < float(samples.sum().rsqrt() / scatter) < 1.15


def test_the_correlation_with_the_truth_is_predicted_without_knowing_it():
    signal, raw, denoised = halves(bias=0.5)
    inflation = found_for(raw, denoised)
    true = shell_correlation(denoised.mean(dim=0)[None], signal[None], AXIS)
    shells = slice(2, inflation.last_shell)
    assert (inflation.correlation - true)[shells].abs().mean() < 0.03
    assert (inflation.claimed_correlation - true)[shells].mean() > 0.1


def test_c_ref_of_unbiased_halves_is_their_means_correlation_with_the_truth():
    signal, raw, _ = halves()
    predicted = fsc_weight(shell_correlation(raw[:1], raw[1:], AXIS))
    true = shell_correlation(raw.mean(dim=0)[None], signal[None], AXIS)
    assert (predicted - true)[2:12].abs().max() < 0.05


def test_c_ref_of_an_fsc_of_a_third_is_the_root_of_a_half():
    weight = fsc_weight(torch.tensor([1.0, 1 / 3, 0.143, -0.2], dtype=torch.float64))
    torch.testing.assert_close(
        weight, torch.tensor([1, math.sqrt(0.5), 0.5002, 0], dtype=torch.float64), atol=1e-4, rtol=0
    )


def test_nothing_is_said_where_the_raw_halves_do_not_agree():
    _, raw, denoised = halves(bias=0.5, noise=0.7)
    inflation = found_for(raw, denoised)
    assert 1 <= inflation.last_shell < len(inflation.claimed) - 3
    assert inflation.supported[inflation.last_shell + 1 :].isnan().all()
    assert not inflation.claimed.isnan().any()


def test_of_pure_noise_nothing_is_said_and_nothing_is_found():
    inflation = found_for(torch.stack([field(1), field(2)]), torch.stack([field(3), field(3)]))
    assert inflation.last_shell == 0 and not inflation.is_found
    assert all(math.isnan(value) for value in inflation.mean_excess)


def test_under_a_mask_the_bias_is_found_too():
    z, y, x = torch.meshgrid(*[torch.arange(SIDE) - SIDE / 2] * 3, indexing="ij")
    mask = ((12 - (z * z + y * y + x * x).sqrt()) / 4).clamp(0, 1).double()
    _, raw, denoised = halves(bias=0.5)
    _, same, clean = halves()
    assert found_for(raw, denoised, mask=mask).is_found
    assert not found_for(same, clean, mask=mask).is_found


@pytest.mark.parametrize("side", [8, 9])
def test_the_components_of_all_shells_are_those_of_the_whole_transform(side):
    axis = ShellAxis((side,) * 3, VOXEL_A)
    k = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64)
    radius = (k[:, None, None] ** 2 + k[:, None] ** 2 + k**2).sqrt()
    wanted = torch.bincount((radius + 0.5).long().flatten())[: axis.count]
    assert components(axis).tolist() == wanted.tolist()


def test_symmetry_and_mask_leave_fewer_samples():
    _, raw, denoised = halves()
    whole = agreements(raw, denoised, VOXEL_A)
    symmetric = agreements(raw, denoised, VOXEL_A, symmetry_order=14)
    torch.testing.assert_close(symmetric.samples[5:] * 14, whole.samples[5:])
