"""A recorded session, which tests let come in again."""

import pytest

import restore
from restore.model.general import load_general_model
from restore.preprocessing import Recipe


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three micrographs with halves, and their table."""
    folder = tmp_path_factory.mktemp("recorded")
    settings = restore.SimulationSettings(
        micrographs=3, size_px=(128, 128), pixel_size_A=3.0, frames=4
    )
    restore.simulate(folder, settings)
    for path in (folder / "Micrographs").glob("*_TRUTH.mrc"):
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def flipping():
    return load_general_model(Recipe(9.0))


@pytest.fixture(scope="module")
def plain():
    return load_general_model(Recipe(9.0, phase_flip=False))


@pytest.fixture
def live(tmp_path, monkeypatch):
    """An empty folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
