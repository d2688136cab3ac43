"""Files that come in while a command looks on."""

import threading
import time
from contextlib import contextmanager

import mrcfile
import numpy as np


def copy_slowly(source, target, pause_s):
    """Copy a file as a network does that stands still half-way."""
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        time.sleep(pause_s)
        file.write(content[len(content) // 2 :])


def wait_for(condition, timeout_s=40):
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@contextmanager
def meanwhile(work):
    """Inside it a function runs in another thread; what it raises is raised at the end."""
    errors = []

    def run():
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def pixels(path):
    """The pixels of an MRC file."""
    return mrcfile.read(path)


def images_in(folder):
    """The images in a folder and those below, by their names."""
    return {str(path.relative_to(folder)): pixels(path) for path in folder.rglob("*.mrc")}


def assert_same_images(folder, other):
    """Two folders hold images of the same names and pixels."""
    first, second = images_in(folder), images_in(other)
    assert first.keys() == second.keys() and first
    for name, image in first.items():
        assert np.array_equal(image, second[name]), name
