"""Reads the structure of an HDF5 file whose maker is not known, as a program of its own:
``python hdf5_probe.py FILE``. :mod:`restore.io.hdf5` runs it under a time limit.

HDF5's library can loop without end, or crash, on a damaged file, and a file can name others for
it to open. What stands here looks at every link, every attribute and every dataset once, so that
whoever opens the file afterwards meets nothing new. One line of JSON says what was found, null
where nothing is wrong.
"""

import json
import resource
import sys

import h5py
import numpy as np

_MOST_MEMORY_BYTES = 4 << 30
_REAL_NUMBERS = "iuf"


def fault(path: str) -> str | None:
    """What is wrong with the file, None where nothing is."""
    with h5py.File(path, "r") as file:
        for _ in file.attrs.values():
            pass
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                return f"{name} is a link to another place"
            item = file[name]
            if not isinstance(item, h5py.Dataset):
                return f"{name} is not an image"
            found = _fault_of_dataset(item)
            if found:
                return f"{name} {found}"
            for _ in item.attrs.values():
                pass
    return None


def _fault_of_dataset(dataset: h5py.Dataset) -> str:
    if dataset.external or dataset.is_virtual:
        return "is stored in another file"
    if dataset.dtype.kind not in _REAL_NUMBERS:
        return f"holds values of type {dataset.dtype}"
    claimed = int(np.prod([int(side) for side in dataset.shape], dtype=object))
    claimed *= dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    return f"claims {claimed} bytes, and {stored} are stored" if stored < claimed else ""


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    try:
        found = fault(sys.argv[1])
    except Exception as error:  # noqa: BLE001  whatever h5py raises, the file is not to be opened
        found = str(error).partition("\n")[0][:200] or type(error).__name__
    sys.stdout.write(json.dumps(found) + "\n")
