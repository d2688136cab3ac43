"""MRC files: every mode that a camera leaves, and every way in which they are broken."""

import logging
import shutil
import struct
import subprocess

import mrcfile
import numpy as np
import pytest
from folders import SHARED

from restore.errors import UserError
from restore.io.images.mrc import mrc_labels, read_mrc, read_mrc_header, write_mrc

DATA = np.arange(15, dtype=np.float32).reshape(3, 5)


def stored(path, data, pixel_size_A=1.25):
    with mrcfile.new(path, data, overwrite=True) as file:
        file.voxel_size = pixel_size_A
    return path


def patched(path, offset, layout, *values):
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["i1", "i2", "f4", "u2", "f2", ">i2", ">f4", ">u2", ">f2"])
def test_every_mode_and_byte_order_reads_as_float32(tmp_path, kind):
    data, pixel_size_A = read_mrc(stored(tmp_path / "a.mrc", DATA.astype(kind)))
    assert data.dtype == np.dtype("=f4") and data.flags.c_contiguous and data.flags.writeable
    assert np.array_equal(data, DATA)
    assert pixel_size_A == pytest.approx(1.25)


def test_what_mrcfile_reads_is_what_we_read(tmp_path):
    data = np.random.default_rng(1).integers(-3000, 3000, (17, 31)).astype("i2")
    path = stored(tmp_path / "a.mrc", data)
    with mrcfile.open(path) as file:
        assert np.array_equal(read_mrc(path)[0], file.data)


def test_a_wrong_machine_stamp_does_not_matter(tmp_path):
    path = patched(stored(tmp_path / "a.mrc", DATA), 212, "4B", 0x11, 0x11, 0, 0)
    assert np.array_equal(read_mrc(path)[0], DATA)
    patched(path, 212, "4B", 0, 0, 0, 0)
    assert np.array_equal(read_mrc(path)[0], DATA)


def test_unsigned_bytes_of_imod_are_unsigned(tmp_path):
    path = stored(tmp_path / "a.mrc", np.full((2, 2), -1, "i1"))
    assert read_mrc(path)[0].max() == -1
    assert read_mrc(patched(path, 152, "<ii", 1146047817, 0))[0].min() == 255
    assert read_mrc(patched(path, 152, "<ii", 1146047817, 1))[0].max() == -1


def test_an_extended_header_is_stepped_over(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc", DATA) as file:
        file.set_extended_header(np.frombuffer(b"x" * 320, "V1"))
    assert np.array_equal(read_mrc(tmp_path / "a.mrc")[0], DATA)


def test_a_stack_of_one_is_an_image_and_of_more_is_refused(tmp_path):
    assert read_mrc(stored(tmp_path / "one.mrcs", DATA[None]))[0].shape == (3, 5)
    with pytest.raises(UserError, match="it is a stack of 4 images"):
        read_mrc(stored(tmp_path / "four.mrcs", np.stack([DATA] * 4)))


def test_a_truncated_file_is_refused_with_both_sizes(tmp_path):
    path = stored(tmp_path / "a.mrc", DATA)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(
        UserError, match=r"a\.mrc: the file is cut short: it has 1076 bytes of 1084"
    ):
        read_mrc(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="it has 100 bytes"):
        read_mrc_header(path)


def test_extra_bytes_are_warned_of_and_left_alone(tmp_path, caplog):
    path = stored(tmp_path / "a.mrc", DATA)
    path.write_bytes(path.read_bytes() + b"extra!")
    with caplog.at_level(logging.WARNING):
        data, _ = read_mrc(path)
    assert np.array_equal(data, DATA)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: there are 6 bytes after the image; they are not used"
    ]


