"""Halves with unequal numbers of frames calibrate as those with equal numbers do."""

from pathlib import Path

import pytest
import torch

from restore.denoising import denoise as denoising
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.input_checks import signal_ratio
from restore.denoising.settings import DenoisingSettings
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe, prepare_alike

SIDE = 256
RECIPE = Recipe(max_resolution_A=5.0, phase_flip=False)


def noise(seed):
    return torch.randn((SIDE, SIDE), generator=torch.Generator().manual_seed(seed))


def signal_of(seed=0):
    """A band-limited signal of unit variance."""
    squares = torch.fft.fftfreq(SIDE)[:, None].square() + torch.fft.rfftfreq(SIDE).square()
    spectrum = torch.fft.rfft2(noise(seed)) * torch.exp(-squares * 100)
    signal = torch.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return (signal - signal.mean()) / signal.std()


def exposure(frames, per_frame=4.0, means=False):
    """The sums, or means, of the even, the odd and all frames of a micrograph."""
    even, odd = (
        20 * count + count * signal_of() + per_frame * count**0.5 * noise(seed)
        for seed, count in enumerate(frames, 1)
    )
    full = even + odd
    if means:
        full, even, odd = full / sum(frames), even / frames[0], odd / frames[1]
    return Exposure(full, (even, odd))


def ratio_of(images):
    return signal_ratio(prepare_alike([images.full, *images.halves], 2.0, None, RECIPE))


@pytest.mark.parametrize("means", [False, True], ids=["sums", "means"])
@pytest.mark.parametrize("frames", [(3, 2), (2, 3), (4, 3), (3, 1)], ids=str)
@pytest.mark.parametrize("per_frame", [4.0, 1.0])
def test_the_strengths_of_the_signal_are_known_from_the_full_sum(frames, means, per_frame):
    images = exposure(frames, per_frame, means)
    prepared = prepare_alike([images.full, *images.halves], 2.0, None, RECIPE)
    truth = prepare_alike([20 + signal_of()], 2.0, None, RECIPE)[0].image
    held = [float((half.image * truth).mean()) for half in prepared[1:]]
    assert signal_ratio(prepared) == pytest.approx(held[0] / held[1], rel=0.05)


@pytest.mark.parametrize("frames", [(1, 1), (20, 20), (51, 50)], ids=str)
@pytest.mark.parametrize("per_frame", [4.0, 40.0])
def test_equal_halves_have_a_ratio_of_exactly_1(frames, per_frame):
    assert ratio_of(exposure(frames, per_frame)) == 1
    whole = exposure(frames, per_frame)
    part = Exposure(whole.full[:64, :72], tuple(half[:64, :72] for half in whole.halves))
    assert ratio_of(part) == 1


@pytest.fixture
def exact_network(monkeypatch):
    """A network whose output is the signal of its input, exactly; no prior stands beside it."""
    truth = prepare_alike([20 + signal_of()], 2.0, None, RECIPE)[0].image

    def signal_in(engine, image, tile_px, orientations):
        return truth * (image * truth).mean() / truth.square().mean()

    monkeypatch.setattr(denoising, "apply_self_ensemble", signal_in)
    monkeypatch.setattr("restore.evaluation.estimators.calibration.TRUST_PIXELS", 1.0)


@pytest.mark.usefixtures("exact_network")
@pytest.mark.parametrize("means", [False, True], ids=["sums", "means"])
@pytest.mark.parametrize("frames", [(3, 2), (2, 3), (20, 20)], ids=str)
def test_a_network_that_is_right_is_left_as_it_is(frames, means):
    settings = NetworkSettings("waunet", filters=2, blocks=1)
    network = build_network(settings, torch.Generator().manual_seed(0)).eval()
    micrograph = Micrograph("a.mrc", Path("a.mrc"), 2.0, 0)
    exact, calibrated = (
        denoise(
            exposure(frames, means=means),
            micrograph,
            Model(network, RECIPE),
            DenoisingSettings(precision="float32", calibration=kind),
        )
        for kind in ("none", "rings")
    )
    exact, calibrated = exact - exact.mean(), calibrated - calibrated.mean()
    slope = (calibrated * exact).mean() / exact.square().mean()
    assert float(slope) == pytest.approx(1, abs=0.05)
