"""Maps and stacks: which is which, and every way in which they are broken."""

import logging
import warnings

import mrcfile
import numpy as np
import pytest

from restore.errors import UserError
from restore.io.images.maps import read_map, read_map_header, write_map

DATA = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def stored(path, data=DATA, voxel_A=1.5, change=lambda file: None):
    with (
        warnings.catch_warnings(action="ignore"),
        mrcfile.new(path, data, overwrite=True) as file,
    ):  # of NaN
        file.voxel_size = voxel_A
        change(file)
    return path


def relions_way(file):
    file.header.ispg, file.header.mz = 0, file.header.nz


def test_what_is_a_stack_and_what_a_volume(tmp_path):
    volume, stack = (1, 3, 4, 5), (3, 1, 4, 5)
    written = {
        "by_relion.mrc": (relions_way, volume),
        "volume.mrc": (lambda file: file.set_volume(), volume),
        "stack.mrc": (lambda file: file.set_image_stack(), stack),
        "volume.mrcs": (lambda file: file.set_volume(), stack),
    }
    for name, (change, shape) in written.items():
        path = stored(tmp_path / name, change=change)
        assert read_map_header(path).shape == shape, name
        assert (
            read_map_header(path, "stack").shape == stack
            and read_map_header(path, "volume").shape == volume
        )
        header = read_map_header(path)
        assert np.array_equal(read_map(header), DATA.reshape(shape))
        assert header.voxel_size_zyx_A == pytest.approx((1.5, 1.5, 1.5))


def test_one_image_is_one_volume_of_one_section_under_any_name(tmp_path):
    for name in ("a.mrc", "a.mrcs"):
        assert read_map_header(stored(tmp_path / name, DATA[:1])).shape == (1, 1, 4, 5)


@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f2", ">i2", ">f4"])
def test_every_mode_and_byte_order_reads_as_float32(tmp_path, kind):
    voxels = read_map(read_map_header(stored(tmp_path / "a.mrc", DATA.astype(kind))))
    assert voxels.dtype == np.dtype("=f4") and np.array_equal(voxels[0], DATA)


def test_each_axis_has_its_voxel_size_and_a_wrong_one_is_none(tmp_path):
    assert read_map_header(stored(tmp_path / "a.mrc", voxel_A=(1, 2, 3))).voxel_size_zyx_A == (
        3,
        2,
        1,
    )
    assert read_map_header(stored(tmp_path / "a.mrc", voxel_A=0)).voxel_size_zyx_A is None


def test_broken_files_are_refused_with_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="all of its voxels are 2"):
        read_map(read_map_header(stored(tmp_path / "a.mrc", np.full_like(DATA, 2))))
    for bad in (np.nan, np.inf):
        with pytest.raises(
            UserError,
            match="1 of its voxels are NaN or infinite, first in section 1 at row 2, column 3",
        ):
            read_map(
                read_map_header(
                    stored(tmp_path / "a.mrc", np.where(DATA == 33, np.float32(bad), DATA))
                )
            )
    with pytest.raises(UserError, match="it holds several volumes"):
        read_map_header(stored(tmp_path / "a.mrc", DATA[None]))
    with pytest.raises(UserError, match="its pixels are of mode 4"):
        read_map_header(stored(tmp_path / "a.mrc", DATA.astype("c8")))
    path = stored(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"cut short: it has 1260 bytes of 1264.*5 x 4 x 3 voxels"):
        read_map_header(path)


def test_extra_bytes_are_warned_of(tmp_path, caplog):
    path = stored(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes() + b"extra!")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_map(read_map_header(path))[0], DATA)
    assert "there are 6 bytes after the voxels" in caplog.text


def test_a_written_map_reads_back_here_and_by_mrcfile(tmp_path):
    path, label = tmp_path / "new" / "map.mrc", "restore makes a map"
    write_map(path, DATA.astype(np.float64), (1.0, 1.5, 2.0), (-4.5, 0.0, 12.25), [label])
    header = read_map_header(path)
    assert header.shape == (1, 3, 4, 5) and header.labels == (label,)
    assert header.voxel_size_zyx_A == pytest.approx((1.0, 1.5, 2.0))
    assert header.origin_zyx_A == (-4.5, 0.0, 12.25)
    assert np.array_equal(read_map(header)[0], DATA)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as file:
        assert file.is_volume() and float(file.header.rms) == pytest.approx(DATA.std())


def test_what_is_no_volume_of_numbers_is_not_written(tmp_path):
    with pytest.raises(UserError, match="1 of the 60 values to be written are not finite"):
        write_map(tmp_path / "a.mrc", np.where(DATA == 7, np.inf, DATA), 1.5)
    with pytest.raises(ValueError, match="one volume"):
        write_map(tmp_path / "a.mrc", DATA[0], 1.5)
    assert not (tmp_path / "a.mrc").exists()


def test_the_origin_is_that_of_the_header_or_else_the_start_of_the_grid(tmp_path):
    def starts(file):
        file.header.nxstart, file.header.nystart, file.header.nzstart = -2, 4, 6

    def both(file):
        starts(file)
        file.header.origin.x = 9.0

    assert read_map_header(stored(tmp_path / "a.mrc")).origin_zyx_A == (0, 0, 0)
    assert read_map_header(
        stored(tmp_path / "a.mrc", voxel_A=(1, 2, 3), change=starts)
    ).origin_zyx_A == (18, 8, -2)
    assert read_map_header(stored(tmp_path / "a.mrc", change=both)).origin_zyx_A == (0, 0, 9)


def test_a_volume_whose_axes_are_stored_in_another_order_is_refused(tmp_path):
    def turned(file):
        file.header.mapc, file.header.maps = 3, 1

    def unsaid(file):
        file.header.mapc = file.header.mapr = file.header.maps = 0

    with pytest.raises(UserError, match="its columns, rows and sections run along z, y, x"):
        read_map_header(stored(tmp_path / "a.mrc", change=turned))
    assert read_map_header(stored(tmp_path / "a.mrc", change=unsaid)).shape == (1, 3, 4, 5)
    assert read_map_header(stored(tmp_path / "a.mrc", change=turned), "stack").shape == (3, 1, 4, 5)
