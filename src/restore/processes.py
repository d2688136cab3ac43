"""Which of the processes of a distributed run this is, and which device it computes on."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from restore.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Place:
    """One process of a run: its number, how many there are, and its device."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world_size > 1:
            distributed.barrier()

    def agree(self, value: float) -> float:
        """The leading process's value, in every process."""
        if self.world_size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, src=0)
        return float(shared)

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes together, in every process; they must be picklable."""
        if self.world_size == 1:
            return list(items)
        everybody: list[Any] = [None] * self.world_size
        distributed.all_gather_object(everybody, list(items))
        return [item for each in everybody for item in each]


def pick_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is a GPU where PyTorch sees one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the device {name!r} cannot be used", wanted=reason, do="try --device cpu") from None
    return device


@contextmanager
def join_processes(device_name: str) -> Generator[Place]:
    """The place of this process in the run that torchrun started, or alone where it did not."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Place(0, 1, pick_device(device_name))
        return
    device = pick_device(device_name)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(hours=24))
    try:
        yield Place(distributed.get_rank(), world_size, device)
    finally:
        distributed.destroy_process_group()
