"""Running out of memory ends a command with a message, not a traceback."""

import pytest
import torch

from restore.cli.main import main


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def too_little(*_):
    raise MemoryError


@pytest.mark.parametrize("failing", [out_of_memory, too_little])
def test_any_command_ends_with_a_message(monkeypatch, capsys, failing):
    monkeypatch.setattr("restore.cli.inspect.run", failing)
    assert main(["inspect", "a.star"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Memory ran out.") and len(message.splitlines()) == 1


def test_training_names_the_options_that_need_less(make_patches, monkeypatch, capsys):
    path = make_patches(shapes=((32, 32),) * 2)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr("restore.training.loop._step", out_of_memory)
    options = "--steps 1 --batch_size 1 --patch_px 16 --filters 4 --from_scratch --device cpu"
    assert main(["train", "-t", path.name, *options.split()]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "memory ran out. Give a smaller --batch_size or --patch_px, or --gradient_checkpointing."
    )
