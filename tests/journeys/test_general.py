"""``restore denoise`` without a model of one's own, as a person types it."""

import json
import re
from contextlib import chdir
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from restore.cli.main import main
from restore.model.checkpoint import save_model
from restore.model.general import load_general_model
from restore.preprocessing import Recipe, prepare


def restore(line):
    """Run a command line as it is typed, without the word restore; the exit status comes back."""
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A simulated session of a specimen that the general model has never seen."""
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        line = "simulate session --micrographs=1 --size_px=512 --pixel_size_A=1.5"
        assert restore(line) == 0
    return folder


def seen(path):
    """An image as the network sees it."""
    image = torch.from_numpy(mrcfile.read(path).astype(np.float32))
    return prepare(image, 1.5, None, Recipe(8.0, phase_flip=False)).image


def correlation(first, second):
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def test_denoising_needs_no_model(project, capsys):
    with chdir(project):
        assert restore("denoise -m session/micrographs_ctf.star -r 8 --dont_phaseflip -o Out") == 0
    source = project / "session/Micrographs/mic_0001_DW.mrc"
    (path,) = (project / "Out").rglob("*_DW.mrc")
    with mrcfile.open(path) as file:
        assert "general.safetensors" in " ".join(str(label) for label in file.get_labels())
        assert file.data.shape == (512, 512)
        assert file.data.mean() == pytest.approx(mrcfile.read(source).mean(), rel=1e-3)
    raw, truth, denoised = (
        seen(name) for name in (source, source.with_name("mic_0001_TRUTH.mrc"), path)
    )
    assert correlation(denoised, truth) > 1.15 * correlation(raw, truth)


def test_another_resolution_makes_the_output_stale(project, capsys):
    with chdir(project):
        for resolution in ("8", "9"):
            line = f"denoise -m session/micrographs_ctf.star -r {resolution} -o Again"
            assert restore(line) == 0
        assert "already denoised" not in capsys.readouterr().err
        assert restore("denoise -m session/micrographs_ctf.star -r 9 -o Again") == 0
        assert "already denoised" in capsys.readouterr().err


def test_a_resolution_that_the_general_model_has_not_seen_is_rejected(project, capsys):
    with chdir(project):
        assert restore("denoise -m session/micrographs_ctf.star -r 3.2 -o Fine") == 1
    message = capsys.readouterr().err
    assert "3.2 Å, not 4.5 to 12 Å" in message
    assert "train a model" in message
    assert not (project / "Fine").exists()


def test_the_general_model_is_evaluated_where_none_is_named(project, capsys):
    with chdir(project):
        line = "evaluate -m session/micrographs_ctf.star -r 9 -o Judged --resamples 50"
        assert restore(line) == 0
        spoken = capsys.readouterr()
        record = json.loads((project / "Judged/evaluation.json").read_text())
    assert "model: the general one that comes with restore (general.safetensors" in spoken.err
    assert "Judged/evaluation.json" in spoken.out
    assert record["model"]["name"] == "general.safetensors"
    assert record["recipe"]["max_resolution_A"] == 9
    assert [group["name"] for group in record["groups"]] == ["held out", "all"]


def test_a_line_names_the_model_that_denoises(project, capsys):
    with chdir(project):
        save_model(Path("own.safetensors"), load_general_model(Recipe(9.0)))
        table = "denoise -m session/micrographs_ctf.star"
        assert restore(f"{table} -r 9 -o One") == 0
        assert "model: the general one" in capsys.readouterr().err
        assert restore(f"{table} -p own.safetensors -o Two") == 0
    assert re.search(r"model: own.safetensors, [\d,]+ training steps", capsys.readouterr().err)
