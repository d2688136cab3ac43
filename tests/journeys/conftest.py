"""What several journeys start from."""

import shutil

import pytest
from evaluation_world import write_full_sums, write_model, write_session


@pytest.fixture(scope="session")
def three_micrographs(tmp_path_factory):
    """A folder with three micrographs with halves and full sums, and a model; not to be changed."""
    folder = write_session(tmp_path_factory.mktemp("three"), names="abc", power=100.0)
    write_full_sums(folder, "abc")
    write_model(folder / "model.safetensors")
    return folder


@pytest.fixture
def in_three_micrographs(three_micrographs, tmp_path, monkeypatch):
    """A test in a copy of its own of `three_micrographs`; evaluations draw no pictures."""
    monkeypatch.chdir(shutil.copytree(three_micrographs, tmp_path / "here"))
    monkeypatch.setattr("restore.face.evaluation.save_png", lambda figure, path: None)
