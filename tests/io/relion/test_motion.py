"""RELION's STAR file of one movie's motion: what is read, and what is refused with its place."""

import numpy as np
import pytest
from drifting_movie import motion_text

from restore.errors import UserError
from restore.io.micrographs import Needs, read_micrographs
from restore.io.relion.local_motion import local_shifts_px
from restore.io.relion.motion import motion_files, read_motion


def written(folder, text):
    path = folder / "a.star"
    path.write_text(text)
    return path


def test_every_value_comes_back(tmp_path):
    motion = read_motion(written(tmp_path, motion_text(hot=[(5, 31), (47, 0)])))
    assert (motion.movie, motion.gain, motion.shape, motion.frames) == (
        "Movies/a.mrcs",
        "gain.mrc",
        (32, 48),
        4,
    )
    assert (motion.pixel_size_A, motion.binning, motion.voltage_kV) == (1.0, 2.0, 300.0)
    assert motion.dose_per_frame_e_per_A2 == 1.2
    assert motion.shifts_yx_px == {2: (0.0, 0.0), 3: (-0.25, 1.5), 4: (-0.5, 2.0)}
    assert motion.first_frame == 2
    assert motion.hot_pixels_yx == ((31, 5), (0, 47))
    assert (motion.eer_grouping, motion.eer_upsampling) == (None, None)
    assert motion.local is not None
    x, y = np.arange(36).reshape(2, 6, 3) * 0.01
    np.testing.assert_allclose(motion.local.coefficients_px, [y, x])


def test_eer_grouping_is_read(tmp_path):
    text = motion_text().replace(
        "_rlnMotionModelVersion ",
        "_rlnEERUpsampling 2\n_rlnEERGrouping 30\n_rlnMotionModelVersion ",
    )
    motion = read_motion(written(tmp_path, text))
    assert (motion.eer_grouping, motion.eer_upsampling) == (30, 2)


@pytest.mark.parametrize("unit", [1.0, 2.0])
def test_the_patches_tell_whether_the_polynomial_is_in_pixels_before_or_after_binning(
    tmp_path, unit
):
    random = np.random.default_rng(3)
    written_px = random.normal(0, 0.3, (2, 6, 3))
    frames, x, y = (
        grid.ravel() for grid in np.meshgrid([2, 3, 4], [8.0, 24.0, 40.0], [5.0, 16.0, 27.0])
    )
    along_y, along_x = (
        local_shifts_px(written_px[::-1], frames - 2, y / 32 - 0.5, x / 48 - 0.5) * unit
    )
    patches = np.stack([frames, x, y, along_x, along_y], -1) + random.normal(0, 0.01, (27, 5)) * [
        0,
        0,
        0,
        1,
        1,
    ]
    motion = read_motion(written(tmp_path, motion_text(written_px.ravel(), patches)))
    assert motion.local is not None
    np.testing.assert_allclose(motion.local.coefficients_px, written_px[::-1] * unit, atol=1e-5)


def test_no_model_is_no_local_motion(tmp_path):
    text = motion_text().replace(
        "rlnMotionModelVersion                                1", "rlnMotionModelVersion 0"
    )
    assert (
        read_motion(written(tmp_path, text.partition("data_local_motion_model")[0])).local is None
    )


@pytest.mark.parametrize("rows", [0, 2])
def test_local_motion_that_no_model_describes_is_known_to_be_lost(tmp_path, rows):
    """MotionCor2, run from RELION, leaves the shifts of the patches alone."""
    patches = [(2, 24.0, 16.0, 0.1, 0.2), (3, 24.0, 16.0, 0.3, 0.1)][:rows]
    text = motion_text((), patches).replace(
        "rlnMotionModelVersion     ", "rlnMotionModelVersion 0 #"
    )
    motion = read_motion(written(tmp_path, text))
    assert motion.local is None and motion.local_is_lost == (rows > 0)
    assert not read_motion(written(tmp_path, motion_text(patches=patches))).local_is_lost


def test_the_file_of_defects_is_known(tmp_path):
    text = motion_text().replace(
        "_rlnMicrographBinning", "_rlnMicrographDefectFile d.txt\n_rlnMicrographBinning"
    )
    assert read_motion(written(tmp_path, text)).defects == "d.txt"
    assert read_motion(written(tmp_path, motion_text())).defects == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("_rlnImageSizeX ", "_rlnOther ", r"data_general: rlnImageSizeX is missing"),
        (
            "48\n_rlnImageSizeY",
            "4.5\n_rlnImageSizeY",
            r'rlnImageSizeX is "4\.5"\. A whole number is needed',
        ),
        ("Pixel", "Pickle", r"rlnMicrographOriginalPixelSize is missing"),
        (
            "data_general",
            "data_other",
            r"data_general is missing \(the blocks are data_other, data_global_shift",
        ),
        ("data_global_shift", "data_x", r"data_global_shift is missing"),
        (
            "_rlnMicrographShiftY",
            "_rlnShiftY",
            r"data_global_shift: rlnMicrographShiftY is missing",
        ),
        ("-0.25000", "nan", r'data_global_shift, row 3: rlnMicrographShiftY is "nan"'),
        (
            "           3 ",
            "           9 ",
            r"row 3: its frame number is 9\. The frames are numbered from",
        ),
        ("           3 ", "           2 ", r"row 3: its frame number is 2"),
        (
            "rlnMotionModelVersion                                1",
            "rlnMotionModelVersion 7",
            r"rlnMotionModelVersion is 7",
        ),
        (
            "          35 ",
            "          34 ",
            r"data_local_motion_model: it has 36 coefficients\. Numbers 0 to 35, each once",
        ),
        ("-0.50000", "word", r'row 4: rlnMicrographShiftY is "word"'),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path, old, new, message):
    text = motion_text()
    assert old in text
    with pytest.raises(UserError, match=message):
        read_motion(written(tmp_path, text.replace(old, new, 1)))


def test_a_movie_of_which_one_frame_is_used_is_refused(tmp_path):
    text = motion_text()
    for shift in ("1.500000     -0.25000", "2.000000     -0.50000"):
        text = text.replace(shift, "-9999.0 -9999.0")
    with pytest.raises(UserError, match="1 frames have a shift"):
        read_motion(written(tmp_path, text))


def test_a_hot_pixel_outside_is_refused(tmp_path):
    with pytest.raises(
        UserError,
        match=r"data_hot_pixels, row 1: a pixel at x 48, y 0\. The movie has 48 x 32 pixels",
    ):
        read_motion(written(tmp_path, motion_text(hot=[(48, 0)])))


def test_a_missing_file_says_what_it_is_for(tmp_path):
    with pytest.raises(
        UserError, match=r"none\.star: there is no such file\. The motion that MotionCorr found"
    ):
        read_motion(tmp_path / "none.star")


def test_the_motion_is_found_by_its_column_and_else_beside_the_micrograph(tmp_path):
    (tmp_path / "job1").mkdir()
    (tmp_path / "job1/b.star").write_text("")
    head = "data_\nloop_\n_rlnMicrographName\n_rlnMicrographPixelSize\n"
    (tmp_path / "plain.star").write_text(head + "job1/a.mrc 1.0\n")
    (tmp_path / "with.star").write_text(
        head + "_rlnMicrographMetadata\njob1/a.mrc 1.0 job1/b.star\n"
    )
    files = [
        motion_files(read_micrographs(tmp_path / name, needs=Needs(ctf=False)))[0]
        for name in ("plain.star", "with.star")
    ]
    assert files[0].name == "a.star"
    assert files[1] == tmp_path / "job1/b.star"
