"""Reuse of freed memory by the C library, and errors where memory runs out."""

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager

from restore.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_BYTES, _TRIM_THRESHOLD_BYTES = 1 << 30, (1 << 31) - 1
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
"""Words of PyTorch's errors without a class of their own: of the CUDA driver, and on the CPU."""


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, NumPy's, or PyTorch's of a GPU or the
    CPU. (PyTorch itself is not imported.)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


@contextmanager
def memory_errors() -> Generator[None]:
    """A block in which PyTorch's error of memory on the CPU, which is a plain RuntimeError, is a
    MemoryError.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error) is RuntimeError and is_out_of_memory(error):
            raise MemoryError(str(error).split("\n", 1)[0]) from error
        raise


@contextmanager
def advising_if_out_of_memory(do: str) -> Generator[None]:
    """A block, or as a decorator a function, in which running out of memory is a UserError with
    the advice ``do``.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError("memory ran out", do=do) from error
