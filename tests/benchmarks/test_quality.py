"""The product's exam: its measures, on images whose answers are known, and its table."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from folders import ROOT, importable
from hypothesis import given
from hypothesis import strategies as st

from restore import fourier
from restore.io.images.image import write_image
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe, common_blank_pixels, prepare_masked

FOLDER = ROOT / "benchmarks"
SIDE, PIXEL_A = 256, 2.25
PIXELS = (PIXEL_A, PIXEL_A)
BANDS = ((200.0, 20.0), (20.0, 9.0), (9.0, 4.5))
WHOLE = "200–4.5 Å"


@pytest.fixture(scope="module")
def benchmarks():
    """The benchmark's modules, which are no package: they find each other beside themselves."""
    with importable(FOLDER):
        import quality
        import quality_metrics

        yield quality, quality_metrics


@pytest.fixture(scope="module")
def metrics(benchmarks):
    return benchmarks[1]


def lowpassed(image, cutoff_per_A):
    frequency = fourier.frequency_per_A((SIDE, SIDE), PIXELS)
    return fourier.image_of(fourier.spectrum_of(image) * (frequency < cutoff_per_A), (SIDE, SIDE))


@pytest.fixture(scope="module")
def truth():
    """The noise-free full sum, with signal down to 10 Å."""
    image = lowpassed(torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0)), 0.1)
    return 2 * image / image.std()


