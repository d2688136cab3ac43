"""Reads the structure of an HDF5 file of unknown origin, as a separate program: ``python
hdf5_probe.py FILE SECONDS``. :mod:`restore.io.hdf5` runs it; it ends itself after so many seconds
of processor time.

On a damaged file, HDF5's library can crash or loop forever, and a file can make it open other
files. This program looks at every link, attribute and dataset once, so that opening the file
afterwards is safe. It prints one line of JSON: the fault, or null if there is none.
"""

import json
import math
import resource
import sys
import time

import h5py
import numpy as np

_MOST_MEMORY_BYTES = 4 << 30
_REAL_NUMBERS = "biuf"
_MOST_DEFLATION = 1100  # 1032 bytes for one, and the remainder
_DEEPEST = 2


def fault(path: str) -> str | None:
    """The fault of the file, or None."""
    with h5py.File(path, "r") as file:
        return _fault_of_group(file, _DEEPEST) or None


def limit_processor_time(seconds: float) -> None:
    """Have this process ended by a signal once it has worked for so many seconds more."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most < 0 else min(limit, most), most))


def _fault_of_group(group: h5py.Group, depth: int) -> str:
    """The fault of a group and of everything in it, down to ``depth`` levels."""
    for _ in group.attrs.values():
        pass
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return f"{name} is a link to another place"
        item = group[name]
        if isinstance(item, h5py.Group):
            problem = (
                _fault_of_group(item, depth - 1) if depth > 1 else f"{name} is nested too deep"
            )
        elif isinstance(item, h5py.Dataset):
            problem = _fault_of_dataset(item)
        else:
            problem = f"{name} is neither a group nor a dataset"
        if problem:
            return problem
    return ""


def _fault_of_dataset(dataset: h5py.Dataset) -> str:
    for _ in dataset.attrs.values():
        pass
    if dataset.external or dataset.is_virtual:
        return f"{dataset.name} is stored in another file"
    if dataset.dtype.kind not in _REAL_NUMBERS:
        return f"{dataset.name} holds values of type {dataset.dtype}"
    claimed = int(np.prod([int(side) for side in dataset.shape], dtype=object))
    claimed *= dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    most = stored * (_MOST_DEFLATION if dataset.compression else 1)
    return f"{dataset.name} claims {claimed} bytes, and {stored} are stored" * (most < claimed)


if __name__ == "__main__":
    try:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = _MOST_MEMORY_BYTES if most < 0 else min(most, _MOST_MEMORY_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        limit_processor_time(float(sys.argv[2]))
        problem = fault(sys.argv[1])
    except Exception as error:  # noqa: BLE001  whatever h5py raises, the file is not to be opened
        problem = str(error).partition("\n")[0][:200] or type(error).__name__
    sys.stdout.write(json.dumps(problem) + "\n")
