"""The world in which examples in docstrings run: a small session, a model trained on it, and its
evaluation.
"""

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from _pytest.doctest import DoctestItem

import restore

FACE = (
    "restore/__init__.py",
    "restore/face/",
    "restore/denoising/batch.py",
    "restore/live/session.py",
    "restore/movies/making_halves.py",
)


@pytest.fixture(scope="session")
def example_world(tmp_path_factory):
    """A folder with a simulated session, and ``Models/model.safetensors`` made from it."""
    folder = tmp_path_factory.mktemp("examples")
    with chdir(folder):
        settings = restore.SimulationSettings(
            micrographs=2, size_px=(256, 256), pixel_size_A=1.5, frames=4
        )
        restore.simulate("session", settings)
        restore.train(
            "session/micrographs_ctf.star",
            {"steps": 2, "batch_size": 2, "patch_px": 32},
            recipe=restore.Recipe(max_resolution_A=9),
        )
    return folder


@pytest.fixture(autouse=True)
def doctest_world(request, doctest_namespace, monkeypatch):
    """Examples of the package's face run in the example world."""
    item = request.node
    if not isinstance(item, DoctestItem) or not any(
        part in Path(item.path).as_posix() for part in FACE
    ):
        return
    monkeypatch.chdir(request.getfixturevalue("example_world"))
    doctest_namespace |= {"np": np, "Path": Path, "restore": restore}
