"""Reuse of freed memory by the C library."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_BYTES, _TRIM_THRESHOLD_BYTES = 1 << 30, (1 << 31) - 1


def tune_malloc() -> None:
    """Let glibc reuse the memory of freed tensors instead of returning it to the kernel; do nothing
    with another C library.

    By default every tensor of over 32 MiB is mapped, cleared page by page, and unmapped again:
    about a quarter of the time that a training step takes on a CPU (docs/benchmarks.md).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
