"""Freed memory is kept by the process, and errors of memory are recognised."""

import subprocess
import sys

import pytest
import torch

from restore.errors import UserError
from restore.runtime.memory import advising_if_out_of_memory, is_out_of_memory, memory_errors

FAULTS = """
import resource, torch
from restore.runtime.memory import tune_malloc
if {keep}:
    tune_malloc()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(keep):
    return int(
        subprocess.run(
            [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, check=True
        ).stdout
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_large_tensors_no_longer_fault_their_pages_in_anew():
    assert faults(keep=True) < faults(keep=False) / 10


def cpu_error():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError, True),
        (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (lambda: RuntimeError("CUDA error: out of memory"), True),
        (cpu_error, True),
        (lambda: RuntimeError("the shapes do not match"), False),
        (lambda: ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, expected):
    assert is_out_of_memory(error()) is expected


def test_the_error_of_memory_on_the_cpu_is_one_that_a_job_fails_by():
    with pytest.raises(MemoryError, match="allocate"), memory_errors():
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        raise RuntimeError("the shapes do not match")


def test_only_an_error_of_memory_becomes_advice():
    with pytest.raises(UserError, match="Buy more"), advising_if_out_of_memory("buy more"):
        raise MemoryError
    with pytest.raises(RuntimeError, match="shapes"), advising_if_out_of_memory("buy more"):
        raise RuntimeError("the shapes do not match")
