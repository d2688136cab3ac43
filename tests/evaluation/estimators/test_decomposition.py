"""Identities that signal, noise and bias must keep, whatever the covariances."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from simulated_halves import blocks_of, coloured, white

from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.comparison import ring_numbers, with_baselines
from restore.evaluation.estimators.decomposition import (
    IMAGES,
    PAIRS,
    covariance,
    decompose,
    filtered,
    overall,
)

RINGS = 3
SEEDS = st.integers(0, 10_000)
EITHER_WAY = ("unpaired_raw", "unpaired_denoised")  # these are of the first half only


def made_up(seed):
    """Images as lists of Fourier components: a signal in common, noise, and a denoiser that does
    anything.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn():
        return torch.randn(RINGS, 60, generator=generator, dtype=torch.float64)

    signal, false = 2 * drawn(), drawn()
    images = {name: signal + drawn() for name in ("M1", "M2")}
    images |= {
        f"D{n}": 0.6 * signal + 0.5 * false + 0.2 * images[f"M{n}"] + 0.1 * drawn() for n in (1, 2)
    }
    return images | {name: drawn() for name in ("X", "F", "M2'", "D2'")}


def table_of(images):
    return torch.stack([(images[first] * images[second]).mean(dim=-1) for first, second in PAIRS])


def agree(first, second, leave_out=()):
    for name in first.keys() - set(leave_out):
        assert torch.allclose(first[name], second[name], equal_nan=True), name


@given(SEEDS)
def test_a_denoiser_that_does_nothing_has_no_bias_and_changes_nothing(seed):
    images = made_up(seed)
    estimates = decompose(table_of(images | {"D1": images["M1"], "D2": images["M2"]}))
    assert torch.allclose(estimates["var_bias"], torch.zeros(RINGS).double(), atol=1e-12)
    assert torch.allclose(estimates["gain"], torch.ones(RINGS).double())
    for name in ("snr", "correlation", "frc", "power", "signal_to_error"):
        assert torch.allclose(estimates[f"{name}_denoised"], estimates[f"{name}_raw"])
    # Eq. 18 as it is printed, with √(cov(M1,M1) cov(M2,M2)) for cov(M1,M2), would find a bias as
    # large as the noise.
    printed = estimates["var_bias"] - estimates["var_signal"] + estimates["power_raw"]
    assert torch.allclose(printed, estimates["var_noise_raw"])


@given(SEEDS, st.floats(0.1, 10))
def test_a_grey_scale_changes_only_what_it_must(seed, scale):
    images = made_up(seed)
    estimates = decompose(table_of(images))
    scaled = decompose(
        table_of(images | {name: scale * images[name] for name in ("D1", "D2", "F", "D2'")})
    )
    powers = {
        "gain": 1,
        "calibration": -1,
        "var_noise_denoised": 2,
        "var_invented": 2,
        "hallucinated_share": 2,
        "noise_share": 2,
        "power_denoised": 2,
        "power_noise_only_denoised": 2,
        "snr_denoised": -2,
        "snr_denoised_full": -2,
    }
    agree({name: value * scale ** powers.get(name, 0) for name, value in estimates.items()}, scaled,
          leave_out=("var_bias", "bias_share", "signal_to_error_denoised"))  # fmt: skip


@given(SEEDS)
def test_neither_half_is_preferred(seed):
    images = made_up(seed)
    swapped = images | {
        "M1": images["M2"],
        "M2": images["M1"],
        "D1": images["D2"],
        "D2": images["D1"],
    }
    agree(decompose(table_of(images)), decompose(table_of(swapped)), leave_out=EITHER_WAY)


@given(SEEDS)
def test_the_bias_is_lost_signal_and_what_is_invented(seed):
    estimates = decompose(table_of(made_up(seed)))
    lost = (1 - estimates["gain"]) ** 2 * estimates["var_signal"]
    assert torch.allclose(estimates["var_bias"], lost + estimates["var_invented"])


@given(SEEDS, st.lists(st.floats(0, 1.5), min_size=RINGS, max_size=RINGS))
def test_a_filtered_table_is_the_table_of_filtered_images(seed, transfer):
    images, by = made_up(seed), torch.tensor(transfer, dtype=torch.float64)
    sources = {"D1": "M1", "D2": "M2", "F": "X", "D2'": "M2'"}
    really = images | {name: by[:, None] * images[source] for name, source in sources.items()}
    assert torch.allclose(filtered(table_of(images), by), table_of(really))


def test_a_wiener_filter_on_paper_is_the_wiener_filter_of_real_images():
    signal = coloured((512, 384), 1, lambda f: 1.5 * torch.exp(-((f / 0.18) ** 2)))
    raw = {f"M{n}": signal + white((512, 384), 1 + n) for n in (1, 2)}
    table = blocks_of(raw | {"D1": raw["M1"], "D2": raw["M2"]}, 64)[0]
    transfer = wiener_filter(decompose(table)["frc_raw"])
    radius = (
        torch.hypot(torch.fft.fftfreq(512)[:, None], torch.fft.rfftfreq(384)[None]) * 2 * 16 - 1
    )
    below = radius.long().clamp(0, 14)
    share = (radius - below).clamp(0, 1)
    smooth = (
        transfer[below] * (1 - share) + transfer[below + 1] * share
    ).float()  # between the rings' centres
    really = {
        f"D{n}": torch.fft.irfft2(torch.fft.rfft2(raw[f"M{n}"]) * smooth, s=(512, 384))
        for n in (1, 2)
    }
    expected, estimates = (
        overall(blocks_of(raw | really, 64)[0]),
        overall(filtered(table, transfer)),
    )
    for name in ("var_bias", "gain", "correlation_denoised", "signal_to_error_denoised"):
        assert float(estimates[name]) == pytest.approx(float(expected[name]), rel=0.03), name


