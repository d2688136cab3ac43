"""The network of Figure S1: its size, its padding, and the ways of computing it that must agree."""

import numpy as np
import pytest
import torch
from torch import nn

from restore.model import waunet as network_module
from restore.model.network import (
    NetworkSettings,
    add_weight_norm,
    architecture_of,
    build_network,
    convolutions,
    receptive_field_px,
    remove_weight_norm,
)
from restore.model.waunet import WideActivation

SMALL = NetworkSettings("waunet", filters=4, blocks=1)


def built(settings=SMALL, seed=0):
    return build_network(settings, torch.Generator().manual_seed(seed))


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_papers_network_has_96_convolutions_and_2383826_parameters():
    network = built(NetworkSettings("waunet", 32, 4))
    assert len(convolutions(network)) == 96
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_383_826


def test_a_person_finds_the_figures_blocks_by_name():
    network = built(NetworkSettings("waunet", 32, 4))
    assert [name for name, _ in network.named_children()] == [
        "first",
        *("down1", "down2", "down3"),
        *("up3", "up2", "up1"),
        "last",
    ]
    assert network.get_submodule("down2.wide.3.widen").weight.shape == (128, 32, 1, 1)
    assert network.get_submodule("down2.wide.3.narrow").weight.shape == (25, 128, 1, 1)
    assert network.get_submodule("up1.long.wide.mix").weight.shape == (128, 102, 4, 4)
    assert network.get_submodule("up1.join").weight.shape == (32, 64, 1, 1)
    assert [
        len(network.get_submodule(f"{block}.wide")) for block in ("down1", "down3", "up3", "up1")
    ] == [4, 4, 3, 3]


@pytest.mark.parametrize("settings", [SMALL, NetworkSettings("waunet", filters=3, blocks=2)])
@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (64, 24)])
def test_every_size_that_is_a_multiple_of_8_is_kept(settings, shape):
    assert built(settings)(noise(2, 1, *shape)).shape == (2, 1, *shape)


@pytest.mark.parametrize("wrong", [{"name": "resnet"}, {"filters": 1}, {"blocks": 0}])
def test_a_network_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="network"):
        NetworkSettings(**{"name": "waunet", "filters": 2, "blocks": 1} | wrong)


def test_fresh_weights_follow_from_the_seed_alone():
    one, same, other = built(seed=1), built(seed=1), built(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.first.weight, other.first.weight)
    assert all((conv.bias == 0).all() for conv in convolutions(one))


def only_map(features, kernel, weights):
    """A wide activation that lays ``weights`` over map 0 and adds the result to map 1."""
    layer = WideActivation(features, kernel)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.widen.weight[0, 0] = 1
        layer.narrow.weight[0, 0] = 1
        layer.mix.weight[1, 0] = weights
    return layer


@pytest.mark.parametrize("kernel, before", [(3, 1), (4, 1)])
def test_convolutions_are_padded_as_tensorflow_pads_same(kernel, before):
    """TensorFlow: kernel − 1 zeros in all, the smaller half of them before."""
    weights = torch.arange(1.0, kernel**2 + 1).reshape(kernel, kernel)
    image = noise(9, 11).abs()
    padded = np.pad(image.numpy(), (before, kernel - 1 - before))
    expected = np.array(
        [
            [(padded[y : y + kernel, x : x + kernel] * weights.numpy()).sum() for x in range(11)]
            for y in range(9)
        ]
    )
    maps = torch.zeros(1, 2, 9, 11)
    maps[0, 0] = image
    output = only_map(2, kernel, weights)(maps)
    np.testing.assert_allclose(output[0, 1].detach(), expected, rtol=1e-5)
    torch.testing.assert_close(output[0, 0], image)


def test_the_convolution_of_stride_2_has_its_zero_row_after_as_tensorflow_has():
    down = network_module.Down(2, 1)
    weights = torch.arange(1.0, 10).reshape(3, 3)
    with torch.no_grad():
        for parameter in down.parameters():
            parameter.zero_()
        down.shrink.weight[0, 0] = weights
    image = noise(8, 6).abs()
    padded = np.pad(image.numpy(), (0, 1))
    strided = np.array(
        [
            [
                (padded[2 * y : 2 * y + 3, 2 * x : 2 * x + 3] * weights.numpy()).sum()
                for x in range(3)
            ]
            for y in range(4)
        ]
    )
    pooled = image.numpy().reshape(4, 2, 3, 2).max(axis=(1, 3))
    output = down(torch.stack([image, torch.zeros_like(image)])[None])
    np.testing.assert_allclose(output[0, 0].detach(), strided + pooled, rtol=1e-5)


