"""Weights by a micrograph's own halves, for an image that is written and one that is judged."""

from dataclasses import replace

import pytest
import torch

from restore.ctf import ctf
from restore.micrograph import CTFParameters
from restore.model.calibration import calibrated
from restore.model.own_calibration import cross_calibrated, own_weights

PIXEL_A = (2.0, 2.0)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def signal_and_halves(side=256, seed=0, noisy=2.0):
    """A band-limited signal, and two halves with independent noise."""
    spectrum = torch.fft.rfft2(noise(side, side, seed=seed))
    frequency = torch.fft.fftfreq(side)[:, None].square() + torch.fft.rfftfreq(side).square()
    signal = torch.fft.irfft2(spectrum * torch.exp(-frequency * 100), s=(side, side))
    signal = signal / signal.std()
    return signal, [signal + noisy * noise(side, side, seed=seed + n) for n in (100, 200)]


def distance(image, signal):
    return float((image - signal).square().mean())


def test_its_own_halves_mend_the_scale_of_a_micrograph_that_the_card_does_not_know():
    signal, halves = signal_and_halves()
    denoised = [signal * 0.5 + 0.05 * noise(256, 256, seed=n) for n in (7, 8)]  # half too weak
    images = torch.stack([*halves, *denoised])
    own = own_weights(images, None, PIXEL_A)
    mended = calibrated(own.full, own.width_per_A, denoised[0], halves[0], PIXEL_A)
    assert distance(mended, signal) < 0.5 * distance(denoised[0], signal)


@pytest.mark.parametrize("wrong", ["one image twice", "of different micrographs"])
def test_halves_that_are_none_give_no_weights(wrong):
    signal, halves = signal_and_halves()
    other = halves[0] if wrong == "one image twice" else noise(256, 256, seed=9)
    if wrong == "one image twice":
        assert own_weights(torch.stack([halves[0], other, signal]), None, PIXEL_A) is None
    denoised = [signal, other if wrong == "of different micrographs" else signal]
    assert cross_calibrated(denoised, [halves[0], other], None, PIXEL_A) is None


def test_what_the_other_half_does_not_confirm_loses_its_weight(monkeypatch):
    """Whether both belong to one exposure is known by the full sum, which is not seen here."""
    monkeypatch.setattr("restore.evaluation.estimators.calibration.TRUST_PIXELS", 1.0)
    signal, halves = signal_and_halves()
    other = noise(256, 256, seed=9)
    weights = own_weights(torch.stack([halves[0], other, signal]), None, PIXEL_A)
    assert weights.full.slope[1:20].mean() < 0.2  # 1 without calibration


def hallucinating(signal, strength=0.2, seed=5):
    """A network's output: a little of the signal, and what looks like a signal and is none."""
    drawn, _ = signal_and_halves(signal.shape[0], seed)
    return strength * signal + drawn


def test_a_network_that_hallucinates_most_of_its_output_is_scaled_down():
    signal, halves = signal_and_halves(side=1024, noisy=10.0)
    denoised = [hallucinating(signal, seed=seed) for seed in (5, 6)]
    weights = own_weights(torch.stack([*halves, denoised[0]]), None, PIXEL_A)
    assert weights is not None
    with_signal = slice(5, round(0.04 / PIXEL_A[0] / weights.width_per_A))
    assert 0.1 < float(weights.full.slope[with_signal].mean()) < 0.3
    crossed = cross_calibrated(denoised, halves, None, PIXEL_A)
    assert crossed is not None
    assert distance(crossed[0], signal) < 0.75 * distance(denoised[0], signal)


def test_pixels_without_data_count_for_nothing():
    signal, halves = signal_and_halves()
    blank = torch.zeros(256, 256, dtype=torch.bool)
    blank[:40] = True
    images = torch.stack([*halves, signal * 0.5])
    clean = own_weights(images.masked_fill(blank, 0), None, PIXEL_A)
    dirty = own_weights(images.masked_fill(blank, 1e4), None, PIXEL_A, blank=blank)
    torch.testing.assert_close(clean.half.slope, dirty.half.slope)


def test_what_is_measured_after_cross_calibration_is_so(monkeypatch):
    """Weights that see the noise that they weigh make the halves agree better than they do."""
    monkeypatch.setattr("restore.evaluation.estimators.calibration.TRUST_PIXELS", 1.0)
    claimed, plainly_claimed = [], []
    for seed in range(0, 300, 5):
        signal = 0.3 * noise(64, 64, seed=seed)
        halves = [signal + noise(64, 64, seed=seed + n) for n in (1, 2)]
        denoised = [0.3 * signal + 0.1 * noise(64, 64, seed=seed + n) for n in (3, 4)]
        crossed = cross_calibrated(denoised, halves, None, PIXEL_A)[0]
        own = own_weights(torch.stack([*halves, *denoised]), None, PIXEL_A)
        plain = calibrated(own.half, own.width_per_A, denoised[0], halves[0], PIXEL_A)
        for image, claims in ((crossed, claimed), (plain, plainly_claimed)):
            claims.append(float((image * (halves[1] - signal)).mean()))  # nothing, in truth
    errors = [torch.tensor(claims) for claims in (claimed, plainly_claimed)]
    crossed, plain = (float(e.mean() / e.std() * len(e) ** 0.5) for e in errors)
    assert abs(crossed) < 3 < plain


CTF = CTFParameters(20000.0, 20000.0, 0.0, 300.0, 2.7, 0.1)


def behind_a_ctf(side=384, seed=0):
    """A weak signal that went through a CTF, and two halves with independent noise."""
    spectrum = torch.fft.rfft2(noise(side, side, seed=seed)) * ctf(CTF, (side, side), PIXEL_A)
    signal = torch.fft.irfft2(spectrum, s=(side, side))
    signal = 0.2 * signal / signal.std()
    return signal, [signal + noise(side, side, seed=seed + n) for n in (100, 200)]


def test_weights_that_follow_the_ctf_bring_an_image_nearer_to_the_truth():
    """By a part of what there is to gain, which is little where there is this much noise."""
    gained = {True: 0.0, False: 0.0}
    for seed in range(4):
        signal, halves = behind_a_ctf(seed=seed)
        images = torch.stack([*halves, 0.04 * halves[0]])  # a network that does nothing but scale
        for known in gained:
            own = own_weights(images, None, PIXEL_A, parameters=CTF if known else None)
            image = calibrated(own.half, own.width_per_A, images[2], halves[0], PIXEL_A)
            gained[known] += float(signal.square().mean()) - distance(image, signal)
    assert gained[True] > 1.04 * gained[False] > 0


def test_a_ctf_that_cannot_be_computed_is_not_followed():
    _, halves = signal_and_halves()
    images = torch.stack([*halves, 0.3 * halves[0]])
    without = own_weights(images, None, PIXEL_A)
    unknown = own_weights(images, None, PIXEL_A, parameters=replace(CTF, voltage_kV=1e-35))
    torch.testing.assert_close(unknown.half.slope, without.half.slope)
