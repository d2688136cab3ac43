"""The place of a process in a distributed run, and its device."""

import json
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from restore.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """One process of a run: its number, the number of processes, and its device."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have arrived here."""
        if self.world_size > 1:
            distributed.barrier()

    def broadcast(self, value: float) -> float:
        """The main process's value, in every process."""
        if self.world_size == 1:
            return value
        shared = torch.tensor(
            [value], dtype=torch.float64
        )  # on the CPU, so that a GPU need not be waited for
        distributed.broadcast(shared, src=0)
        return float(shared)

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes together, in every process: plain values, as JSON has them.

        They are sent as text, because a pickle from the network can run code.
        """
        if self.world_size == 1:
            return list(items)
        text = json.dumps(list(items)).encode()
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world_size)]
        distributed.all_gather(lengths, torch.tensor([len(text)]))
        longest = max(int(length) for length in lengths)
        padded = torch.frombuffer(bytearray(text.ljust(longest)), dtype=torch.uint8)
        texts = [torch.empty_like(padded) for _ in range(self.world_size)]
        distributed.all_gather(texts, padded)
        return [item for text_bytes in texts for item in json.loads(text_bytes.numpy().tobytes())]


def pick_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is a GPU if PyTorch finds one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the device {name!r} cannot be used",
            field="device",
            wanted=reason,
            do="try `device=cpu`",
        ) from None
    return device


@dataclass(frozen=True)
class Launch:
    """A launcher's description of one of its processes; ``init_method`` is the address at which the
    processes find each other.
    """

    rank: int
    world_size: int
    local_rank: int
    init_method: str


def launch(environment: Mapping[str, str]) -> Launch | None:
    """The description that torchrun, or else SLURM's srun, has put into the environment; None if
    this process is alone.

    A batch script that SLURM runs without srun is alone, whatever number of tasks was requested.
    """
    if "WORLD_SIZE" in environment:
        rank, size, local = (
            int(environment.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        )
        launched = Launch(rank, size, local, "env://")
    elif "SLURM_STEP_NUM_TASKS" in environment:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        rank, size, local = (int(environment[name]) for name in names)
        host = environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"])
        job, step = int(environment["SLURM_JOB_ID"]), int(environment.get("SLURM_STEP_ID", "0"))
        port = environment.get("MASTER_PORT") or 20000 + (job + 7919 * step) % 10000
        launched = Launch(rank, size, local, f"tcp://{host}:{port}")
    else:
        return None
    return launched if launched.world_size > 1 else None


def first_host(nodes: str) -> str:
    """The first host of a list as SLURM writes it.

    >>> first_host("gpu[07-09,12],cpu1")
    'gpu07'
    >>> first_host("node3,node5")
    'node3'
    """
    prefix, bracket, rest = nodes.partition("[")
    if not bracket or "," in prefix:
        return nodes.partition(",")[0]
    return prefix + re.split("[-,\\]]", rest, maxsplit=1)[0]


@contextmanager
def join_processes(device_name: str) -> Generator[Place]:
    """The place of this process in the run that torchrun or srun started, or of a single
    process.
    """
    launched = launch(os.environ)
    if launched is None:
        yield Place(0, 1, pick_device(device_name))
        return
    if device_name != "cpu" and torch.cuda.is_available():
        # srun may show every process all GPUs of a node, or only its own; nothing must be opened on
        # another's before
        torch.cuda.set_device(launched.local_rank % torch.cuda.device_count())
    device = pick_device(device_name)
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=launched.init_method,
        rank=launched.rank,
        world_size=launched.world_size,
        timeout=timedelta(hours=24),
    )
    try:
        yield Place(launched.rank, launched.world_size, device)
    finally:
        distributed.destroy_process_group()