def test_depth_to_space_has_four_neighbours_from_four_maps():
    layer = network_module.Upsample(2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.widen.bias.copy_(torch.arange(8.0))
    up = layer(torch.zeros(1, 2, 3, 3))
    assert up.shape == (1, 2, 6, 6)
    assert sorted(up[0, 0, :2, :2].flatten().tolist()) == [0, 1, 2, 3]
    assert sorted(up[0, 1, 4:, 4:].flatten().tolist()) == [4, 5, 6, 7]


def with_random_biases(network):
    for index, conv in enumerate(convolutions(network)):
        with torch.no_grad():
            conv.bias.copy_(0.1 * noise(len(conv.bias), seed=index))
    return network


def test_weight_normalisation_comes_and_goes_without_a_change_of_output():
    network = with_random_biases(built())
    names = set(network.state_dict())
    image = noise(1, 1, 24, 32)
    before = network(image).detach()
    add_weight_norm(network)
    assert sum("original0" in name for name in network.state_dict()) == len(convolutions(network))
    torch.testing.assert_close(network(image).detach(), before, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        network.first.parametrizations.weight.original0.mul_(1.5)
    changed = network(image).detach()
    assert not torch.allclose(changed, before, atol=1e-2)
    remove_weight_norm(network)
    assert set(network.state_dict()) == names
    torch.testing.assert_close(network(image).detach(), changed, atol=1e-5, rtol=1e-5)


def test_without_gradients_the_maps_are_the_same_and_the_input_is_left_alone():
    layer, maps = WideActivation(4, 3), noise(1, 4, 8, 8)
    before, expected = maps.clone(), layer(maps).detach()
    with torch.no_grad():
        output = layer(maps)
    assert torch.equal(maps, before) and torch.equal(output, expected)


def test_gradient_checkpointing_gives_the_same_gradients(monkeypatch):
    calls = []
    original = network_module.checkpoint
    monkeypatch.setattr(
        network_module, "checkpoint", lambda *a, **k: calls.append(a) or original(*a, **k)
    )
    plain, checkpointed = built(), built()
    checkpointed.gradient_checkpointing = True
    image = noise(1, 1, 24, 24)
    for network in (plain, checkpointed):
        network(image).square().mean().backward()
    assert len(calls) == 6
    for (name, one), other in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings("waunet", filters=2, blocks=1),
        NetworkSettings("waunet", filters=2, blocks=2),
        NetworkSettings("unet", 2, 1),
    ],
)
def test_the_receptive_field_is_exactly_as_far_as_gradients_reach(settings):
    """Positive weights everywhere, so that nothing cancels and no ReLU closes."""
    network = built(settings).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    expected = receptive_field_px(settings)
    stride = architecture_of(settings).stride
    side = -(-(2 * expected + 3 * stride) // stride) * stride
    centre = side // (2 * stride) * stride
    reached = 0
    image = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    output = network(image)[0, 0]
    for pixel in range(stride):
        (gradient,) = torch.autograd.grad(
            output[centre + pixel, centre + pixel], image, retain_graph=True
        )
        for axis in (0, 1):
            touched = gradient[0, 0].abs().amax(dim=axis).nonzero().flatten()
            assert (
                touched.min() > 0 and touched.max() < side - 1
            )  # the image is larger than the field
            reached = max(
                reached, centre + pixel - int(touched.min()), int(touched.max()) - centre - pixel
            )
    assert reached == expected


COMPACT = NetworkSettings("unet", filters=4, blocks=1)


def test_the_compact_network_has_28_convolutions_and_1606596_parameters():
    network = built(NetworkSettings("unet", 32, 1))
    assert len(convolutions(network)) == 28
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_606_596


@pytest.mark.parametrize("shape", [(16, 16), (32, 80)])
def test_the_compact_network_begins_with_nothing_and_keeps_the_size(shape):
    output = built(COMPACT)(noise(2, 1, *shape))
    assert output.shape == (2, 1, *shape) and (output == 0).all()


def test_every_weight_of_the_compact_network_learns_after_the_first_step():
    network = built(COMPACT)
    network.get_parameter("up1.leave.weight").data.fill_(0.1)
    network(noise(1, 1, 32, 32)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_compact_network_gives_the_same_gradients_under_checkpointing():
    plain, checkpointed = built(COMPACT), built(COMPACT)
    checkpointed.gradient_checkpointing = True
    for network in (plain, checkpointed):
        network.get_parameter("up1.leave.weight").data.fill_(0.1)
        network(noise(1, 1, 32, 32)).square().mean().backward()
    for one, other in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
