"""A calibration: how it is kept, and what it does to an image."""

from dataclasses import replace

import pytest
import torch

from restore.ctf import ctf
from restore.errors import UserError
from restore.evaluation.estimators.calibration import Weights
from restore.micrograph import CTFParameters
from restore.model.calibration import (
    RingCalibration,
    calibrated,
    cross_calibrated,
    model_weights,
    own_weights,
    without_lattice,
)
from restore.model.checkpoint import Model, load_model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe
from restore.records import decoded, plain

COUNT = 21
NOTHING, ALL = (0.0,) * COUNT, (1.0,) * COUNT
WIDTH_PER_A = 0.0125
PIXEL_A = (2.0, 2.0)


def weights(slope=ALL, share=NOTHING):
    return Weights(torch.tensor(slope), torch.tensor(share))


def calibration(signal=0.25):
    """Of a network that leaves the signal as it is, and of a quarter of signal in each ring."""
    curve = (signal,) * COUNT
    return RingCalibration(WIDTH_PER_A, ALL, curve, curve, curve, curve)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def applied(of, denoised, raw):
    return calibrated(of, WIDTH_PER_A, denoised, raw, PIXEL_A)


def test_a_slope_of_one_and_no_share_change_nothing():
    denoised, raw = noise(32, 48), noise(32, 48, seed=1)
    torch.testing.assert_close(applied(weights(), denoised, raw), denoised, atol=1e-5, rtol=0)


def test_no_slope_leaves_the_raw_image_under_its_filter():
    denoised, raw = noise(32, 48), noise(32, 48, seed=1)
    filtered = applied(weights(NOTHING, (0.25,) * COUNT), denoised, raw)
    torch.testing.assert_close(filtered, raw / 4, atol=1e-5, rtol=0)


def test_curves_go_straight_between_the_centres_of_rings_at_any_pixel_size():
    rising = weights(tuple(ring / 10 for ring in range(COUNT)))
    x = torch.arange(64.0)
    wave = torch.cos(2 * torch.pi * x * 4 / 64).expand(
        64, 64
    )  # 4 waves of 64 × 2 Å: 1/32 Å, ring 2.5
    torch.testing.assert_close(applied(rising, wave, 0 * wave), 0.25 * wave, atol=1e-4, rtol=0)


def test_the_model_file_keeps_the_calibration_and_the_digest_knows_it(tmp_path):
    network = build_network(NetworkSettings("unet", 4, 1), torch.Generator().manual_seed(0))
    plain = Model(network, Recipe())
    model = replace(plain, calibration=calibration(0.123456))
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.calibration == model.calibration
    assert loaded.network.settings == NetworkSettings("unet", 4, 1)
    assert loaded.digest() == model.digest() != plain.digest()


@pytest.mark.parametrize("wrong", [{"width_per_A": 0.0}, {"signal": [1.0]}, {"raw": []}])
def test_a_calibration_that_cannot_be_is_refused(wrong):
    with pytest.raises(UserError, match=r"do not fit|rings are 0 1/Å wide"):
        decoded(RingCalibration, plain(calibration()) | wrong, "model.safetensors")


def test_a_network_that_is_right_is_left_alone_by_its_own_card():
    by_card = model_weights(calibration())
    assert (by_card.half.slope == 1).all() and (by_card.half.share == 0).all()
    assert (by_card.full.slope == 1).all()


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
    assert own_weights(torch.stack([halves[0], other, signal]), None, PIXEL_A) is None
    denoised = [signal, other if wrong == "of different micrographs" else signal]
    assert cross_calibrated(denoised, [halves[0], other], None, PIXEL_A) is None


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


@pytest.mark.parametrize("shape", [(256, 272), (261, 300)])
def test_a_lattice_is_taken_off_and_the_rest_stays(shape):
    image = noise(*shape) * 0.1 + torch.cos(2 * torch.pi * torch.arange(shape[1]) / 90)
    lattice = noise(8, 8, seed=3).repeat(40, 40)[: shape[0], : shape[1]]
    cleaned = without_lattice(image + lattice - lattice[:8, :8].mean(), 8)
    assert (cleaned - image).std() < 0.05 * image.std()
    assert (without_lattice(lattice, 8) - lattice.mean()).abs().max() < 0.2


def test_a_small_image_keeps_what_could_be_a_lattice():
    image = noise(64, 300)
    assert torch.equal(without_lattice(image, 16), image)


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
