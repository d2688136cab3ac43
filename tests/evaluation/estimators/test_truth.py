"""Scores against a known truth."""

import pytest
import torch

from restore.evaluation.estimators.truth import score
from restore.fourier import frequency_per_A, image_of, spectrum_of


def smooth(image, cutoff_per_A):
    frequency = frequency_per_A((128, 128), (1.0, 1.0))
    return image_of(spectrum_of(image) * (frequency < cutoff_per_A), (128, 128))


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    truth = smooth(torch.randn(128, 128, generator=generator), 0.1)
    return truth, truth + 2 * truth.std() * torch.randn(128, 128, generator=generator)


def test_the_raw_correlation_is_that_of_real_space(images):
    truth, raw = images
    limited = smooth(raw, 0.499)
    expected = torch.corrcoef(torch.stack([truth.flatten(), limited.flatten()]))[0, 1]
    assert score(truth, raw, raw, (1.0, 1.0)).raw == pytest.approx(float(expected), abs=0.01)


def test_the_best_low_pass_is_found_where_the_signal_ends(images):
    truth, raw = images
    scores = score(truth, raw, raw, (1.0, 1.0))
    assert scores.lowpass > scores.raw
    assert scores.lowpass_A == pytest.approx(10, rel=0.1)
    best = max(range(20, 120), key=lambda n: corr(truth, smooth(raw, n / 256)))
    assert scores.lowpass == pytest.approx(corr(truth, smooth(raw, best / 256)), abs=0.01)


def test_the_truth_itself_scores_one(images):
    truth, raw = images
    assert score(truth, raw, 3 * truth, (1.0, 1.0)).denoised == pytest.approx(1)


def corr(first, second):
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])
