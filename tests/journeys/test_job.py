"""``train`` and ``denoise`` as RELION starts them, in-process: where things go, and what every
ending leaves.
"""

import os
import shutil
import signal
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.cli import job as cli_job
from restore.cli.job import as_job, is_main
from restore.cli.main import main
from restore.io.images.image import write_image
from restore.io.star import read_star
from restore.model.checkpoint import Model, load_model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe
from restore.runtime.distributed import launch

FOLDER = Path("External/job004")
IN_JOB = "--o External/job004/ --in_mics CtfFind/job003/mics.star"
DENOISE = f"denoise {IN_JOB} --model model.safetensors --device cpu --j 1"
TRAIN = (
    f"train {IN_JOB} --max-resolution 8 --filters 2 --blocks 1 --batch_size 2 --patch_px 16 "
    "--dont_phaseflip --j 1"
)
NAMES = ("a", "b")


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two micrographs with their halves as a motion correction job leaves them, and a model that
    has learned nothing.
    """
    folder = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(0)
    for name in NAMES:
        even, odd = (random.normal(10, 1, (64, 64)).astype(np.float32) for _ in range(2))
        for suffix, image in (("DW", even + odd), ("EVN", even), ("ODD", odd)):
            write_image(folder / f"MotionCorr/job002/Movies/{name}_{suffix}.mrc", image, 2.0)
    head = "data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographPixelSize #2\n"
    (folder / "CtfFind/job003").mkdir(parents=True)
    rows = "".join(f"MotionCorr/job002/Movies/{name}_DW.mrc 2.0\n" for name in NAMES)
    (folder / "CtfFind/job003/mics.star").write_text(head + rows)
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    )
    save_model(
        folder / "model.safetensors", Model(network, Recipe(max_resolution_A=8.0, phase_flip=False))
    )
    return folder


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    """A copy of the world as working directory; the number of threads is left as it was found."""
    threads = torch.get_num_threads()
    shutil.copytree(world, tmp_path / "here")
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli_job, "POLL_S", 0.02)
    with chdir(tmp_path / "here"):
        yield
    torch.set_num_threads(threads)


def markers():
    return {path.name.removeprefix("RELION_JOB_") for path in FOLDER.glob("RELION_*")}


def images():
    return {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.mrc")}


DONE = {"EXIT_SUCCESS", "RELION_OUTPUT_NODES.star"}
BOTH = {"Movies/a_DW.mrc", "Movies/b_DW.mrc"}


def test_denoise_puts_everything_into_its_folder_under_names_as_relions_own_jobs_give(here):
    inputs = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert restore(DENOISE) == 0
    new = {path for path in Path().rglob("*") if path.is_file()} - set(inputs)
    assert all(FOLDER in path.parents for path in new)
    assert images() == BOTH and markers() == DONE
    names = read_star(FOLDER / "mics.star").block("micrographs").column("rlnMicrographName")
    assert names == [f"External/job004/Movies/{name}_DW.mrc" for name in NAMES]
    assert {path: path.stat().st_mtime_ns for path in inputs} == inputs
    nodes = read_star(FOLDER / "RELION_OUTPUT_NODES.star").block("output_nodes")
    assert nodes.column("rlnPipeLineNodeName") == ["External/job004/mics.star"]


@pytest.mark.parametrize(
    "given",
    [
        "-m MotionCorr/job002/Movies/a_DW.mrc",
        "--in_mics MotionCorr/job002/Movies/a_DW.mrc",
        "MotionCorr/job002/Movies/a_DW.mrc",
        "MotionCorr/job002/Movies/a_DW.mrc MotionCorr/job002/Movies/b_DW.mrc",
    ],
)
def test_images_in_a_job_are_listed_in_a_node_that_the_next_job_takes(given):
    line = "denoise --o External/job004/ --model model.safetensors --device cpu --j 1"
    assert restore(f"{line} {given}") == 0
    count = given.count(".mrc")
    assert sorted(images()) == sorted(BOTH)[:count] and markers() == DONE
    star = FOLDER / "micrographs.star"
    nodes = read_star(FOLDER / "RELION_OUTPUT_NODES.star").block("output_nodes")
    assert nodes.column("rlnPipeLineNodeName") == [str(star)]
    names = read_star(star).block("micrographs").column("rlnMicrographName")
    assert names == [f"External/job004/Movies/{name}_DW.mrc" for name in NAMES[:count]]


def test_denoise_started_again_does_what_is_missing(here):
    assert restore(DENOISE) == 0
    written_ns = (FOLDER / "Movies/a_DW.mrc").stat().st_mtime_ns
    (FOLDER / "Movies/b_DW.mrc").unlink()
    (FOLDER / "RELION_JOB_EXIT_FAILURE").touch()
    assert restore(DENOISE) == 0
    assert images() == BOTH and markers() == DONE
    assert (FOLDER / "Movies/a_DW.mrc").stat().st_mtime_ns == written_ns


def test_train_puts_model_and_patches_into_its_folder_and_goes_on_when_it_is_started_again(here):
    inputs = set(Path().rglob("*"))
    assert restore(f"{TRAIN} --steps 2") == 0
    assert markers() == {"EXIT_SUCCESS"}
    assert all(
        path in (FOLDER.parent, FOLDER) or FOLDER in path.parents
        for path in set(Path().rglob("*")) - inputs
    )
    assert load_model(FOLDER / "model.safetensors").training["steps"] == 2
    written_ns = (FOLDER / "training_data.hdf").stat().st_mtime_ns
    assert restore(f"{TRAIN} --steps 3") == 0
    assert load_model(FOLDER / "model.safetensors").training["steps"] == 3
    assert (FOLDER / "training_data.hdf").stat().st_mtime_ns == written_ns and markers() == {
        "EXIT_SUCCESS"
    }
    assert restore(f"{TRAIN} --steps 1 --overwrite") == 0
    assert load_model(FOLDER / "model.safetensors").training["steps"] == 1
    assert restore(f"{TRAIN} --steps 1 --learning_rate 0.5") == 1
    assert markers() == {"EXIT_FAILURE"}


def test_a_finished_training_that_is_started_again_ends_well_at_once(here):
    assert restore(f"{TRAIN} --steps 2") == 0
    before = load_model(FOLDER / "model.safetensors")
    assert restore(f"{TRAIN} --steps 2") == 0
    after = load_model(FOLDER / "model.safetensors")
    assert (
        before.training == after.training
        and before.digest() == after.digest()
        and markers() == {"EXIT_SUCCESS"}
    )


def test_a_model_of_a_job_is_taken_by_the_next(here):
    assert restore(f"{TRAIN} --steps 1") == 0
    model = FOLDER / "model.safetensors"
    assert (
        restore(f"{DENOISE.replace('job004', 'job005').replace('model.safetensors', str(model))}")
        == 0
    )
    assert Path("External/job005/RELION_JOB_EXIT_SUCCESS").exists()


# Endings


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (f"denoise {IN_JOB} --model none.safetensors", 1, "none.safetensors"),
        ("denoise --o External/job004/", 2, "there is no input"),
        (f"{DENOISE} --nonsense", 2, "--nonsense"),
        (f"{DENOISE} -o Denoised", 2, "both --o and --output_directory"),
        (f"{TRAIN} -d Elsewhere", 2, "both --o and --model_directory"),
        (f"{DENOISE} --j 0", 2, "not a number of threads"),
        (f"{TRAIN} --in_parts Extract/job009/particles.star", 2, "--in_parts"),
        (f"{TRAIN} -t none.hdf", 2, "both --training_mics and --training_data"),
    ],
)
def test_a_job_that_cannot_be_done_has_failed(here, capsys, line, status, words):
    FOLDER.mkdir(parents=True)
    (FOLDER / "RELION_JOB_EXIT_SUCCESS").touch()
    assert restore(line) == status
    assert words in capsys.readouterr().err and markers() == {"EXIT_FAILURE"}


def test_a_program_that_breaks_has_failed_and_shows_where(here, monkeypatch):
    def break_down(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("restore.cli.model.load_model", break_down)
    with pytest.raises(ZeroDivisionError):
        restore(DENOISE)
    assert markers() == {"EXIT_FAILURE"}


def test_one_bad_micrograph_is_left_out_as_relion_does_and_the_status_says_so(here, capsys):
    os.truncate("MotionCorr/job002/Movies/a_DW.mrc", 2000)
    assert restore(DENOISE) == 1
    assert "1 of 2 micrographs were not denoised" in capsys.readouterr().err
    assert markers() == DONE and images() == {"Movies/b_DW.mrc"}
    os.truncate("MotionCorr/job002/Movies/b_DW.mrc", 2000)
    assert restore(f"{DENOISE} --overwrite") == 1
    assert markers() == {"EXIT_FAILURE"}


def slowly(monkeypatch, what):
    """Do something when the first micrograph, or the first step, is done, and wait there until it
    strikes.
    """

    def to(bar, count, words=""):
        if not done:
            done.append(what())
            time.sleep(0.5)

    done = []
    monkeypatch.setattr("restore.cli.progress.Bar.to", to)


STOPS = {
    "the abort file": (FOLDER / "RELION_JOB_ABORT_NOW").touch,
    "SIGTERM": lambda: signal.raise_signal(signal.SIGTERM),
    "^C": lambda: signal.raise_signal(signal.SIGINT),
}


@pytest.mark.parametrize("what", STOPS)
def test_a_denoise_job_that_is_stopped_is_aborted_and_goes_on_later(
    here, monkeypatch, capsys, what
):
    with monkeypatch.context() as patch:
        slowly(patch, STOPS[what])
        assert restore(DENOISE) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert (
        markers() == {"EXIT_ABORTED"}
        and not (FOLDER / "mics.star").exists()
        and "Movies/b_DW.mrc" not in images()
    )
    assert restore(DENOISE) == 0
    assert markers() == DONE and images() == BOTH


@pytest.mark.parametrize("what", STOPS)
def test_a_train_job_that_is_stopped_keeps_its_state_and_ends_with_the_same_weights(
    here, monkeypatch, capsys, what
):
    line = f"{TRAIN} -f shared.hdf --steps 6 --batches_per_epoch 2"
    assert (
        restore(
            "prepare -m CtfFind/job003/mics.star --max-resolution 8 --dont_phaseflip -f shared.hdf"
        )
        == 0
    )
    with monkeypatch.context() as patch:
        slowly(patch, STOPS[what])
        assert restore(line) == 130
    assert "stopped after step" in capsys.readouterr().err
    assert markers() == {"EXIT_ABORTED"} and not (FOLDER / "model.safetensors").exists()
    assert restore(line) == 0
    assert markers() == {"EXIT_SUCCESS"}
    assert restore(line.replace("job004", "job005")) == 0
    first, second = (
        load_model(Path(f"External/{job}/model.safetensors")) for job in ("job004", "job005")
    )
    assert (
        first.training["steps"] == second.training["steps"] == 6
        and first.digest() == second.digest()
    )


def test_a_job_that_is_aborted_while_it_waits_in_a_queue_does_not_begin(here):
    FOLDER.mkdir(parents=True)
    (FOLDER / "RELION_JOB_ABORT_NOW").touch()
    assert restore(DENOISE) == 130
    assert markers() == {"EXIT_ABORTED"} and not images()
    assert restore(DENOISE) == 0


# Several processes, threads, and commands that are no jobs

ENVIRONMENTS = [
    {},
    {"WORLD_SIZE": "2", "RANK": "0"},
    {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"},
    {"SLURM_PROCID": "0", "SLURM_JOB_ID": "7"},
    *(
        {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "n1", "SLURM_JOB_ID": "7",
         "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        for rank in "01"
    ),
]  # fmt: skip


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_leading_process_is_the_one_that_leads_the_run_and_only_it_writes(
    here, monkeypatch, environment
):
    launched = launch(environment)
    is_first = launched is None or launched.rank == 0
    assert is_main(environment) is is_first
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert as_job(FOLDER, lambda: 0) == 0
    assert markers() == ({"EXIT_SUCCESS"} if is_first else set())


def test_j_is_the_number_of_threads(here):
    assert restore(DENOISE.replace("--j 1", "--j 2")) == 0
    assert torch.get_num_threads() == 2


def test_without_o_nothing_tells_of_a_job_and_in_mics_is_only_another_name(here):
    assert (
        restore(
            "denoise --in_mics CtfFind/job003/mics.star --model model.safetensors -o out --device "
            "cpu"
        )
        == 0
    )
    assert not list(Path().rglob("RELION_*"))
    assert Path("out/MotionCorr/job002/Movies/a_DW.mrc").exists()


def test_a_job_whose_folder_cannot_be_made_says_so(here, capsys):
    Path("External").write_text("a file")
    assert restore(DENOISE) == 1
    assert "External" in capsys.readouterr().err
