"""The network's stages as OpenVINO graphs, which on a CPU run faster than PyTorch's separate
operations.

Nothing is traced or compiled twice, and images may have any size.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from restore.model.inference.engine import CPU_TILE_PX
from restore.model.inference.openvino_graphs import stage_graph
from restore.model.inference.silent_openvino import openvino
from restore.model.network import Network

_MOST_COMPILED = 48
"""The number of compiled stages to keep, each for one tile size: enough for eight image sizes."""


@cache
def _core() -> openvino.Core:
    """The only OpenVINO core of this process, which is never released.

    Each core installs a signal stack and restores the previous one when it ends. If two cores end
    in the order in which they were made, the second restores a stack that the first has freed, and
    the next ^C is a segmentation fault.
    """
    return openvino.Core()


class OpenVINOEngine:
    """OpenVINO with every stage compiled once for each tile size, and as many threads as PyTorch
    has.
    """

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32) -> None:
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
        request.infer([plane.contiguous().numpy() for plane in maps], share_inputs=True)
        return torch.from_numpy(np.array(request.get_output_tensor().data))

    def _request_for(self, key: tuple[str | int, ...]) -> openvino.InferRequest:
        """The inference request for a stage and tile size. The memory of the previous one is
        released, but its code is kept.
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
        """A fixed side for every image."""
        return CPU_TILE_PX

    def forget(self) -> None:
        """Release the memory of the stage that ran last."""
        self._request = None
        if self._running in self._compiled:
            self._compiled[self._running].release_memory()
