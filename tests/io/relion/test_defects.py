"""Files of a camera's defects, as RELION 3.1.3 reads them."""

import logging

import mrcfile
import numpy as np
import pytest
import tifffile

from restore.errors import UserError
from restore.io.relion.defects import read_defects

SHAPE = (6, 8)


def rectangles(folder, text):
    path = folder / "defects.txt"
    path.write_text(text)
    return path


def test_rectangles_are_x_y_width_height_and_may_reach_beyond_the_frame(tmp_path):
    expected = np.zeros(SHAPE, bool)
    expected[1:3, 4:8] = expected[:, 0] = True
    for text in (
        "4 1 9 2\n\n0 -2 1 50\n",
        "4 1 4 2 0 0 1 6",
        "# of the K3\n4 1 4 2  # a block\n-3 0 4 6",
    ):
        assert np.array_equal(read_defects(rectangles(tmp_path, text), SHAPE), expected)
    assert not read_defects(rectangles(tmp_path, "-5 1 2 2\n9 9 3 3\n"), SHAPE).any()
    assert not read_defects(rectangles(tmp_path, ""), SHAPE).any()


def test_a_map_marks_bad_pixels_by_any_value_but_zero(tmp_path):
    values = np.zeros(SHAPE, np.float32)
    values[1, 2:5] = 0.3, 1, -1
    mrcfile.write(tmp_path / "map.mrc", values)
    assert np.array_equal(read_defects(tmp_path / "map.mrc", SHAPE), values != 0)
    tifffile.imwrite(tmp_path / "map.tif", values, photometric="minisblack")
    assert np.array_equal(read_defects(tmp_path / "map.tif", SHAPE), values[::-1] != 0)


def test_what_is_no_file_of_defects_is_refused_with_its_place(tmp_path):
    with pytest.raises(UserError, match=r"defects\.txt, line 2: it is \"10 bad pixels\""):
        read_defects(rectangles(tmp_path, "4 1 4 2\n10 bad pixels\n"), SHAPE)
    with pytest.raises(UserError, match=r"it holds 3 numbers\. Each rectangle"):
        read_defects(rectangles(tmp_path, "4 1 4\n"), SHAPE)
    mrcfile.write(tmp_path / "map.mrc", np.zeros((8, 6), np.float32))
    with pytest.raises(UserError, match=r"it has 6 x 8 pixels\. A map .* with 8 x 6 is needed"):
        read_defects(tmp_path / "map.mrc", SHAPE)
    with pytest.raises(UserError, match="there is no such file"):
        read_defects(tmp_path / "none.txt", SHAPE)


def test_serial_ems_file_is_ignored_with_one_warning(tmp_path, caplog):
    path = rectangles(tmp_path, "CameraSizeX 8\nCameraSizeY 6\nBadColumns 1 2\n")
    with caplog.at_level(logging.WARNING):
        assert not any(read_defects(path, SHAPE).any() for _ in range(3))
    assert caplog.text.count("was written by SerialEM, and is not read") == 1
