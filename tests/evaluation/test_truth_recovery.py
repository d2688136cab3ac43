"""The estimators against simulated truth: signal, noise, bias and intervals that are known
beforehand.
"""

import pytest
import torch
from simulated_halves import NYQUIST_PER_A, blocks_of, coloured, white

from restore.evaluation.estimators.comparison import whole_numbers, with_baselines
from restore.evaluation.estimators.decomposition import decompose, overall
from restore.evaluation.estimators.resampling import (
    enough_resamples,
    estimate,
    resampling_weights,
)

CONFIDENCE = 0.9


def signal_power(frequency):
    """SNR against white noise of unit variance: 1.5 at low frequency, a thousandth at Nyquist."""
    return 1.5 * torch.exp(-((frequency / 0.18) ** 2))


def micrograph(seed, size, denoise):
    """Raw halves, and what ``denoise(signal, own noise, seed)`` makes of each."""
    signal = coloured((size, size), 10 * seed, signal_power)
    noises = [white((size, size), 10 * seed + half) for half in (1, 2)]
    denoised = [denoise(signal, noise, 10 * seed + 3) for noise in noises]
    return {
        "M1": signal + noises[0], "M2": signal + noises[1], "D1": denoised[0], "D2": denoised[1],
    }  # fmt: skip


def smoothed(image):
    """An image without what is finer than a quarter of the sampling rate."""
    spectrum = torch.fft.rfft2(image)
    ky, kx = torch.fft.fftfreq(image.shape[0])[:, None], torch.fft.rfftfreq(image.shape[1])[None]
    return torch.fft.irfft2(
        spectrum * torch.exp(-((torch.hypot(ky, kx) / 0.12) ** 2)), s=image.shape
    )


def unbiased(signal, noise, seed):
    return signal + 0.3 * noise


def with_bias(share):
    """A denoiser that adds the same false picture, of ``share`` of the signal's variance, to both
    halves.
    """

    def denoise(signal, noise, seed):
        false = coloured(tuple(signal.shape), seed, signal_power)
        return signal + 0.3 * noise + share**0.5 * false

    return denoise


def units_of(denoise, count, size, patch_px, blocks=1, first_seed=0):
    tables = [
        blocks_of(micrograph(seed, size, denoise), patch_px, blocks)
        for seed in range(first_seed, first_seed + count)
    ]
    return torch.cat(tables)


def estimates_of(units, quantities=overall, resamples=400):
    return estimate(
        units, quantities, CONFIDENCE, resampling_weights(len(units), resamples, seed=0)
    )


def holds(estimate, truth):
    return bool(estimate.low <= truth <= estimate.high)


def test_the_snr_of_each_ring_is_recovered_within_a_tenth_from_eight_micrographs():
    rings, total = 16, 0
    for seed in range(8):
        total = total + units_of(unbiased, 1, 2048, 4 * rings, first_seed=seed)[0]
    estimates = decompose(total)
    frequency = torch.arange(1, rings + 1) / rings / 2  # of the sampling rate
    truth = signal_power(frequency)
    clear = truth > 0.02
    assert clear.sum() >= 10
    assert torch.allclose(estimates["snr_raw"][clear].float(), truth[clear], rtol=0.1)
    assert torch.allclose(estimates["snr_denoised"][clear].float(), truth[clear] / 0.09, rtol=0.1)
    assert torch.allclose(estimates["snr_raw_full"], 2 * estimates["snr_raw"])


@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_an_injected_bias_lies_within_its_interval(share):
    """In at least 34 of 40 simulated sets of eight micrographs, at a nominal 90 %."""
    estimates = [
        estimates_of(units_of(with_bias(share), 8, 192, 64, first_seed=1000 + 8 * index))
        for index in range(40)
    ]
    assert sum(holds(estimate["bias_share"], share) for estimate in estimates) >= 34
    assert sum(holds(estimate["gain"], 1.0) for estimate in estimates) >= 34
    width = (
        sum(estimate["bias_share"].high - estimate["bias_share"].low for estimate in estimates) / 40
    )
    assert width < 0.2 * share + 0.04


def test_the_bias_of_an_unbiased_filter_is_consistent_with_zero():
    estimates = estimates_of(units_of(unbiased, 8, 512, 64))
    assert holds(estimates["var_bias"], 0.0)
    assert abs(estimates["var_bias"].value) < 0.01 * estimates["var_signal"].value


def test_equation_18_as_it_is_printed_would_call_the_noise_a_bias():
    """With √(cov(M1,M1) cov(M2,M2)) in the place of cov(M1,M2) an unbiased denoiser has a bias of
    var(N_raw).
    """
    table = units_of(unbiased, 2, 512, 64).sum(dim=0)
    estimates = overall(table)
    printed = estimates["var_bias"] - estimates["var_signal"] + estimates["power_raw"]
    assert abs(estimates["var_bias"]) < 0.02 * estimates["var_noise_raw"]
    assert printed == pytest.approx(float(estimates["var_noise_raw"]), rel=0.02)


def test_the_bias_of_a_linear_filter_is_lost_signal_and_nothing_invented():
    def denoise(signal, noise, seed):
        return smoothed(signal + noise)

    estimates = estimates_of(units_of(denoise, 8, 512, 64), decompose)
    kept = torch.exp(-((torch.arange(1, 17) / 32 / 0.12) ** 2))
    clear = estimates["snr_raw"].value > 0.1
    assert torch.allclose(estimates["gain"].value[clear].float(), kept[clear], atol=0.05)
    assert torch.allclose(
        estimates["bias_share"].value[clear].float(), (1 - kept[clear]) ** 2, atol=0.05
    )
    assert (estimates["var_invented"].value.abs() < 0.03 * estimates["var_signal"].value)[
        clear
    ].all()