def test_what_is_no_mrc_file_or_of_another_mode_is_refused(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(b"some text " * 200)
    with pytest.raises(UserError, match="its header is not that of an MRC file"):
        read_mrc(path)
    with pytest.raises(UserError, match="its pixels are of mode 4"):
        read_mrc(stored(path, DATA.astype("c8")))
    with pytest.raises(UserError, match=r"none\.mrc: there is no such file"):
        read_mrc(tmp_path / "none.mrc")
    with pytest.raises(UserError, match="cannot be read"):
        read_mrc(tmp_path)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_voxel_size_that_cannot_be_is_none(tmp_path, bad):
    path = patched(stored(tmp_path / "a.mrc", DATA), 40, "<3f", bad, bad, bad)
    assert read_mrc(path)[1] is None


def test_each_axis_has_its_own_pixel_size(tmp_path):
    write_mrc(tmp_path / "a.mrc", DATA, (2.0, 2.01))
    header = read_mrc_header(tmp_path / "a.mrc")
    assert header.pixel_size_yx_A == pytest.approx((2.0, 2.01))
    assert header.pixel_size_A == pytest.approx(2.005)
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert (file.voxel_size.x, file.voxel_size.y) == pytest.approx((2.01, 2.0))
    write_mrc(tmp_path / "b.mrc", DATA, (2.0, 3.0))
    assert read_mrc_header(tmp_path / "b.mrc").pixel_size_A is None


@pytest.mark.parametrize(("dtype", "mode"), [("float32", 2), ("float16", 12)])
def test_what_is_written_is_valid_and_read_back(tmp_path, dtype, mode):
    labels = ["restore 0.1", "model été", "x" * 100]
    write_mrc(tmp_path / "my mic é.mrc", DATA, 0.885, labels, dtype)
    data, pixel_size_A = read_mrc(tmp_path / "my mic é.mrc")
    assert np.array_equal(data, DATA) and pixel_size_A == pytest.approx(0.885)
    assert read_mrc_header(tmp_path / "my mic é.mrc").shape == (3, 5)
    assert mrc_labels(tmp_path / "my mic é.mrc") == ["restore 0.1", "model ?t?", "x" * 80]
    assert mrcfile.validate(tmp_path / "my mic é.mrc")
    with mrcfile.open(tmp_path / "my mic é.mrc") as file:
        assert file.header.mode == mode
        stats = [float(file.header[name]) for name in ("dmin", "dmax", "dmean", "rms")]
        assert stats == pytest.approx([0, 14, 7, DATA.std()])


def test_writing_gives_the_same_bytes_each_time(tmp_path):
    for name in "ab":
        write_mrc(tmp_path / name, DATA.astype(np.float64), 1.0, ["l"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_image_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mrc"
    write_mrc(path, DATA, 1.0)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"1 of the 15 values .* float16.*write float32"):
        write_mrc(path, np.where(DATA == 3, np.float32(1e6), DATA), 1.0, dtype="float16")
    with pytest.raises(UserError, match="15 of the 15 values"):
        write_mrc(path, DATA * np.float32("nan"), 1.0)
    with pytest.raises(ValueError, match="11 labels"):
        write_mrc(path, DATA, 1.0, ["l"] * 11)
    assert path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["a.mrc"]


def test_the_real_halves_sum_to_the_whole():
    folder = SHARED / "k2"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    full, even, odd = (
        read_mrc(folder / f"k2_field1_{name}.mrc")[0] for name in ("DW", "EVN", "ODD")
    )
    assert full.shape == read_mrc_header(folder / "k2_field1_DW.mrc").shape == (3838, 3710)
    assert full.max() == 437
    assert np.array_equal(even + odd, full)
    assert read_mrc_header(folder / "k2_field1_DW.mrc").pixel_size_A == pytest.approx(
        0.85378, rel=1e-4
    )


def test_relion_reads_what_we_write(tmp_path):
    program = shutil.which("relion_image_handler")
    if program is None:
        pytest.skip("relion_image_handler is not installed")
    data = np.random.default_rng(2).normal(5, 2, (64, 48)).astype(np.float32)
    write_mrc(tmp_path / "a.mrc", data, 0.885, ["restore"])
    out = subprocess.run(
        [program, "--i", str(tmp_path / "a.mrc"), "--stats"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(x,y,z,n)= 48 x 64 x 1 x 1" in out.stdout
    words = out.stdout.replace("=", " ").split()
    assert float(words[words.index("avg") + 1]) == pytest.approx(data.mean(), rel=1e-3)
    assert float(words[words.index("stddev") + 1]) == pytest.approx(data.std(), rel=1e-3)


@pytest.mark.parametrize(("kind", "order"), [("u1", "<"), ("u2", "<"), ("u2", ">")])
def test_unsigned_numbers_under_a_signed_mode_are_known_by_the_headers_statistics(
    tmp_path, kind, order
):
    most = np.iinfo(kind).max
    data = np.array([[3, most // 2 + 1], [most // 2, most]], kind)
    signed = data.view(f"i{kind[1]}").astype(f"{order}i{kind[1]}")
    path = stored(tmp_path / "a.mrc", signed)
    assert np.array_equal(read_mrc(path)[0], signed.astype("f4"))
    patched(path, 76, f"{order}2f", 3.0, float(most))
    assert np.array_equal(read_mrc(path)[0], data.astype("f4"))


@pytest.mark.parametrize("statistics", [(0.0, -1.0), (0.0, 127.0), (-5.0, 200.0), (0.0, 1e9)])
def test_signed_bytes_stay_signed_where_the_statistics_say_nothing_else(tmp_path, statistics):
    data = np.array([[-3, 100], [5, -128]], "i1")
    path = patched(stored(tmp_path / "a.mrc", data), 76, "<2f", *statistics)
    assert np.array_equal(read_mrc(path)[0], data.astype("f4"))
