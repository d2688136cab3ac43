"""The stages of the networks as OpenVINO graphs, built from their modules layer by layer."""

from typing import Any, cast

import numpy as np
from torch import nn

from restore.model.inference.silent_openvino import openvino, operations
from restore.model.network import Network, stage_named
from restore.model.unet import OUTPUT_SCALE, ResidualBlock, UNet
from restore.model.waunet import Down, Up, Upsample, WAUNet, WideActivation

Node = Any
"""A node of an OpenVINO graph."""


def stage_graph(network: Network, name: str) -> openvino.Model:
    """One stage of a network as a graph, for maps (1, features, y, x) of any size."""
    features = stage_named(network.settings, name).features
    inputs = [_parameter(count) for count in features]
    if isinstance(network, WAUNet):
        output = _waunet_stage(network, name, *inputs)
    else:
        output = _unet_stage(network, name, *inputs)
    return openvino.Model([operations.result(output)], inputs, name)  # pyright: ignore[reportGeneralTypeIssues]


def _waunet_stage(network: WAUNet, name: str, *inputs: Node) -> Node:
    block = getattr(network, name)
    if isinstance(block, Up):
        x = _up(block, *inputs)
    else:
        x = inputs[0] if name != "down1" else _convolution(network.first, inputs[0], (1, 1))
        x = _down(block, x)
    if name != "up1":
        return x
    before, _, after = network.last
    return _convolution(after, operations.relu(_convolution(before, x)))


def _unet_stage(network: UNet, name: str, *inputs: Node) -> Node:
    level = getattr(network, name)
    x = inputs[0] if len(inputs) == 1 else operations.add(*inputs)
    if name == "down1":
        x = operations.space_to_depth(x, "depth_first", 2)
    x = _same_size(level.enter, x)
    for block in level.blocks:
        x = _residual(cast(ResidualBlock, block), x)
    x = _same_size(level.leave, x)
    if name.startswith("down"):
        return x
    if name == "up1":
        x = operations.multiply(x, operations.constant(np.float32(OUTPUT_SCALE)))
    return operations.depth_to_space(x, "depth_first", 2)


def _same_size(module: nn.Module, x: Node) -> Node:
    """A convolution with its zero padding, if any."""
    if isinstance(module, nn.Identity):
        return x
    assert isinstance(module, nn.Conv2d)
    side = int(module.padding[0])
    return _convolution(module, x, (side, side))


def _residual(block: ResidualBlock, x: Node) -> Node:
    inner = operations.relu(_convolution(block.before, x, (1, 1)))
    return operations.add(x, _convolution(block.after, inner, (1, 1)))


def _parameter(features: int) -> Node:
    return operations.parameter([1, features, -1, -1], np.float32)


def _convolution(module: nn.Module, x: Node, border: tuple[int, int] = (0, 0)) -> Node:
    """A convolution with its bias; ``border`` is the number of zeros before and after, along both
    axes.
    """
    assert isinstance(module, nn.Conv2d) and module.bias is not None
    begin, end = ([side, side] for side in border)
    weight = operations.constant(module.weight.detach().numpy(force=True))
    bias = operations.constant(module.bias.detach().numpy(force=True)[None, :, None, None])
    convolved = operations.convolution(x, weight, list(module.stride), begin, end, [1, 1])
    return operations.add(convolved, bias)


def _wide(module: WideActivation, x: Node) -> Node:
    narrow = _convolution(module.narrow, operations.relu(_convolution(module.widen, x)))
    return operations.add(x, _convolution(module.mix, narrow, (module.border[0], module.border[1])))


def _down(module: Down, x: Node) -> Node:
    pooled = operations.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    wide = x
    for convolution in module.wide:
        assert isinstance(convolution, WideActivation)
        wide = _wide(convolution, wide)
    return operations.add(operations.relu(_convolution(module.shrink, wide, (0, 1))), pooled)


def _upsample(module: Upsample, x: Node) -> Node:
    wide = _wide(module.wide, operations.relu(_convolution(module.widen, x)))
    return operations.depth_to_space(wide, "depth_first", 2)


def _up(module: Up, x: Node, skip: Node) -> Node:
    joined = operations.relu(_convolution(module.join, operations.concat([x, skip], 1)))
    for convolution in module.wide:
        assert isinstance(convolution, WideActivation)
        joined = _wide(convolution, joined)
    return operations.add(_upsample(module.long, joined), _upsample(module.short, x))
