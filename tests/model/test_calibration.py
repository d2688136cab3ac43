"""A calibration: how it is kept, and what it does to an image."""

from dataclasses import replace

import pytest
import torch

from restore.model.calibration import RingCalibration, RingCurves, calibrated, without_lattice
from restore.model.checkpoint import Model, load_model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

COUNT = 21
NOTHING, ALL = (0.0,) * COUNT, (1.0,) * COUNT


def calibration(slope=ALL, share=NOTHING):
    curves = RingCurves(slope, share)
    return RingCalibration(0.0125, curves, curves)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def applied(of, denoised, raw):
    return calibrated(of, of.full, denoised, raw, (2.0, 2.0))


def test_a_slope_of_one_and_no_share_change_nothing():
    denoised, raw = noise(32, 48), noise(32, 48, seed=1)
    torch.testing.assert_close(applied(calibration(), denoised, raw), denoised, atol=1e-5, rtol=0)


def test_no_slope_leaves_the_raw_image_under_its_filter():
    denoised, raw = noise(32, 48), noise(32, 48, seed=1)
    filtered = applied(calibration(NOTHING, (0.25,) * COUNT), denoised, raw)
    torch.testing.assert_close(filtered, raw / 4, atol=1e-5, rtol=0)


def test_curves_go_straight_between_the_centres_of_rings_at_any_pixel_size():
    rising = calibration(tuple(ring / 10 for ring in range(COUNT)))
    x = torch.arange(64.0)
    wave = torch.cos(2 * torch.pi * x * 4 / 64).expand(
        64, 64
    )  # 4 waves of 64 × 2 Å: 1/32 Å, ring 2.5
    torch.testing.assert_close(applied(rising, wave, 0 * wave), 0.25 * wave, atol=1e-4, rtol=0)


def test_the_model_file_keeps_the_calibration_and_the_digest_knows_it(tmp_path):
    network = build_network(NetworkSettings("unet", 4, 1), torch.Generator().manual_seed(0))
    plain = Model(network, Recipe())
    model = replace(plain, calibration=calibration(tuple(i / COUNT for i in range(COUNT))))
    save_model(tmp_path / "m.safetensors", model)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.calibration == model.calibration
    assert loaded.network.settings == NetworkSettings("unet", 4, 1)
    assert loaded.digest() == model.digest() != plain.digest()


@pytest.mark.parametrize("wrong", [{"width_per_A": 0.0}, {"half": {"slope": [1], "share": []}}])
def test_a_calibration_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="do not fit"):
        RingCalibration.from_card(calibration().card() | wrong)


@pytest.mark.parametrize("shape", [(256, 272), (261, 300)])
def test_a_lattice_is_taken_off_and_the_rest_stays(shape):
    image = noise(*shape) * 0.1 + torch.cos(2 * torch.pi * torch.arange(shape[1]) / 90)
    lattice = noise(8, 8, seed=3).repeat(40, 40)[: shape[0], : shape[1]]
    found = without_lattice(image + lattice - lattice[:8, :8].mean(), 8)
    assert (found - image).std() < 0.05 * image.std()
    assert (without_lattice(lattice, 8) - lattice.mean()).abs().max() < 0.2


def test_a_small_image_keeps_what_could_be_a_lattice():
    image = noise(64, 300)
    assert torch.equal(without_lattice(image, 16), image)
