"""EER movies: known electrons, by our own writer of the published format, and RELION's rendering of
the same files.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from eer_example import COMPRESSIONS, counted, random_electrons, write_eer

from restore.errors import UserError
from restore.io.images.movies import EERSettings, read_frames, read_movie_header

SHAPE = (40, 48)


def electrons(count, per_frame=60, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return [random_electrons(rng, shape, per_frame) for _ in range(count)]


def grouped(frames, fraction, shape=SHAPE, upsampling=1):
    whole = len(frames) // fraction * fraction
    return [
        counted(frames[at : at + fraction], shape, upsampling) for at in range(0, whole, fraction)
    ]


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("upsampling", [1, 2])
@pytest.mark.parametrize("fraction", [1, 3])
def test_every_electron_is_where_it_was_put(tmp_path, compression, upsampling, fraction):
    frames, settings = electrons(10), EERSettings(fraction, upsampling)
    path = write_eer(tmp_path / "µ 1.eer", frames, SHAPE, compression)
    expected = grouped(frames, fraction, upsampling=upsampling)
    header, images = read_movie_header(path, settings), list(read_frames(path, settings))
    assert (header.frames, header.shape) == (len(expected), expected[0].shape)
    assert header.format == "EER" and header.pixel_size_A is None
    assert np.array_equal(images, expected) and images[0].dtype == np.float32


def test_a_trailing_group_that_is_not_whole_is_left_out(tmp_path):
    path = write_eer(tmp_path / "a.eer", electrons(11), SHAPE)
    assert [read_movie_header(path, EERSettings(count)).frames for count in (2, 3, 4, 5)] == [
        5,
        3,
        2,
        2,
    ]
    assert len(list(read_frames(path, EERSettings(4)))) == 2


def test_electrons_in_the_first_and_the_last_pixel_and_frames_without_any_are_right(tmp_path):
    corners = np.array([[0, 0, 0, 3], [SHAPE[0] - 1, SHAPE[1] - 1, 3, 0]])
    none = np.zeros((0, 4), int)
    full = np.array([[y, x, 1, 2] for y in range(SHAPE[0]) for x in range(SHAPE[1])])
    frames = [corners, none, full, corners[1:]]
    path = write_eer(tmp_path / "a.eer", frames, SHAPE)
    for upsampling in 1, 2:
        images = list(read_frames(path, EERSettings(1, upsampling)))
        assert np.array_equal(images, grouped(frames, 1, upsampling=upsampling))


def test_a_page_with_the_sum_of_all_frames_is_none_of_them(tmp_path):
    frames = electrons(6)
    path = write_eer(tmp_path / "a.eer", frames, SHAPE, summed=True)
    assert np.array_equal(list(read_frames(path, EERSettings(2))), grouped(frames, 2))


def test_a_frame_in_several_strips_is_one_stream(tmp_path):
    frames = electrons(6)
    path = write_eer(tmp_path / "a.eer", frames, SHAPE, strips=3)
    assert np.array_equal(list(read_frames(path, EERSettings(2))), grouped(frames, 2))


@pytest.mark.parametrize(("upsampling", "strips"), [(1, 1), (2, 1), (1, 4)])
def test_relion_renders_the_same_frames(tmp_path, upsampling, strips):
    program = shutil.which("relion_convert_to_tiff")
    if program is None:
        pytest.skip("relion_convert_to_tiff is not installed")
    shape = (4096, 4096)  # RELION reads no others
    path = write_eer(tmp_path / "a.eer", electrons(5, 3000, shape), shape, strips=strips)
    options = ["--eer_grouping", "2", "--eer_upsampling", str(upsampling), "--compression", "none"]
    subprocess.run(
        [program, "--i", "a.eer", "--o", "tiff/", *options],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    theirs, ours = (
        read_frames(tmp_path / "tiff" / "a.tif"),
        read_frames(path, EERSettings(2, upsampling)),
    )
    same = [np.array_equal(*pair) for pair in zip(theirs, ours, strict=True)]
    assert same == [True, True]


def refused(path, words, settings=EERSettings(2)):  # noqa: B008
    with pytest.raises(UserError, match=words):
        for _ in read_frames(path, settings):
            pass


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_movie_that_is_cut_short_is_refused(tmp_path, part):
    path = write_eer(tmp_path / "a.eer", electrons(8), SHAPE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    refused(path, r"a\.eer.*(cut short|not a TIFF file)")


def test_too_few_frames_and_no_electrons_are_refused(tmp_path):
    path = write_eer(tmp_path / "a.eer", electrons(5), SHAPE)
    refused(path, "it holds no whole frame.*: sum fewer than 9 hardware frames", EERSettings(9))
    refused(path, "it holds a single image.*: sum fewer than 4 hardware frames", EERSettings(4))
    import tifffile

    tifffile.imwrite(tmp_path / "b.eer", np.zeros((5, 8, 8), "u1"), photometric="minisblack")
    refused(tmp_path / "b.eer", "there are no electrons in it")


def test_damaged_codes_are_refused(tmp_path):
    path = write_eer(tmp_path / "a.eer", electrons(4), SHAPE)
    content = bytearray(path.read_bytes())
    content[16:48] = b"\xff" * 32  # skips that lead beyond the last pixel
    path.write_bytes(content)
    refused(path, r"a\.eer: the file is damaged or cut short")


def test_settings_that_cannot_be_are_refused():
    for fraction, upsampling in (0, 1), (40, 0), (40, 3), (40, 4):
        with pytest.raises(UserError, match="upsampling is by 1 or 2"):
            EERSettings(fraction, upsampling)


def test_without_imagecodecs_or_with_an_old_one_the_cure_is_named(tmp_path, monkeypatch):
    path = write_eer(tmp_path / "a.eer", electrons(4), SHAPE)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    refused(path, r"imagecodecs is not installed.*pip install tifffile imagecodecs")
    monkeypatch.setitem(sys.modules, "imagecodecs", SimpleNamespace(__version__="2024.6.1"))
    refused(
        path,
        r"imagecodecs 2024\.6\.1 is too old.*2025\.11 or newer: run: pip install --upgrade",
    )
    monkeypatch.setitem(sys.modules, "tifffile", None)
    refused(Path(path), "tifffile is not installed")
