"""Freed memory is kept by the process."""

import subprocess
import sys

import pytest

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
