"""Files appear whole or not at all."""

import errno

import pytest

from restore.errors import UserError
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
