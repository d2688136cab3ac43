"""Halves that cannot calibrate an image do it no harm, and the log says what becomes of it."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from half_pairs import half_pair

from restore.denoising import denoise as denoising
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.settings import DenoisingSettings
from restore.micrograph import Micrograph
from restore.model.calibration import RingCalibration
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

SHAPE = (240, 256)
SETTINGS = DenoisingSettings(precision="float32")
RECIPE = Recipe(max_resolution_A=5.0, phase_flip=False)
FLAT = (1.0,) * 60
CARD = RingCalibration(1 / 600, FLAT, FLAT, FLAT, FLAT, (0.5,) * 60)


@pytest.fixture(autouse=True)
def nothing_is_changed(monkeypatch):
    """A network that returns its input."""
    monkeypatch.setattr(
        denoising, "apply_self_ensemble", lambda engine, image, tile_px, orientations: image
    )


@pytest.fixture(scope="module")
def network():
    settings = NetworkSettings("waunet", filters=2, blocks=1)
    return build_network(settings, torch.Generator().manual_seed(0)).eval()


@pytest.fixture
def halves():
    return tuple(20 + half for half in half_pair(SHAPE, 1.0, 3, power=100.0))


def micrograph(**files):
    return Micrograph("a.mrc", Path("a.mrc"), 2.0, 0, None, **files)


@pytest.mark.parametrize("part", ["even", "odd"])
@pytest.mark.parametrize(
    ("card", "result"),
    [(None, "the image is not calibrated"), (CARD, "the image is calibrated without them")],
    ids=["general model", "trained model"],
)
def test_a_half_with_a_hole_leaves_none_in_the_image(network, halves, caplog, part, card, result):
    model = Model(network, RECIPE, calibration=card)
    full = halves[0] + halves[1]
    halves[part == "odd"][-100:] = 0
    image = denoise(Exposure(full, halves), micrograph(), model, SETTINGS)
    words = f"a.mrc: its {part} half lacks data in 42 % of the image, unlike the full sum"
    assert f"{words}; {result}" in caplog.messages
    assert torch.equal(image, denoise(Exposure(full), micrograph(), model, SETTINGS))
    assert not (image[-100:] == full[-100:]).any()


def test_without_calibration_a_half_with_a_hole_is_not_needed(network, halves, caplog):
    model, full = Model(network, RECIPE), halves[0] + halves[1]
    halves[0][-100:] = 0
    settings = replace(SETTINGS, calibration="none")
    image = denoise(Exposure(full, halves), micrograph(), model, settings)
    assert torch.equal(image, denoise(Exposure(full), micrograph(), model, settings))
    assert not caplog.messages


def test_halves_with_the_full_sums_border_or_a_line_more_calibrate(network, halves, caplog):
    caplog.set_level(logging.INFO, logger="restore")
    halves[0][:6], halves[1][:8] = 0, 0
    full = halves[0] + halves[1]
    full[:6] = 0
    model = Model(network, RECIPE)
    calibrated = denoise(Exposure(full, halves), micrograph(), model, SETTINGS)
    assert caplog.messages == ["a.mrc: 2048 pixels without data (3.3 %) are left unchanged"]
    assert not torch.allclose(
        calibrated, denoise(Exposure(full), micrograph(), model, SETTINGS), atol=0.01
    )


@pytest.mark.parametrize(
    ("card", "result"),
    [(None, "the image is not calibrated"), (CARD, "the image is calibrated without them")],
    ids=["general model", "trained model"],
)
def test_what_becomes_of_an_image_without_its_halves_is_said(network, halves, caplog, card, result):
    model, full = Model(network, RECIPE, calibration=card), halves[0] + halves[1]
    denoise(Exposure(full, (halves[0], halves[0])), micrograph(), model, SETTINGS)
    assert f"a.mrc: its halves are identical; {result}" in caplog.messages


def test_where_good_halves_do_not_confirm_the_network_its_output_is_not_written(
    network, halves, caplog, monkeypatch
):
    def hallucinated(engine, image, tile_px, orientations):
        return half_pair(tuple(image.shape), 0.0, 8, power=100.0)[0]

    monkeypatch.setattr(denoising, "apply_self_ensemble", hallucinated)
    monkeypatch.setattr("restore.evaluation.estimators.calibration.TRUST_PIXELS", 1.0)
    exposure, model = Exposure(halves[0] + halves[1], halves), Model(network, RECIPE)
    none, rings = (
        denoise(exposure, micrograph(), model, replace(SETTINGS, calibration=kind))
        for kind in ("none", "rings")
    )
    drawn = none - none.mean()
    left = float(((rings - rings.mean()) * drawn).mean() / drawn.square().mean())
    assert abs(left) < 0.1
    assert not caplog.messages
