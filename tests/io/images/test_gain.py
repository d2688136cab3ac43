"""Gain references: turned, flipped and inverted as RELION does it."""

import mrcfile
import numpy as np
import pytest
import tifffile
from eer_example import counted, random_electrons, write_eer
from relion_movies import relion_sum, still_scene

from restore.errors import UserError
from restore.io.images.movies import EERSettings, read_frames, read_gain, read_movie_header

SHAPE = (96, 128)
GAIN = np.random.default_rng(5).normal(1, 0.1, SHAPE).astype(np.float32)


def stored(path, gain=GAIN):
    if path.suffix == ".mrc":
        mrcfile.write(path, gain, overwrite=True)
    else:
        tifffile.imwrite(path, gain, photometric="minisblack")
    return path


def mrc_movie(path, shape=SHAPE):
    with mrcfile.new(path, np.repeat(still_scene(shape)[None], 5, axis=0).astype("i2")) as file:
        file.set_image_stack()
    return path


def tiff_movie(path, shape=SHAPE):
    tifffile.imwrite(
        path, np.repeat(still_scene(shape)[None], 5, axis=0).astype("u1"), photometric="minisblack"
    )
    return path


@pytest.mark.parametrize(
    ("ending", "expected"), [(".mrc", GAIN), (".tif", GAIN[::-1]), (".gain", GAIN)]
)
def test_the_rows_of_each_format_are_those_of_the_movies(tmp_path, ending, expected):
    gain = read_gain(stored(tmp_path / f"µ 1{ending}"))
    assert np.array_equal(gain, expected) and gain.dtype == np.float32 and gain.flags.c_contiguous


def test_a_rotation_is_clockwise_with_the_first_row_at_the_top_and_comes_before_the_flip(tmp_path):
    gain = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    path = stored(tmp_path / "g.mrc", gain)
    assert read_gain(path, 1).tolist() == [[4, 1], [5, 2], [6, 3]]
    assert read_gain(path, 2).tolist() == [[6, 5, 4], [3, 2, 1]]
    assert read_gain(path, 3).tolist() == [[3, 6], [2, 5], [1, 4]]
    assert read_gain(path, 0, 1).tolist() == [[4, 5, 6], [1, 2, 3]]
    assert read_gain(path, 0, 2).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert read_gain(path, 1, 1).tolist() == [[6, 3], [5, 2], [4, 1]]


@pytest.mark.parametrize("rotation", [0, 1, 2, 3])
@pytest.mark.parametrize("flip", [0, 1, 2])
def test_relion_turns_it_as_we_do(tmp_path, rotation, flip):
    path = mrc_movie(tmp_path / "a.mrcs")
    gain = stored(tmp_path / "g.mrc", GAIN if rotation % 2 == 0 else GAIN.T.copy())
    theirs = relion_sum(
        path, "--gainref", gain.name, "--gain_rot", str(rotation), "--gain_flip", str(flip)
    )
    factors = read_gain(gain, rotation, flip, read_movie_header(path))
    assert np.allclose(theirs, sum(read_frames(path)) * factors, atol=1e-2)


@pytest.mark.parametrize("movie", [mrc_movie, tiff_movie])
@pytest.mark.parametrize("ending", [".mrc", ".tif"])
def test_relion_lays_any_gain_on_any_movie_as_we_do(tmp_path, movie, ending):
    path = movie(tmp_path / ("a.tif" if movie is tiff_movie else "a.mrcs"))
    gain = stored(tmp_path / f"g{ending}")
    theirs = relion_sum(path, "--gainref", gain.name)
    assert np.allclose(theirs, sum(read_frames(path)) * read_gain(gain), atol=1e-2)


def eer_movie(path, shape=SHAPE, hardware_frames=3, count=500):
    electrons = random_electrons(np.random.default_rng(0), shape, count)
    return write_eer(path, [electrons] * hardware_frames, shape), electrons


