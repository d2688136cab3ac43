"""The mean of a network's outputs for several orientations of an image."""

import pytest
import torch

from restore.model.inference.ensemble import ORIENTATIONS, apply_self_ensemble
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.inference.tiling import apply_network
from restore.model.network import NetworkSettings, build_network, convolutions

CPU = torch.device("cpu")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def engine():
    network = build_network(
        NetworkSettings("unet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    )
    for number, conv in enumerate(convolutions(network)):
        torch.nn.init.kaiming_normal_(conv.weight, generator=torch.Generator().manual_seed(number))
    return PyTorchEngine(network, CPU)


def test_one_orientation_is_the_network_alone():
    image = noise(96, 80)
    assert torch.equal(apply_self_ensemble(engine(), image), apply_network(engine(), image))


@pytest.mark.parametrize(
    "turn", [lambda x: x.flip(0), lambda x: x.flip(1), lambda x: x.T, lambda x: x.rot90()]
)
def test_with_all_eight_orientations_a_turned_image_gives_the_turned_output(turn):
    image, network = noise(96, 96), engine()
    turned = apply_self_ensemble(network, turn(image), orientations=8)
    expected = turn(apply_self_ensemble(network, image, orientations=8))
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-4)
    alone = apply_network(network, turn(image).contiguous())
    assert (alone - turn(apply_network(network, image))).abs().max() > 0.1


@pytest.mark.parametrize("orientations", ORIENTATIONS)
def test_each_output_is_turned_back_before_the_mean_is_taken(orientations, monkeypatch):
    monkeypatch.setattr(
        "restore.model.inference.ensemble.apply_network", lambda engine, image, tile_px: image
    )
    image = noise(48, 80)
    output = apply_self_ensemble(engine(), image, orientations=orientations)
    torch.testing.assert_close(output, image)


def test_the_orientations_that_are_averaged_all_differ(monkeypatch):
    shown = []

    def watched(engine, image, tile_px):
        shown.append(image)
        return image

    monkeypatch.setattr("restore.model.inference.ensemble.apply_network", watched)
    apply_self_ensemble(engine(), noise(48, 48), orientations=8)
    assert len(shown) == 8
    pairs = [(a, b) for i, a in enumerate(shown) for b in shown[:i]]
    assert not any(torch.equal(a, b) for a, b in pairs)
