"""Settings that are numbers of NumPy, as a sweep over an array has them."""

import json
import subprocess
import sys

import numpy as np
import pytest

import restore
from restore.training.run_files import RunFiles
from restore.training.state import load_run

SETTINGS = {
    "batch_size": np.int64(2),
    "patch_px": np.int32(32),
    "filters": np.int64(4),
    "learning_rate": np.float32(1e-3),
    "from_scratch": np.bool_(True),
}


@pytest.mark.parametrize("kind", [dict, restore.TrainingSettings])
def test_a_run_with_them_is_resumed(make_patches, kind):
    path = make_patches(shapes=((32, 32),) * 2)

    def trained(steps, resume):
        return restore.train(
            settings=kind(**SETTINGS, steps=np.int64(steps)),
            patch_file=path,
            model_directory=path.parent / "Models",
            resume=resume,
            device="cpu",
        )

    trained(1, resume=False)
    settings = load_run(RunFiles(path.parent / "Models", "model").state).settings
    assert (settings.batch_size, settings.filters, settings.from_scratch) == (2, 4, True)
    assert settings.learning_rate == pytest.approx(1e-3)
    assert trained(2, resume=True).training["steps"] == 2


PROGRAM = """
import numpy as np
import restore

restore.simulate("session", restore.SimulationSettings(
    micrographs=np.int64(2), size_px=(np.int64(128),), pixel_size_A=np.float32(2), frames=4
))
recipe = restore.Recipe(np.float32(9), phase_flip=np.bool_(True))
star = "session/micrographs_ctf.star"
settings = {"batch_size": np.int64(2), "patch_px": np.int64(32)}
restore.train(star, settings, recipe=recipe, steps=np.int64(1))
restore.evaluate(star, "Models/model.safetensors", settings=restore.EvaluationSettings(
    resamples=np.int64(50), confidence=np.float32(0.9)
))
print(restore.write_report("evaluation"))
"""


def test_an_evaluation_with_them_is_reported(tmp_path):
    # In a process of its own, because the types of arguments are checked in this one.
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.splitlines()[-1]).is_file()
    assert json.loads((tmp_path / "session/simulation.json").read_text())["micrographs"] == 2
    evaluation = json.loads((tmp_path / "evaluation/evaluation.json").read_text())
    assert evaluation["method"]["resamples"] == 50