@pytest.mark.parametrize("ending", [".mrc", ".gain"])
def test_relion_multiplies_electrons_by_a_gain_file_and_divides_them_by_others(tmp_path, ending):
    shape = (4096, 4096)  # RELION reads no other EER
    path, electrons = eer_movie(tmp_path / "a.eer", shape, 3, 100_000)
    values = np.random.default_rng(6).uniform(20, 60, shape).astype(np.float32)
    values[:1000] = 0  # zeros count in RELION's mean
    gain, settings = stored(tmp_path / f"g{ending}", values), EERSettings(1)
    theirs = relion_sum(path, "--gainref", gain.name, "--eer_grouping", "1", "--bfactor", "500")
    factors = read_gain(gain, movie=read_movie_header(path, settings))
    good = values > 0
    expected = values.mean(dtype=float) / values[good] if ending == ".mrc" else values[good]
    assert np.allclose(factors[good], expected) and not factors[~good].any()
    hit = (counted([electrons], shape) > 0) & good
    assert np.allclose(theirs[hit], 3 * factors[hit], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("upsampling", [1, 2])
def test_for_electrons_a_gain_of_half_or_twice_the_sides_is_repeated_or_averaged(
    tmp_path, upsampling
):
    path, _ = eer_movie(tmp_path / "a.eer")
    header = read_movie_header(path, EERSettings(1, upsampling))
    small, large = (
        stored(tmp_path / "s.gain"),
        stored(tmp_path / "l.gain", GAIN.repeat(2, 0).repeat(2, 1)),
    )
    for gain in small, large:
        factors = read_gain(gain, movie=header)
        assert factors.shape == header.shape
        assert np.allclose(factors[::upsampling, ::upsampling], GAIN)
        assert np.allclose(
            factors[upsampling - 1 :: upsampling, upsampling - 1 :: upsampling], GAIN
        )
    four = np.array([[1, 3], [5, 7]], np.float32)
    means = read_gain(
        stored(tmp_path / "m.gain", np.tile(four, SHAPE)),
        movie=read_movie_header(path, EERSettings(1)),
    )
    assert np.allclose(means, 4)


def test_pixels_of_gain_zero_stay_zero_where_it_is_inverted(tmp_path):
    path, _ = eer_movie(tmp_path / "a.eer")
    gain = np.where(GAIN > 1.1, 0, GAIN)
    factors = read_gain(
        stored(tmp_path / "g.mrc", gain), movie=read_movie_header(path, EERSettings(1))
    )
    assert np.array_equal(factors == 0, gain == 0)
    assert np.allclose((factors * gain)[gain != 0], gain.mean(dtype=float))


def test_a_gain_that_does_not_fit_is_refused(tmp_path):
    header = read_movie_header(mrc_movie(tmp_path / "a.mrcs"))
    turned = stored(tmp_path / "t.mrc", GAIN.T.copy())
    with pytest.raises(
        UserError,
        match=r"has 96 x 128 pixels. .*a\.mrcs has 128 x 96: rotate it by 1 or 3 times 90°",
    ):
        read_gain(turned, movie=header)
    assert read_gain(turned, 1, movie=header).shape == SHAPE
    other = stored(tmp_path / "o.tif", GAIN[:50])
    with pytest.raises(
        UserError, match=r"has 128 x 50 pixels. .*give the gain reference of this camera and mode"
    ):
        read_gain(other, movie=header)


def test_what_is_no_gain_reference_is_refused(tmp_path):
    for gain, words in [
        (np.zeros(SHAPE, "f4"), "all of its pixels are zero"),
        (
            np.where(GAIN > 1.2, np.float32("nan"), GAIN),
            r"\d+ of its 12288 pixels are NaN or infinite",
        ),
        (np.stack([GAIN, GAIN]), "it has 2 pages"),
    ]:
        with pytest.raises(UserError, match=words):
            read_gain(stored(tmp_path / "g.tif", gain))
    for name, words in [
        (
            "g.dm4",
            r'"\.dm4" is not the ending of a gain reference. Gain references are read',
        ),
        ("none.mrc", "there is no such file"),
        ("none.gain", "there is no such file"),
    ]:
        with pytest.raises(UserError, match=words):
            read_gain(tmp_path / name)
    for rotation, flip in (4, 0), (-1, 0), (0, 3):
        with pytest.raises(UserError, match="Rotations are 0 to 3 times 90°"):
            read_gain(stored(tmp_path / "g.mrc"), rotation, flip)
    assert np.array_equal(
        read_gain(stored(tmp_path / "one.mrc", np.ones(SHAPE, "f4"))), np.ones(SHAPE)
    )
