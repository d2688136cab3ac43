"""Choice of the engine: OpenVINO on a CPU if it is installed, else PyTorch.

Both agree with float32 PyTorch to 1e-5 of the largest value (tested), or both compute in bf16.
"""

from importlib.util import find_spec

import torch

from restore.model.inference.engine import Engine
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.network import Network
from restore.runtime.precision import resolve_precision


def engine_for(network: Network, device: torch.device, precision: str = "auto") -> Engine:
    """The fastest available engine for a trained network: OpenVINO on a CPU if it is installed,
    else PyTorch.
    """
    dtype = resolve_precision(precision, device)
    if device.type == "cpu" and find_spec("openvino") is not None:
        from restore.model.inference.openvino_engine import OpenVINOEngine  # noqa: PLC0415

        return OpenVINOEngine(network, dtype)
    return PyTorchEngine(network, device, dtype)
