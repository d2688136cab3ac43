"""Alone or one of many, and on which device."""

import pytest
import torch

from restore.errors import UserError
from restore.processes import Place, join_processes, pick_device


def test_a_process_that_torchrun_did_not_start_is_alone_and_leads(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("cpu") as place:
        assert place == Place(0, 1, torch.device("cpu"))
        assert place.leads
        assert place.agree(2.5) == 2.5
        place.wait()
    assert not torch.distributed.is_initialized()


def test_a_world_of_one_under_torchrun_is_alone_too(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with join_processes("cpu") as place:
        assert place.world_size == 1


def test_only_the_first_process_leads():
    assert not Place(1, 2, torch.device("cpu")).leads


def test_auto_is_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:77", ""])
def test_a_device_that_cannot_be_used_is_named_with_the_way_out(name):
    with pytest.raises(UserError, match=rf"the device '{name}' cannot be used.*--device cpu"):
        pick_device(name)
