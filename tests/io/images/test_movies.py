"""Movies frame by frame: every format and mode, the way up that RELION has them, and what is wrong
with a file.
"""

import bz2
import gzip
import logging
import struct
import sys
import tracemalloc

import mrcfile
import numpy as np
import pytest
import tifffile
from half_byte_movie import half_bytes
from relion_movies import relion_sum, still_scene

from restore.errors import UserError
from restore.io.images.movies import read_frames, read_movie_header

SHAPE = (96, 128)
FRAMES = np.random.default_rng(3).integers(0, 16, (5, *SHAPE)).astype("u1")
ALIKE = np.repeat(still_scene(SHAPE)[None], 5, axis=0)


def mrcs(path, frames=FRAMES, **more):
    with mrcfile.new(path, frames, overwrite=True, **more) as file:
        file.set_image_stack()
        file.voxel_size = 0.7
    return path


def tiff(path, frames=FRAMES, **more):
    tifffile.imwrite(path, frames, **({"photometric": "minisblack"} | more))
    return path


def test_the_frames_of_an_mrc_movie_come_in_order_as_stored(tmp_path):
    path = mrcs(tmp_path / "µ 1.mrcs", FRAMES.astype("f4"))
    header, frames = read_movie_header(path), list(read_frames(path))
    assert (header.frames, header.shape, header.format, header.dtype) == (
        5,
        SHAPE,
        "MRC",
        np.float32,
    )
    assert header.pixel_size_A == pytest.approx(0.7)
    assert np.array_equal(frames, FRAMES)
    assert all(
        frame.dtype == np.float32 and frame.flags.c_contiguous and frame.flags.writeable
        for frame in frames
    )


@pytest.mark.parametrize("kind", ["i1", "i2", "f4", "u2", "f2", ">i2", ">f4", ">u2", ">f2"])
@pytest.mark.parametrize("ending", [".mrc", ".mrcs.gz", ".MRC.bz2"])
def test_every_mode_byte_order_and_packing_of_an_mrc_movie_is_read(tmp_path, kind, ending):
    packing = {".gz": "gzip", "bz2": "bzip2"}.get(ending[-3:])
    path = mrcs(tmp_path / f"a{ending}", FRAMES.astype(kind), compression=packing)
    assert read_movie_header(path).frames == 5
    assert np.array_equal(list(read_frames(path)), FRAMES)


@pytest.mark.parametrize("columns", [128, 127])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_of_four_bits_are_unpacked(tmp_path, columns, order):
    path = half_bytes(tmp_path / "a.mrcs", FRAMES[..., :columns], order)
    assert read_movie_header(path).shape == (96, columns)
    assert np.array_equal(list(read_frames(path)), FRAMES[..., :columns])


def test_an_extended_header_and_bytes_at_the_end_are_left_alone(tmp_path, caplog):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path, FRAMES.astype("i2")) as file:
        file.set_extended_header(np.zeros(700, "u1"))
    path.write_bytes(path.read_bytes() + b"extra!")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(list(read_frames(path)), FRAMES)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: there are 6 bytes after the last frame; they are not used"
    ]


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "f4", "u4", "f2"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
def test_the_pages_of_a_tiff_movie_come_in_order_upside_down(tmp_path, kind, compression):
    path = tiff(tmp_path / "a.tif", FRAMES.astype(kind), compression=compression)
    header, frames = read_movie_header(path), list(read_frames(path))
    assert (header.frames, header.shape, header.format, header.dtype) == (
        5,
        SHAPE,
        "TIFF",
        np.dtype(kind),
    )
    assert header.pixel_size_A is None
    assert np.array_equal(frames, FRAMES[:, ::-1])
    assert all(frame.dtype == np.float32 and frame.flags.c_contiguous for frame in frames)