def test_where_there_is_no_signal_ratios_to_it_are_not_numbers():
    table = table_of(made_up(0))
    table[PAIRS.index(("M1", "M2"))] = -0.01
    estimates = decompose(table)
    for name in ("gain", "bias_share", "var_invented", "correlation_raw", "correlation_denoised"):
        assert estimates[name].isnan().all(), name
    assert (estimates["var_signal"] == -0.01).all() and (estimates["snr_raw"] < 0).all()


def test_what_was_not_measured_is_not_a_number():
    images = {name: value for name, value in made_up(0).items() if name in IMAGES[:4]}
    absent = dict.fromkeys(
        set(IMAGES) - images.keys(), torch.full((RINGS, 60), torch.nan, dtype=torch.float64)
    )
    estimates = decompose(table_of(images | absent))
    assert estimates["invented_share"].isnan().all() and estimates["unpaired_raw"].isnan().all()
    assert not estimates["var_bias"].isnan().any()


@given(SEEDS, st.lists(st.floats(0, 1.5), min_size=RINGS, max_size=RINGS))
def test_a_linear_filter_invents_nothing_whatever_its_gain_in_each_ring(seed, transfer):
    estimates = overall(
        filtered(table_of(made_up(seed)), torch.tensor(transfer, dtype=torch.float64))
    )
    assert float(estimates["var_invented"]) == pytest.approx(0, abs=1e-9)


def test_what_a_cut_off_loses_is_not_hallucinated_whatever_the_gain_of_the_whole_image():
    """Gain 1 in one half of the signal and 0 in the other: half of the signal is lost, which is
    twice (1 − gain)².
    """
    table = table_of(made_up(2))[:, :2]
    table = torch.cat([table[:, :1], table[:, :1]], dim=1)  # as much signal in both rings
    numbers = overall(filtered(table, torch.tensor([1.0, 0.0], dtype=torch.float64)))
    assert float(numbers["hallucinated_share"]) == pytest.approx(0, abs=1e-9)
    assert float(numbers["gain"]) == pytest.approx(0.5)
    assert float(numbers["bias_share"]) == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_false_picture_is_invented_beside_a_filter(share):
    """A denoiser that halves the signal's amplitude and draws another picture, of this share of the
    signal's variance.
    """

    def power(f):
        return 1.5 * torch.exp(-((f / 0.18) ** 2))

    signal, false = (coloured((768, 512), seed, power) for seed in (1, 2))
    raw = {f"M{n}": signal + white((768, 512), 2 + n) for n in (1, 2)}
    drawn = {f"D{n}": 0.5 * raw[f"M{n}"] + share**0.5 * false for n in (1, 2)}
    estimates = overall(blocks_of(raw | drawn, 64)[0])
    assert float(estimates["var_invented"] / estimates["var_signal"]) == pytest.approx(
        share, rel=0.15
    )


def test_where_there_is_no_signal_all_that_is_drawn_into_both_halves_is_invented():
    images = made_up(7)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, RINGS, 60, generator=generator, dtype=torch.float64)
    table = table_of(images | {"M1": noise[0], "M2": -0.5 * noise[0] + noise[1]})
    assert float(overall(table)["var_invented"]) == pytest.approx(
        float(covariance(table, "D1", "D2").sum())
    )


def test_the_whole_image_is_all_rings_together():
    table = table_of(made_up(4))
    assert float(overall(table)["var_signal"]) == pytest.approx(
        float(covariance(table, "M1", "M2").sum())
    )


def test_each_ring_is_compared_with_the_wiener_filter_of_that_ring():
    table = table_of(made_up(7))
    rings = ring_numbers(with_baselines(table[None], table)[0])
    denoised, wiener = rings["signal_to_error_denoised"], rings["signal_to_error_wiener"]
    assert torch.equal(
        rings["advantage_over_wiener"].nan_to_num(), (denoised / wiener).nan_to_num()
    )
    own = wiener_filter(decompose(table)["frc_raw"])
    expected = decompose(filtered(table, own))["signal_to_error_denoised"]
    assert torch.allclose(wiener, expected, equal_nan=True)
    assert rings["advantage_over_wiener"].isfinite().any()


def test_a_filter_of_one_half_hallucinates_nothing_and_keeps_a_quarter_of_the_noise():
    table = table_of(made_up(3))
    numbers = overall(filtered(table, torch.full((table.shape[-1],), 0.5)))
    assert float(numbers["hallucinated_share"]) == pytest.approx(0, abs=1e-6)
    assert float(numbers["noise_share"]) == pytest.approx(0.25)
    assert float(numbers["gain"]) == pytest.approx(0.5)
