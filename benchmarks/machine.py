"""What machine and which versions a figure was measured on."""

import os
import platform
from pathlib import Path

import torch


def describe() -> str:
    """One line: processor, cores, memory, versions."""
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB; "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            extras = [flag for flag in ("avx512f", "avx512_bf16", "amx_bf16") if torch_has(flag)]
            return line.partition(":")[2].strip() + (
                f" ({', '.join(extras)})" if extras else " (no AVX-512)"
            )
    return platform.machine()


def torch_has(flag: str) -> bool:
    """Whether the processor lists an instruction set."""
    return f" {flag}" in Path("/proc/cpuinfo").read_text()