@pytest.fixture(scope="module")
def raw(metrics, truth):
    """Halves with as much noise as signal in each pixel."""
    generator = torch.Generator().manual_seed(1)
    even, odd = (truth / 2 + torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
    return metrics.Triple(even + odd, even, odd)


def of_all(metrics, triple, change):
    return metrics.Triple(change(triple.full), change(triple.even), change(triple.odd))


def test_the_raw_image_gains_nothing_and_has_no_bias(metrics, truth, raw):
    score = metrics.score_by_truth(truth, raw, raw, PIXELS, BANDS)
    assert set(score.gain_dB) == {"200–20 Å", "20–9 Å", "9–4.5 Å", WHOLE}
    assert all(
        gain == 0 for name, gain in score.gain_dB.items() if name != "9–4.5 Å"
    )  # there is no signal in that one
    assert score.bias == pytest.approx(0, abs=0.02)
    assert score.unexplained == pytest.approx(0, abs=0.02)


def test_noise_that_is_halved_gains_six_decibels(metrics, truth, raw):
    cleaner = of_all(metrics, raw, lambda image: image)
    cleaner = metrics.Triple(truth + (raw.full - truth) / 2, cleaner.even, cleaner.odd)
    gain = metrics.score_by_truth(truth, raw, cleaner, PIXELS, BANDS).gain_dB
    assert gain[WHOLE] == pytest.approx(6.0, abs=0.15)


def test_an_emptied_band_has_no_gain_at_all(metrics, truth, raw):
    smooth = of_all(metrics, raw, lambda image: lowpassed(image, 1 / 15))
    gain = metrics.score_by_truth(truth, raw, smooth, PIXELS, BANDS).gain_dB
    assert math.isnan(gain["9–4.5 Å"])
    assert gain["200–20 Å"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_a_pattern_painted_into_both_halves_is_found_as_bias_and_as_unexplained(
    metrics, truth, raw, share
):
    pattern = lowpassed(torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(7)), 0.1)
    pattern *= math.sqrt(share) * (truth / 2).std() / pattern.std()
    painted = metrics.Triple(raw.full + 2 * pattern, raw.even + pattern, raw.odd + pattern)
    score = metrics.score_by_truth(truth, raw, painted, PIXELS, BANDS)
    assert score.bias == pytest.approx(share, abs=0.02)
    assert score.unexplained == pytest.approx(share / (1 + share), abs=0.02)
    assert metrics.score_by_halves(raw, painted, PIXELS, BANDS).bias == pytest.approx(
        share, abs=0.03
    )


@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_signal_that_is_lost_is_bias_but_a_filter_explains_it(metrics, truth, raw, kept):
    weaker = of_all(metrics, raw, lambda image: kept * image)
    score = metrics.score_by_truth(truth, raw, weaker, PIXELS, BANDS)
    assert score.bias == pytest.approx((1 - kept) ** 2, abs=0.02)
    assert score.unexplained == pytest.approx(0, abs=0.02)
    assert metrics.score_by_halves(raw, weaker, PIXELS, BANDS).bias == pytest.approx(
        (1 - kept) ** 2, abs=0.02
    )


def test_halves_alone_estimate_the_gain_that_the_truth_shows(metrics, truth, raw):
    smooth = of_all(metrics, raw, lambda image: lowpassed(image, 0.1))
    of_halves = (
        metrics.Triple(raw.even, raw.even, raw.odd),
        metrics.Triple(smooth.even, smooth.even, smooth.odd),
    )
    known = metrics.score_by_truth(truth / 2, *of_halves, PIXELS, BANDS).gain_dB[WHOLE]
    assert known > 3
    assert metrics.score_by_halves(raw, smooth, PIXELS, BANDS).gain_dB[WHOLE] == pytest.approx(
        known, abs=0.5
    )


def test_the_best_low_pass_ends_where_the_signal_does(metrics, truth, raw):
    for reference in (truth, raw.odd):
        assert metrics.lowpass_cutoff_per_A(
            reference, raw.even, PIXELS, (200.0, 4.5)
        ) == pytest.approx(0.1, rel=0.08)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_a_gain_is_undone_by_its_opposite(metrics, one, other):
    assert metrics.gain_dB(one, other) == pytest.approx(-metrics.gain_dB(other, one), abs=1e-9)
    assert (metrics.gain_dB(one, other) > 0) == (one > other)


def test_what_cannot_be_said_stays_unsaid(metrics):
    assert metrics.gain_dB(-0.2, 0.5) == -math.inf
    assert math.isnan(metrics.gain_dB(0.5, 0.0))
    assert math.isnan(metrics.gain_dB(math.nan, 0.5))


def test_a_method_that_did_not_run_stands_in_the_table_with_its_reason(benchmarks, truth, raw):
    quality, metrics = benchmarks
    import quality_data

    shot = quality_data.Shot("a", "seen", "50 e/Å²", Path("a.star"), None, None)
    exam = quality_data.Exam("simulated", None, BANDS, Path("train.star"), (shot,))
    good = metrics.score_by_truth(truth, raw, raw, PIXELS, BANDS)
    outcomes = [
        quality.Outcome("raw", (good,), 0.1),
        quality.Outcome("BM3D", not_run="no such package"),
    ]
    lines = quality.table(exam, outcomes)
    assert len({line.count("|") for line in lines}) == 1
    assert "+0.0" in lines[2] and "not run: no such package" in lines[3]
    assert "NaN" not in json.dumps(quality.as_json(exam, outcomes))


def test_seeds_share_a_row_with_their_mean_and_spread(benchmarks, truth, raw):
    quality, metrics = benchmarks
    good = metrics.score_by_truth(truth, raw, raw, PIXELS, BANDS)
    runs = [quality.Outcome("restore, 1 min", (good, good), seconds) for seconds in (1.0, 3.0)]
    row = quality.together(runs)
    assert row.seconds == 2.0 and [len(of_seed) for of_seed in row.of_shots([1])] == [1, 1]
    failed = quality.Outcome("restore, 1 min", not_run="no room")
    assert quality.together([runs[0], failed]).not_run == "no room"
    assert quality.decibels([7.0, 7.0], [8.0], [9.0]) == "+8.0 ± 1.0"
    assert quality.decibels([7.04]) == "+7.0"


def test_every_budget_start_calibration_and_seed_is_examined(benchmarks):
    quality, _ = benchmarks
    words = "--minutes 0 1 8 --seeds 2 --peers none --calibrations rings none"
    chosen, options = quality.parsed(words.split())
    rows = quality.variants_for(chosen, options)
    assert [row[0].name for row in rows[:3]] == [
        "restore, general model",
        "restore, general model, calibration none",
        "restore, 1 min",
    ]
    assert len(rows) == 2 + 2 * 2 * 2 and [len(row) for row in rows] == [1, 1] + [2] * 8
    assert rows[-1][1].name == "restore, 8 min from scratch, calibration none"
    assert len({row[0].training for row in rows}) == 5  # one training serves both calibrations


def test_a_flat_area_of_a_truth_holds_data_where_the_halves_have_noise(benchmarks, tmp_path):
    generator = torch.Generator().manual_seed(2)
    truth = 200 + 5 * torch.randn(SIDE, SIDE, generator=generator)
    truth[:, :64] = 150.0  # a thick film
    images = {"TRUTH": truth} | {
        name: torch.poisson(truth / 2, generator) for name in ("EVN", "ODD")
    }
    images["DW"] = images["EVN"] + images["ODD"]
    paths = {name: tmp_path / f"{name}.mrc" for name in images}
    for name, image in images.items():
        write_image(paths[name], image.numpy(), PIXEL_A)
    micrograph = Micrograph("m", paths["DW"], PIXEL_A, row=0, even=paths["EVN"], odd=paths["ODD"])
    recipe = Recipe(9.0, phase_flip=False)
    shot = SimpleNamespace(micrograph=micrograph, truth=paths["TRUTH"])
    assert common_blank_pixels([truth]) is not None
    (wanted,) = prepare_masked([truth], PIXEL_A, None, recipe, None)
    judged = benchmarks[0].truth_of(shot, recipe)
    torch.testing.assert_close(judged, wanted.image * wanted.scale)
