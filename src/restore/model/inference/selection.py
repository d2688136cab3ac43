"""Which engine: OpenVINO on a CPU where it is installed, else PyTorch.

Both give the numbers of float32 PyTorch, to 1e-5 of the largest (tests), or both compute in bf16.
"""

from importlib.util import find_spec

import torch

from restore.model.inference.engine import Engine
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.network import Network
from restore.runtime.precision import resolve_precision


def engine_for(network: Network, device: torch.device, precision: str = "auto") -> Engine:
    """The fastest engine that is here for a trained network: OpenVINO on a CPU where it is
    installed, else PyTorch.
    """
    dtype = resolve_precision(precision, device)
    if device.type == "cpu" and find_spec("openvino") is not None:
        from restore.model.inference.openvino_engine import OpenVINOEngine  # noqa: PLC0415

        return OpenVINOEngine(network, dtype)
    return PyTorchEngine(network, device, dtype)
