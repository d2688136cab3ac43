"""``restore denoise`` divided among processes: under torchrun, and as srun would start them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.cli.main import main
from restore.io.images.image import write_image
from restore.model.checkpoint import Model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

NAMES = "abcde"
LINE = ("denoise", "-m", "mics.star", "-p", "model.safetensors", "--device", "cpu")
ALONE = {
    name: value
    for name, value in os.environ.items()
    if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Five micrographs, the third of which is cut short, and a model, in the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in NAMES:
        write_image(Path(f"{name}.mrc"), random.normal(10, 1, (128, 128)).astype(np.float32), 2.0)
    os.truncate("c.mrc", 2000)
    head = (
        "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnMagnification "
        "#2\n_rlnDetectorPixelSize #3\n"
    )
    Path("mics.star").write_text(head + "".join(f"{name}.mrc 10000 2.0\n" for name in NAMES))
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    )
    save_model(
        Path("model.safetensors"), Model(network, Recipe(max_resolution_A=8.0, phase_flip=False))
    )
    return tmp_path


def written(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.mrc")}


def torchrun(*words):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "restore",
    ]
    return subprocess.run(
        [*command, *words],
        env=ALONE | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_two_processes_write_what_one_does_and_say_once_what_failed(here):
    assert main([*LINE, "-o", "one"]) == 1
    done = torchrun(*LINE, "-o", "two")
    assert done.returncode == 1
    assert done.stderr.count("1 of 5 micrographs were not denoised") == 1
    assert done.stdout.count("two/mics.star") == 1
    assert written("one") == written("two") and len(written("two")) == 4
    assert (
        Path("one/mics.star").read_text().replace("one/", "two/")
        == Path("two/mics.star").read_text()
    )


def test_a_rerun_in_two_processes_does_what_is_missing_and_the_star_names_all(here):
    Path("c.mrc").write_bytes(Path("a.mrc").read_bytes())
    assert main([*LINE, "-o", "out"]) == 0
    star, before = Path("out/mics.star").read_text(), written("out")
    changed = {name: Path(f"out/{name}.mrc").stat().st_mtime_ns for name in NAMES}
    for name in "bd":
        Path(f"out/{name}.mrc").unlink()
    done = torchrun(*LINE, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert written("out") == before and Path("out/mics.star").read_text() == star
    assert {n for n in NAMES if Path(f"out/{n}.mrc").stat().st_mtime_ns != changed[n]} == {"b", "d"}


def test_processes_that_srun_starts_divide_the_work(here):
    step = {
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": str(os.getpid() + 5000),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "restore", *LINE, "-o", "step"],
            env=ALONE | step | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    outputs = [process.communicate(timeout=55) for process in processes]
    assert [process.returncode for process in processes] == [1, 0], outputs
    assert "step/mics.star" in outputs[0][0] and outputs[1][0] == ""
    assert len(written("step")) == 4


def test_only_the_leading_process_of_a_relion_job_says_how_it_ended(here):
    done = torchrun(*LINE, "--o", "External/job004/")
    assert done.returncode == 1 and done.stderr.count("1 of 5 micrographs were not denoised") == 1
    assert {path.name for path in Path("External/job004").glob("RELION_*")} == {
        "RELION_JOB_EXIT_SUCCESS",
        "RELION_OUTPUT_NODES.star",
    }