@pytest.mark.parametrize(
    "more", [{"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 1}, {"predictor": True}]
)
def test_a_tiff_movie_may_be_laid_out_in_any_way(tmp_path, more):
    path = tiff(tmp_path / "a.tiff", FRAMES.astype("u2"), compression="lzw", **more)
    assert np.array_equal(list(read_frames(path)), FRAMES[:, ::-1])


def test_a_movie_of_thousands_of_pages_is_counted_without_reading_it(tmp_path):
    path = tiff(tmp_path / "a.tif", np.zeros((3000, 8, 8), "u1"), compression="lzw")
    assert read_movie_header(path).frames == 3000
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert read_movie_header(path).frames == 3000
    with pytest.raises(UserError, match="damaged"):
        next(read_frames(path))


@pytest.mark.parametrize("kind", ["i1", "i2", "f4", "u2", ">i2", ">f4"])
def test_relion_sums_an_mrc_movie_to_what_our_frames_sum_to(tmp_path, kind):
    path = mrcs(tmp_path / "a.mrcs", ALIKE.astype(kind))
    assert np.allclose(relion_sum(path), np.sum(list(read_frames(path)), 0), atol=1e-3)


def test_relion_has_pixels_of_four_bits_as_we_have_them(tmp_path):
    path = half_bytes(
        tmp_path / "a.mrcs", np.repeat(still_scene(SHAPE, top=15)[None], 5, axis=0).astype("u1")
    )
    assert np.allclose(relion_sum(path), np.sum(list(read_frames(path)), 0), atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "compression"), [("u1", "lzw"), ("i1", "deflate"), ("u2", None), ("f4", "lzw")]
)
def test_relion_has_the_rows_of_a_tiff_movie_as_we_have_them(tmp_path, kind, compression):
    path = tiff(tmp_path / "a.tif", ALIKE.astype(kind), compression=compression)
    ours = np.sum(list(read_frames(path)), 0)
    assert np.allclose(relion_sum(path), ours, atol=1e-3)
    assert np.abs(ours - ours[::-1]).max() > 100


@pytest.mark.parametrize("ending", [".mrcs", ".mrcs.gz", ".tif"])
def test_one_frame_or_two_are_in_memory(tmp_path, ending):
    frames = np.random.default_rng(0).integers(0, 50, (24, 256, 256)).astype("u2")
    path = tmp_path / f"a{ending}"
    if ending == ".tif":
        tiff(path, frames, compression="lzw")
    else:
        mrcs(path, frames, compression="gzip" if ending.endswith("gz") else None)
    for _ in read_frames(path):
        pass
    tracemalloc.start()
    try:
        for _ in read_frames(path):
            pass
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5 * 4 * 256 * 256 < frames.nbytes / 2


def refused(path, words):
    with pytest.raises(UserError, match=words):
        for _ in read_frames(path):
            pass


def test_a_single_image_is_no_movie(tmp_path):
    mrcfile.write(tmp_path / "a.mrc", FRAMES[0].astype("f4"))
    tiff(tmp_path / "a.tif", FRAMES[0])
    for name in "a.mrc", "a.tif":
        with pytest.raises(
            UserError, match=rf"{name}: it holds a single image\. A movie of two frames or more"
        ):
            read_movie_header(tmp_path / name)


def test_another_format_and_a_missing_movie_are_refused(tmp_path):
    refused(
        tmp_path / "a.dm4",
        r'"\.dm4" is not the ending of a movie\. MRC, TIFF and EER movies \(\.mrc, .*\.eer\)',
    )
    for name in "a.mrcs", "a.tif", "a.eer", "a.mrc.gz":
        refused(tmp_path / name, f"{name}: there is no such file")
    (tmp_path / "text.tif").write_bytes(b"some text " * 200)
    refused(tmp_path / "text.tif", "it is not a TIFF file")
    (tmp_path / "text.mrcs").write_bytes(b"some text " * 200)
    refused(tmp_path / "text.mrcs", "not that of an MRC file")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_an_mrc_movie_that_is_cut_short_is_refused_before_its_pixels_are_read(tmp_path, part):
    path = mrcs(tmp_path / "a.mrcs", FRAMES.astype("i2"))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(
        UserError,
        match=r"cut short: it has \d+ bytes of 123904\. Its header says 5 frames of 128 x 96",
    ):
        read_movie_header(path)


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_packed_movie_that_is_cut_short_is_refused_when_its_end_is_wanted(tmp_path, ending, pack):
    content = mrcs(tmp_path / "a.mrcs", FRAMES.astype("i2")).read_bytes()
    path = tmp_path / f"a.mrcs{ending}"
    path.write_bytes(pack(content)[:-40])
    refused(path, "cut short")
    path.write_bytes(pack(content[:-40]))
    refused(path, "only 12268 of 12288 pixels could be read")


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("paged", ["together", "apart"])
def test_a_tiff_movie_that_is_cut_short_is_refused(tmp_path, compression, part, paged):
    noise = np.random.default_rng(1).integers(0, 999, (8, 40, 40)).astype("u2")
    path = tmp_path / "a.tif"
    if paged == "together":
        tiff(path, noise, compression=compression)
    else:
        for frame in noise:
            tiff(path, frame, compression=compression, append=True, metadata=None)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    refused(path, r"a\.tif.*(cut short|not a TIFF file)")


def test_frames_unlike_the_first_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif")
    tiff(path, FRAMES[0, :50], append=True)
    refused(
        path, r"a\.tif, page 6: it has 128 x 50 pixels of type uint8\. The first page has 128 x 96"
    )


def test_a_shape_that_no_camera_has_is_refused_before_memory_is_asked_for(tmp_path):
    path = tiff(tmp_path / "a.tif", compression="lzw")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(2**31, dtype="I")
    with pytest.raises(
        UserError, match=r"it says that it has 128 x 2147483648 pixels\. The file is damaged"
    ):
        read_movie_header(path)


@pytest.mark.parametrize("ending", [".mrcs", ".tif"])
def test_a_frame_that_holds_no_numbers_is_named(tmp_path, ending):
    frames = FRAMES.astype("f4")
    frames[2, 3, 4] = np.inf
    path = tmp_path / f"a{ending}"
    if ending == ".tif":
        tiff(path, frames)
    else:
        with pytest.warns(RuntimeWarning):
            mrcs(path, frames)
    refused(path, "frame 3: 1 of its 12288 pixels are NaN or infinite")


def test_without_tifffile_the_cure_is_named_and_mrc_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHIHIIHI", b"II", 42, 8, 0, 0, 0, 0, 0))
    refused(tmp_path / "a.tif", r"tifffile is not installed.*pip install tifffile imagecodecs")
    assert len(list(read_frames(mrcs(tmp_path / "a.mrcs", FRAMES.astype("i2"))))) == 5
