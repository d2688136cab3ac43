"""Files appear whole or not at all."""

import errno
import os
import re
import subprocess
import sys
import time

import pytest

from restore.errors import UserError
from restore.io import atomic
from restore.io.atomic import replacing, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_file_takes_its_name_and_leaves_nothing_beside_it(tmp_path):
    with replacing(tmp_path / "new" / "naïve name.txt") as partial:
        partial.write_text("whole")
        assert partial.name.startswith(".") and partial.name.endswith(".partial")
        assert not (tmp_path / "new" / "naïve name.txt").exists()
    assert names(tmp_path / "new") == ["naïve name.txt"]
    assert (tmp_path / "new" / "naïve name.txt").read_text() == "whole"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_leaves_the_old_file_and_no_partial(tmp_path, failure):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(failure), replacing(target) as partial:
        partial.write_text("half")
        raise failure
    assert names(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not be written"),
    ],
)
def test_what_a_person_can_mend_is_said_with_the_final_name(tmp_path, code, words):
    target = tmp_path / "a.txt"
    with pytest.raises(UserError, match=words) as caught, replacing(target) as partial:
        partial.write_text("half")
        raise OSError(code, "no")
    assert str(caught.value).startswith(f"{target}: ")
    assert ".partial" not in str(caught.value)
    assert names(tmp_path) == []


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(PermissionError), replacing(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "input.mrc"))


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file stands where a folder is wanted"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(UserError, match="a file stands where a folder is wanted"):
        write_text(tmp_path / "file" / "deeper" / "a.txt", "x")


def test_a_folder_in_the_place_of_the_file_is_said(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match="a folder stands where the file is to go"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == ["a.txt"]


def test_line_ends_and_foreign_bytes_are_written_as_they_are(tmp_path):
    write_text(tmp_path / "a", "a\r\nb\n\udcff")
    assert (tmp_path / "a").read_bytes() == b"a\r\nb\n\xff"


def test_a_temporary_is_made_anew_under_a_name_that_nobody_knows_before(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: "0123456789abcdef")
    (tmp_path / f".a.{atomic._machine_mark()}.0123456789abcdef.partial").symlink_to(victim)
    with pytest.raises(UserError):
        write_text(tmp_path / "a", "new")
    assert victim.read_text() == "mine" and not (tmp_path / "a").exists()
    monkeypatch.undo()
    (tmp_path / f".a.{os.getpid()}.partial").symlink_to(victim)
    write_text(tmp_path / "a", "new")
    assert victim.read_text() == "mine" and (tmp_path / "a").read_text() == "new"


def test_two_temporaries_of_one_file_never_meet(tmp_path):
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        assert re.fullmatch(r"\.a\.[0-9a-f]{8}\.[0-9a-f]{16}\.partial", first.name)
        first.write_text("1")
        second.write_text("2")
    assert names(tmp_path) == ["a"]


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from restore.io.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), 9)"
    )
    target = tmp_path / "a.mrc"
    subprocess.run([sys.executable, "-c", program, str(target)], check=False, timeout=50)
    assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(".partial")
    (tmp_path / ".somebody.partial").write_text("not ours")
    with replacing(tmp_path / "b") as in_use:
        atomic._swept.clear()
        write_text(tmp_path / "c", "")
        assert names(tmp_path) == sorted([in_use.name, ".somebody.partial", "c"])


def test_what_was_left_before_the_machine_was_started_again_is_removed(tmp_path, monkeypatch):
    left = tmp_path / f".a.mrc.{atomic._machine_mark()}.0123456789abcdef.partial"
    left.write_text("half")
    monkeypatch.setattr(atomic, "boot_id", lambda: "another")
    write_text(tmp_path / "b", "")
    assert names(tmp_path) == ["b"]


def test_what_another_machine_is_writing_remains_although_its_lock_is_not_seen_here(
    tmp_path, monkeypatch
):
    mark = "0" * 8 if atomic._machine_mark() != "0" * 8 else "1" * 8
    theirs = tmp_path / f".a.mrc.{mark}.0123456789abcdef.partial"
    old_name = tmp_path / ".b.mrc.0123456789abcdef.partial"
    mine = tmp_path / f".c.mrc.{atomic._machine_mark()}.0123456789abcdef.partial"
    for path in (theirs, old_name, mine):
        path.write_text("half")
    monkeypatch.setattr(atomic, "_is_locked_now", lambda _: True)
    write_text(tmp_path / "d", "")
    assert names(tmp_path) == sorted([theirs.name, old_name.name, "d"])
    # Nobody has written to it for more than a week.
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(theirs, (week_ago, week_ago))
    atomic._swept.clear()
    write_text(tmp_path / "d", "")
    assert names(tmp_path) == sorted([old_name.name, "d"])


def test_the_permissions_are_those_of_any_new_file(tmp_path):
    write_text(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