def test_the_estimated_correlation_with_the_noise_free_image_is_the_true_one():
    micrographs = [micrograph(seed, 768, with_bias(0.2)) for seed in range(3)]
    estimates = overall(torch.cat([blocks_of(images, 64) for images in micrographs]).sum(dim=0))
    signals = [coloured((768, 768), 10 * seed, signal_power) for seed in range(3)]

    def correlation(name):
        pairs = [
            (in_the_rings(images[name]), in_the_rings(s))
            for images, s in zip(micrographs, signals, strict=True)
        ]
        shared = sum((a * b).mean() for a, b in pairs)
        return float(
            shared
            / (
                sum(a.square().mean() for a, _ in pairs) * sum(b.square().mean() for _, b in pairs)
            ).sqrt()
        )

    assert float(estimates["correlation_raw"]) == pytest.approx(correlation("M1"), abs=0.01)
    assert float(estimates["correlation_denoised"]) == pytest.approx(correlation("D1"), abs=0.01)


def in_the_rings(image):
    """An image without what no ring holds: the corners of its spectrum and what is near zero
    frequency.
    """
    spectrum = torch.fft.rfft2(image)
    ky, kx = torch.fft.fftfreq(image.shape[0])[:, None], torch.fft.rfftfreq(image.shape[1])[None]
    return torch.fft.irfft2(
        spectrum * ((torch.hypot(ky, kx) <= 0.5) & (torch.hypot(ky, kx) > 1 / 64)), s=image.shape
    )


def test_the_error_is_what_one_sees_with_the_truth_in_hand():
    micrographs = [micrograph(seed, 512, with_bias(0.2)) for seed in range(4)]
    estimates = overall(torch.cat([blocks_of(images, 64) for images in micrographs]).sum(dim=0))
    signals = [coloured((512, 512), 10 * seed, signal_power) for seed in range(4)]
    pairs = [
        (in_the_rings(images["D1"] - s), in_the_rings(s))
        for images, s in zip(micrographs, signals, strict=True)
    ]
    truth = sum(s.square().mean() for _, s in pairs) / sum(
        error.square().mean() for error, _ in pairs
    )
    assert float(estimates["signal_to_error_denoised"]) == pytest.approx(float(truth), rel=0.03)


@pytest.mark.parametrize("blocks", [1, 4], ids=["eight micrographs", "the patches of one"])
def test_the_intervals_cover_the_truth_as_often_as_they_say(blocks):
    """At least 85 of 100 at a nominal 90 %, for signal, bias and the ratios."""
    count, size = (8, 192) if blocks == 1 else (1, 512)
    everything = [
        units_of(with_bias(0.1), count, size, 64, blocks, first_seed=100 * index)
        for index in range(100)
    ]
    truth = overall(
        torch.cat(everything).sum(dim=0)
    )  # the mean of all is 10 times nearer to it than one is
    assert truth["bias_share"] == pytest.approx(0.1, rel=0.03) and truth["gain"] == pytest.approx(
        1, rel=0.01
    )
    estimates = [estimates_of(units, resamples=300) for units in everything]
    for quantity in (
        "snr_raw",
        "bias_share",
        "gain",
        "correlation_denoised",
        "signal_to_error_denoised",
    ):
        covered = sum(holds(estimate[quantity], truth[quantity]) for estimate in estimates)
        assert 85 <= covered <= 98, f"{quantity}: {covered}"


def test_an_interval_of_99_percent_from_eight_units_covers_the_truth_as_often():
    """Of 400 sets of 8 units with skewed values, as variances are."""
    generator = torch.Generator().manual_seed(5)
    units = torch.randn(400, 8, 20, generator=generator, dtype=torch.float64).square().mean(dim=-1)
    weights = resampling_weights(8, enough_resamples(8, 0.99, 1000, 20_000), seed=0)
    intervals = [
        estimate(of_one[:, None, None] / 8, lambda table: {"mean": table[..., 0, 0]}, 0.99, weights)
        for of_one in units
    ]
    covered = sum(holds(interval["mean"], 1.0) for interval in intervals)
    assert 385 <= covered <= 400


def test_a_wiener_filter_is_no_worse_than_any_other_linear_filter():
    def denoise(signal, noise, seed):
        return 0.6 * smoothed(signal + noise)

    units = units_of(denoise, 4, 512, 64)
    frequency = torch.arange(1, 17, dtype=torch.float64) / 16 * NYQUIST_PER_A
    numbers = whole_numbers(with_baselines(units, units.sum(dim=0)).sum(dim=0), frequency)
    assert numbers["signal_to_error_denoised"] < numbers["signal_to_error_wiener"]
    assert (
        numbers["signal_to_error_raw"]
        < numbers["signal_to_error_lowpass"]
        < numbers["signal_to_error_wiener"]
    )
    assert numbers["correlation_lowpass"] < numbers["correlation_wiener"]
    # What the Wiener filter should reach: in each ring var(S)²/var(M) is explained, and the rest of
    # var(S) is error.
    snr = signal_power(frequency * 2)
    weight = frequency * snr
    assert float(numbers["signal_to_error_wiener"]) == pytest.approx(
        float(weight.sum() / (weight / (1 + snr)).sum()), rel=0.05
    )
