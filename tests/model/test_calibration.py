"""A calibration: how it is kept, and what it does to an image."""

from dataclasses import replace

import pytest
import torch

from restore.errors import UserError
from restore.evaluation.estimators.calibration import Weights
from restore.model.calibration import (
    RingCalibration,
    calibrated,
    model_weights,
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
