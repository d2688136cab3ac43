"""The network's stages as OpenVINO graphs, which run faster on a CPU than PyTorch's operations one
by one.

The graphs are built from the modules of `restore.model.network` layer by layer: nothing is traced,
nothing compiled twice, and any size of image fits.
"""

from functools import cache
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as operations
from torch import Tensor, nn

from restore.model.inference.engine import CPU_TILE_PX
from restore.model.network import (
    STAGES,
    Down,
    NetworkSettings,
    Up,
    Upsample,
    WAUNet,
    WideActivation,
)

Node = Any
"""A node of an OpenVINO graph."""

_MOST_COMPILED = 48
"""Stages that are kept, each for one size of tile: those of eight sizes of image."""


@cache
def _core() -> openvino.Core:
    """The one core of this process, never given up.

    Each sets up a stack for signals and puts back the one before at its end: of two that end in the
    order in which they were made, the second puts back what the first has freed, and the next ^C is
    a segmentation fault.
    """
    return openvino.Core()


class OpenVINOEngine:
    """Every stage compiled once for each size of tile that it meets; as many threads as PyTorch
    has.
    """

    def __init__(self, network: WAUNet, dtype: torch.dtype = torch.float32) -> None:
        self.settings, self.device = network.settings, torch.device("cpu")
        self._network = network
        self._compiled: dict[tuple[str | int, ...], openvino.CompiledModel] = {}
        self._running: tuple[str | int, ...] = ()
        self._request: openvino.InferRequest | None = None
        self._options = {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }

    def run(self, name: str, *maps: Tensor) -> Tensor:
        """The output of one stage."""
        request = self._request_for((name, *maps[0].shape))
        request.infer([each.contiguous().numpy() for each in maps], share_inputs=True)
        return torch.from_numpy(np.array(request.get_output_tensor().data))

    def _request_for(self, key: tuple[str | int, ...]) -> openvino.InferRequest:
        """What runs a stage on tiles of one size; the memory of the one before is given back, its
        code is kept.
        """
        if key != self._running or self._request is None:
            self.forget()
            if key not in self._compiled:
                if len(self._compiled) == _MOST_COMPILED:
                    self._compiled.pop(next(iter(self._compiled)))
                name, shape = str(key[0]), list(key[1:])
                graph = stage_graph(self._network, name)
                graph.reshape(dict.fromkeys(range(len(graph.inputs)), shape))
                self._compiled[key] = _core().compile_model(graph, "CPU", self._options)
            self._running, self._request = key, self._compiled[key].create_infer_request()
        return self._request

    def tile_px(self, longest_px: int) -> int:  # noqa: ARG002
        """The same for every image."""
        return CPU_TILE_PX

    def forget(self) -> None:
        """Give back the memory of the stage that ran last."""
        self._request = None
        if self._running in self._compiled:
            self._compiled[self._running].release_memory()


def stage_graph(network: WAUNet, name: str) -> openvino.Model:
    """One of `restore.model.network.STAGES` as a graph, for maps (1, features, y, x) of any size."""
    inputs = [_parameter(features) for features in _input_features(network.settings, name)]
    block = getattr(network, name)
    if isinstance(block, Down):
        x = inputs[0] if name != "down1" else _convolution(network.first, inputs[0], (1, 1))
        x = _down(block, x)
    else:
        x = _up(block, *inputs)
    if name == "up1":
        before, _, after = network.last
        x = _convolution(after, operations.relu(_convolution(before, x)))
    return openvino.Model([operations.result(x)], inputs, name)  # pyright: ignore[reportGeneralTypeIssues]


def _input_features(settings: NetworkSettings, name: str) -> tuple[int, ...]:
    if name == STAGES[0]:
        return (1,)
    return (settings.filters,) * (2 if name.startswith("up") else 1)


def _parameter(features: int) -> Node:
    return operations.parameter([1, features, -1, -1], np.float32)


def _convolution(module: nn.Module, x: Node, border: tuple[int, int] = (0, 0)) -> Node:
    """A convolution with its bias; ``border`` is how many zeros stand before and after, along both
    axes.
    """
    assert isinstance(module, nn.Conv2d) and module.bias is not None
    begin, end = ([side, side] for side in border)
    weight = operations.constant(module.weight.detach().numpy(force=True))
    bias = operations.constant(module.bias.detach().numpy(force=True)[None, :, None, None])
    found = operations.convolution(x, weight, list(module.stride), begin, end, [1, 1])
    return operations.add(found, bias)


def _wide(module: WideActivation, x: Node) -> Node:
    narrow = _convolution(module.narrow, operations.relu(_convolution(module.widen, x)))
    return operations.add(x, _convolution(module.mix, narrow, (module.border[0], module.border[1])))


def _down(module: Down, x: Node) -> Node:
    pooled = operations.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    wide = x
    for each in module.wide:
        assert isinstance(each, WideActivation)
        wide = _wide(each, wide)
    return operations.add(operations.relu(_convolution(module.shrink, wide, (0, 1))), pooled)


def _upsample(module: Upsample, x: Node) -> Node:
    wide = _wide(module.wide, operations.relu(_convolution(module.widen, x)))
    return operations.depth_to_space(wide, "depth_first", 2)


def _up(module: Up, x: Node, skip: Node) -> Node:
    joined = operations.relu(_convolution(module.join, operations.concat([x, skip], 1)))
    for each in module.wide:
        assert isinstance(each, WideActivation)
        joined = _wide(each, joined)
    return operations.add(_upsample(module.long, joined), _upsample(module.short, x))
