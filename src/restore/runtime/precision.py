"""The precision of computation: float32, or bf16 if the device is fast at it."""

import torch

PRECISIONS = ("auto", "float32", "bf16")
"""The choices of the user."""


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 numbers in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # pyright: ignore[reportPrivateUsage]
    return False


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The type for "float32", "bf16" or "auto" (bf16 where it is fast) on this device."""
    if name == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    return {"float32": torch.float32, "bf16": torch.bfloat16}[name]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A block within which convolutions compute in ``dtype``; weights stay float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
