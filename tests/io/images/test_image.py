"""Images that cannot be used are rejected with a message."""

import errno
from pathlib import Path

import numpy as np
import pytest

from restore.errors import UserError
from restore.io.images.image import read_image, read_image_header, write_image
from restore.io.images.mrc import mrc_labels

DATA = np.arange(15, dtype=np.float32).reshape(3, 5)


def test_an_image_is_read_back_as_it_was_written(tmp_path):
    path = tmp_path / "été 1" / "my mic.mrc"
    write_image(path, DATA, 0.885, ["restore"])
    image = read_image(path)
    assert np.array_equal(image.data, DATA) and image.data.dtype == np.float32
    assert image.pixel_size_A == pytest.approx(0.885) and image.path == path
    assert read_image_header(path).shape == (3, 5)
    assert mrc_labels(path) == ["restore"]


def test_a_missing_file_is_named(tmp_path):
    for read in read_image, read_image_header:
        with pytest.raises(UserError, match=r"no mic\.mrc: there is no such file"):
            read(tmp_path / "no mic.mrc")


@pytest.mark.parametrize("name", ["a.jpg", "a.dm4", "a.gz", "a.tif.gz", "a"])
def test_another_format_is_refused_with_those_that_are_read(tmp_path, name):
    for read in read_image, read_image_header:
        with pytest.raises(
            UserError,
            match=r"MRC and TIFF images \(\.mrc, .*, \.tif, \.tiff\) are read: convert it",
        ):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tif", "a.mrc.gz", "a"])
def test_only_mrc_is_written(tmp_path, name):
    with pytest.raises(UserError, match=r"MRC images \(\.mrc, \.mrcs, \.map\) are written"):
        write_image(tmp_path / name, DATA, 1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_counted_and_placed(tmp_path, bad):
    data = DATA.copy()
    data[1, 3] = data[2, 0] = bad
    from mrcfile import new

    with pytest.warns(RuntimeWarning):
        new(tmp_path / "a.mrc", data).close()
    with pytest.raises(
        UserError, match=r"a\.mrc: 2 of its 15 pixels are NaN or infinite, first at row 1, column 3"
    ):
        read_image(tmp_path / "a.mrc")


def test_a_constant_image_is_refused(tmp_path):
    write_image(tmp_path / "a.mrc", np.full((4, 4), 7.5), 1.0)
    with pytest.raises(UserError, match=r"all of its pixels are 7\.5"):
        read_image(tmp_path / "a.mrc")


def test_a_full_disk_leaves_nothing_and_is_said(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match=r"a\.mrc: the disk is full"):
        write_image(tmp_path / "a.mrc", DATA, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match=r"a\.mrc: the file is larger than"):
            write_image(tmp_path / "a.mrc", np.random.default_rng(1).normal(size=(200, 200)), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
