"""One run at a time: a second one is refused, what a dead process left is taken over."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from restore.errors import UserError
from restore.io import lock
from restore.io.lock import Holder, locked


@pytest.fixture
def result(tmp_path):
    return tmp_path / "Models" / "model.safetensors"


def left_by(result, **known):
    """A lock file with these facts; its path comes back."""
    path = result.with_name(f".{result.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = Holder.of(os.getpid())
    path.write_text(json.dumps(vars(mine) | {"token": "a"} | known))
    return path


def test_a_second_run_of_one_name_is_refused_and_told_who_holds_it(result):
    match = rf"process {os.getpid()} on "
    with locked(result), pytest.raises(UserError, match=match) as caught, locked(result, "wait"):
        pass
    assert caught.value.where == str(result) and caught.value.do == "wait"
    assert not result.parent.exists()  # it was made for the lock


def test_a_folder_in_which_something_stands_remains(result):
    with locked(result):
        result.write_text("a model")
    assert list(result.parent.iterdir()) == [result]


def test_a_run_that_fails_gives_the_name_back(result):
    with pytest.raises(ZeroDivisionError), locked(result):
        raise ZeroDivisionError
    with locked(result):
        assert [path.name for path in result.parent.iterdir()] == [".model.safetensors.lock"]


def test_the_lock_of_a_killed_process_is_taken_over_at_once(result):
    program = (
        "import os, sys; from pathlib import Path; from restore.io.lock import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(result)], check=False, timeout=50)
    assert [path.name for path in result.parent.iterdir()] == [".model.safetensors.lock"]
    with locked(result):
        pass
    assert list(result.parent.iterdir()) == []


def test_a_number_that_another_process_has_by_now_is_not_the_holder(result):
    left_by(result, started="1")
    with locked(result):
        pass


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}'])
def test_a_damaged_lock_file_is_taken_over_when_nobody_renews_it(result, monkeypatch, text):
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.05)
    left_by(result).write_text(text)
    with locked(result):
        pass


def test_another_machines_lock_holds_as_long_as_it_is_renewed(result, monkeypatch):
    monkeypatch.setattr(lock, "_PATIENCE_S", 2.0)
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    path = left_by(result, machine="elsewhere", host="node7", pid=12)
    timer = threading.Timer(0.2, os.utime, [path, (1e9, 1e9)])
    timer.start()
    with pytest.raises(UserError, match="process 12 on node7"), locked(result):
        pass
    timer.join()
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.2)
    with locked(result):
        pass


def test_a_lock_is_renewed_while_it_is_held(result, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_S", 0.02)
    with locked(result):
        path = Path(f"{result.parent}/.{result.name}.lock")
        os.utime(path, (1e9, 1e9))
        seen = threading.Event()
        for _ in range(200):
            if path.stat().st_mtime > 1.1e9:
                seen.set()
                break
            seen.wait(0.01)
        assert seen.is_set()


def test_a_planted_link_is_not_written_through(result):
    victim = result.parent.parent / "victim"
    victim.write_text("mine")
    result.parent.mkdir()
    result.with_name(f".{result.name}.lock").symlink_to(victim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "_PATIENCE_S", 0.05)
        with locked(result):
            pass
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_one_run_at_a_time_is_allowed_all_the_same(result, monkeypatch, code):
    def no_links(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock.os, "link", no_links)
    with locked(result):
        with pytest.raises(UserError, match="is writing it"), locked(result):
            pass
        assert [path.name for path in result.parent.iterdir()] == [".model.safetensors.lock"]
    assert not result.parent.exists()
    left_by(result, started="1")
    with locked(result):
        pass
    assert list(result.parent.iterdir()) == []


@pytest.mark.parametrize("has_links", [True, False])
def test_a_lock_that_was_taken_for_a_stale_one_is_put_back(result, monkeypatch, has_links):
    def no_links(*_):
        raise PermissionError(errno.EPERM, "no")

    if not has_links:
        monkeypatch.setattr(lock.os, "link", no_links)
    path = left_by(result)
    text = path.read_text()
    lock._discard(path, "what stood there before")
    assert path.read_text() == text and list(result.parent.iterdir()) == [path]


AT_ONCE = """
import sys, time
from pathlib import Path
from restore.cli.main import main
while time.time() < float(sys.argv[1]):
    time.sleep(0.001)
sys.exit(main(sys.argv[2:]))
"""


def test_of_two_processes_that_start_at_once_with_one_prefix_one_wins(tmp_path, make_patches):
    command = ["train", "-t", str(make_patches()), "-d", str(tmp_path / "Models"), "--steps=40",
               "--filters=4", "--blocks=1", "--batch_size=2", "--patch_px=32"]  # fmt: skip
    start = str(time.time() + 12)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, start, *command],
            stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]  # fmt: skip
    messages = [process.communicate(timeout=150)[1] for process in processes]
    winner = [process.returncode for process in processes].index(0)
    assert processes[1 - winner].returncode == 1, messages[1 - winner]
    message = messages[1 - winner]
    assert "is writing it" in message or "a run called model is already there" in message
    assert "Traceback" not in "".join(messages)
    assert (tmp_path / "Models/model.safetensors").is_file()
    assert not list((tmp_path / "Models").glob(".*"))
