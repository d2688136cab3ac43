"""Alone or one of many, and on which device."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from restore.errors import UserError
from restore.runtime import distributed
from restore.runtime.distributed import (
    Launch,
    Place,
    first_host,
    join_processes,
    launch,
    pick_device,
)


def test_a_process_that_torchrun_did_not_start_is_alone_and_leads(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("cpu") as place:
        assert place == Place(0, 1, torch.device("cpu"))
        assert place.is_main
        assert place.broadcast(2.5) == 2.5
        place.wait()
    assert not torch.distributed.is_initialized()


def test_a_world_of_one_under_torchrun_is_alone_too(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with join_processes("cpu") as place:
        assert place.world_size == 1


def test_only_the_first_process_leads():
    assert not Place(1, 2, torch.device("cpu")).is_main


def test_auto_is_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:77", ""])
def test_a_device_that_cannot_be_used_is_named_with_the_way_out(name):
    with pytest.raises(UserError, match=rf"the device '{name}' cannot be used.*`device=cpu`"):
        pick_device(name)


SLURM = {
    "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "12345",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
}  # fmt: skip


def test_torchruns_words_come_before_slurms():
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert launch(SLURM | torchrun) == Launch(1, 2, 1, "env://")


def test_srun_says_which_process_this_is_and_all_of_a_step_meet_at_its_first_node():
    environment = launch(SLURM)
    assert environment == Launch(3, 8, 1, "tcp://gpu03:22345")
    assert launch(SLURM | {"SLURM_STEP_ID": "1"}).init_method != environment.init_method
    assert (
        launch(SLURM | {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "999"}).init_method
        == "tcp://10.0.0.7:999"
    )


@pytest.mark.parametrize("change", [{"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_STEP_NUM_TASKS": None}])
def test_one_task_and_a_batch_script_without_srun_are_alone(change):
    environment = {
        name: value for name, value in (SLURM | {"SLURM_NTASKS": "8"} | change).items() if value
    }
    assert launch(environment) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-3]", "n1"),
        ("a-b[009,011]", "a-b009"),
        ("x1,n[1-3]", "x1"),
    ],
)
def test_the_first_host_of_slurms_lists(nodes, first):
    assert first_host(nodes) == first


TOGETHER = """
import os
from restore.runtime.distributed import join_processes
with join_processes("cpu") as place:
    print(place.rank, place.broadcast(10.0 + place.rank), place.gather([place.rank]))
    print(place.gather([[place.rank, "no \\udcff"]] * (1 + place.rank)) == [
        [0, "no \\udcff"], [1, "no \\udcff"], [1, "no \\udcff"]], place.gather([]))
"""


def test_processes_that_srun_would_start_find_each_other():
    job = str(os.getpid())
    step = SLURM | {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_JOB_ID": job,
    }
    environment = {
        name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")
    } | step
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER],
            env=environment | {"SLURM_PROCID": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    outputs = [process.communicate(timeout=50)[0].strip() for process in processes]
    assert outputs == ["0 10.0 [0, 1]\nTrue []", "1 10.0 [0, 1]\nTrue []"]


def test_nothing_that_comes_over_the_network_is_unpickled():
    for name in ("all_gather_object", "broadcast_object_list", "gather_object"):
        assert name not in Path(distributed.__file__).read_text(encoding="utf-8")
