"""Inputs that give a wrong answer if nobody looks: each is refused, or at least named."""

import os
import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from evaluation_world import SHAPE

from restore.cli.main import main

DENOISE = ("denoise", "-m", "mics.star", "-p", "model.safetensors", "-o", "out")
EVALUATE = ("evaluate", "-m", "mics.star", "-p", "model.safetensors", "--resamples=20")
PREPARE = ("prepare", "-m", "mics.star", "-r", "9", "-f", "new.hdf")


pytestmark = pytest.mark.usefixtures("in_three_micrographs")


def image(name):
    with mrcfile.open(f"mics/{name}.mrc") as file:
        return file.data.copy()


def put(name, data, pixel_size_A=4.0):
    with mrcfile.new(f"mics/{name}.mrc", overwrite=True) as file:
        file.set_data(np.ascontiguousarray(data, np.float32))
        file.voxel_size = pixel_size_A


def in_table(old, new):
    text = Path("mics.star").read_text()
    assert old in text
    Path("mics.star").write_text(text.replace(old, new))


def messages(capsys, command, status):
    assert main([*command]) == status
    return capsys.readouterr().err


# one file in two places


def by_another_path():
    in_table("mics/b_DW.mrc", "./mics/a_DW.mrc")


def by_symbolic_links():
    for part in ("DW", "EVN", "ODD"):
        Path(f"mics/b_{part}.mrc").unlink()
        Path(f"mics/b_{part}.mrc").symlink_to(f"a_{part}.mrc")


def by_hard_links():
    for part in ("DW", "EVN", "ODD"):
        Path(f"mics/b_{part}.mrc").unlink()
        os.link(f"mics/a_{part}.mrc", f"mics/b_{part}.mrc")


def by_one_half():
    Path("mics/b_ODD.mrc").unlink()
    Path("mics/b_ODD.mrc").symlink_to("a_ODD.mrc")


@pytest.mark.parametrize("twice", [by_another_path, by_symbolic_links, by_hard_links, by_one_half])
def test_one_file_that_belongs_to_two_micrographs_is_named(capsys, twice):
    twice()
    words = "is a file that belongs to mics/a_DW.mrc as well"
    assert words in messages(capsys, PREPARE, 1)
    assert not Path("new.hdf").exists()
    assert words in messages(capsys, EVALUATE, 1)


def test_one_micrograph_under_two_names_is_denoised_once(capsys):
    by_symbolic_links()
    assert "1 of 3 micrographs were not denoised" in messages(capsys, DENOISE, 1)


@pytest.mark.parametrize(
    "other, words",
    [
        ("ODD", "the odd half and the even half are one file"),
        ("DW", "the even half and the full sum are one file"),
    ],
)
@pytest.mark.parametrize("command", [PREPARE, EVALUATE], ids=lambda command: command[0])
def test_a_half_that_is_the_other_half_or_the_full_sum_is_refused(capsys, command, other, words):
    for name in "abc":
        Path(f"mics/{name}_EVN.mrc").unlink()
        Path(f"mics/{name}_EVN.mrc").symlink_to(f"{name}_{other}.mrc")
    assert words in messages(capsys, command, 1)


# halves of another image


def of_another_micrograph():
    for half in ("EVN", "ODD"):
        shutil.copyfile(f"mics/b_{half}.mrc", f"mics/a_{half}.mrc")


def turned():
    for half in ("EVN", "ODD"):
        put(f"a_{half}", image(f"a_{half}")[::-1])


def inverted():
    for half in ("EVN", "ODD"):
        put(f"a_{half}", -image(f"a_{half}"))


@pytest.mark.parametrize("spoil", [of_another_micrograph, turned, inverted])
def test_halves_that_are_not_the_full_sums_calibrate_nothing_and_are_not_averaged(capsys, spoil):
    spoil()
    words = "mics/a_DW.mrc: its halves do not show what the full sum shows (correlation "
    assert words in messages(capsys, DENOISE, 0)
    averaged = (*DENOISE[:-1], "averaged", "--average_halves")
    shown = messages(capsys, averaged, 1)
    assert words in shown and "1 of 3 micrographs were not denoised" in shown


def by_one_row(half):
    """Every micrograph has this half of the next one, in a table that lists each file once."""
    names = {"EVN": "Even", "ODD": "Odd"}
    text = (
        Path("mics.star")
        .read_text()
        .replace(
            "_rlnDefocusAngle\n",
            "_rlnDefocusAngle\n"
            + "".join(f"_rlnMicrographName{name}\n" for name in names.values()),
        )
    )
    for own, other in ("ab", "bc", "ca"):
        files = (f"mics/{other if part == half else own}_{part}.mrc" for part in names)
        row = f"mics/{own}_DW.mrc 1 12000.0 11800.0 10.0"
        text = text.replace(row, " ".join((row, *files)))
    Path("mics.star").write_text(text)


@pytest.mark.parametrize(("half", "part"), [("EVN", "even"), ("ODD", "odd")])
@pytest.mark.parametrize("calibration", ["none", "rings"])
def test_one_half_of_another_micrograph_is_not_averaged_into_the_image(
    capsys, half, part, calibration
):
    by_one_row(half)
    averaged = (*DENOISE, "--average_halves", "--calibration", calibration)
    shown = messages(capsys, averaged, 1)
    words = f"mics/a_DW.mrc: its {part} half does not show what the full sum shows (correlation "
    assert words in shown and "3 of 3 micrographs were not denoised" in shown
    assert not Path("out/mics/a_DW.mrc").exists()


@pytest.mark.parametrize("calibration", ["none", "rings"])
def test_identical_halves_are_not_averaged(capsys, calibration):
    put("a_ODD", 3 * image("a_EVN") + 7)
    averaged = (*DENOISE, "--average_halves", "--calibration", calibration)
    shown = messages(capsys, averaged, 1)
    assert "mics/a_DW.mrc: its halves are identical" in shown
    assert "1 of 3 micrographs were not denoised" in shown


@pytest.mark.parametrize("border_px", [0, 6])
def test_a_half_with_the_full_sums_content_is_named(capsys, border_px):
    shutil.copyfile("mics/a_DW.mrc", "mics/a_EVN.mrc")
    for part in ("DW", "EVN", "ODD") if border_px else ():
        bordered = image(f"a_{part}")
        bordered[:border_px] = 0
        put(f"a_{part}", bordered)
    assert "mics/a_DW.mrc: one of its halves is the full sum" in messages(capsys, DENOISE, 0)


def test_good_halves_raise_no_doubt(capsys):
    shown = messages(capsys, DENOISE, 0)
    assert "what the full sum shows" not in shown and "halves is" not in shown


@pytest.mark.parametrize("command", [PREPARE, EVALUATE], ids=lambda command: command[0])
def test_halves_of_another_shape_than_the_full_sum_are_refused(capsys, command):
    for name in "abc":
        put(f"{name}_DW", image(f"{name}_DW").T)
    shown = messages(capsys, command, 1)
    assert f"{SHAPE[0]} x {SHAPE[1]}" in shown and f"{SHAPE[1]} x {SHAPE[0]}" in shown
    assert "the shapes differ" in shown


def test_a_half_whose_header_has_another_pixel_size_is_named_itself(capsys):
    put("a_ODD", image("a_ODD"), 8.0)
    words = "mics/a_ODD.mrc has 8 Å in its header, and 4 Å is taken"
    assert words in messages(capsys, PREPARE, 0)


# halves that are no pair


def identical():
    shutil.copyfile("mics/a_EVN.mrc", "mics/a_ODD.mrc")


def identical_in_another_scale():
    put("a_ODD", 3 * image("a_EVN") + 7)


def identical_with_a_border():
    put("a_ODD", image("a_EVN"))
    for part in ("DW", "EVN", "ODD"):
        bordered = image(f"a_{part}")
        bordered[:6] = 0
        put(f"a_{part}", bordered)


def shifted():
    put("a_ODD", np.roll(image("a_ODD"), (7, -12), (0, 1)))


def flipped():
    put("a_ODD", image("a_ODD")[::-1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (identical, "the halves of mics/a_DW.mrc are identical"),
        (identical_in_another_scale, "the halves of mics/a_DW.mrc are identical"),
        (identical_with_a_border, "the halves of mics/a_DW.mrc are identical"),
        (shifted, "the halves of mics/a_DW.mrc are shifted against each other"),
        (flipped, "one half of mics/a_DW.mrc is upside down or mirrored"),
    ],
)
def test_halves_that_are_no_pair_are_not_evaluated(capsys, spoil, words):
    spoil()
    shown = messages(capsys, EVALUATE, 1)
    assert words in shown and "1 of 3 micrographs were not evaluated" in shown


def test_inverted_halves_are_not_evaluated(capsys):
    put("a_ODD", -image("a_ODD"))
    shown = messages(capsys, EVALUATE, 1)
    assert "one half of mics/a_DW.mrc has the contrast of the other inverted" in shown


# numbers in another unit


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (" 300.0 2.7 0.1", " 300.0 0.0027 0.1", "aberration is only 0.0027 mm. Is it in m?"),
        (" 12000.0 11800.0 ", " 1200.0 1180.0 ", "median defocus is only 1190 Å. Is it in nm?"),
        ("mics/a_DW.mrc 1 12000.0 11800.0 10.0", "mics/a_DW.mrc 1 12000.0 11800.0 572.96",
         "is above 400°. Is it in a column of radians?"),
    ],
)  # fmt: skip
def test_numbers_that_look_like_another_unit_are_named(capsys, old, new, words):
    in_table(old, new)
    shown = messages(capsys, DENOISE, 0)
    assert shown.count(words) == 1 and "The numbers are used as they are" in shown


def test_phase_shifts_that_look_like_radians_are_named(capsys):
    in_table("_rlnDefocusAngle\n", "_rlnDefocusAngle\n_rlnPhaseShift\n")
    in_table("11800.0 10.0\n", "11800.0 10.0 1.57\n")
    assert "no phase shift is above 3.15°. Are they in radians?" in messages(capsys, DENOISE, 0)
    in_table("11800.0 10.0 1.57\n", "11800.0 10.0 90.0\n")
    assert "radians" not in messages(capsys, DENOISE, 0)


@pytest.mark.parametrize("defocus", ["12000.0 111800.0", "2e7 2e7"])
def test_a_defocus_that_no_microscope_has_skips_the_micrograph(capsys, defocus):
    in_table("mics/a_DW.mrc 1 12000.0 11800.0", f"mics/a_DW.mrc 1 {defocus}")
    shown = messages(capsys, DENOISE, 1)
    assert "mics/a_DW.mrc is skipped: the defocus is " in shown
    assert "nearly the same along both axes" in shown


# images that are not raw


def low_passed(image, end):
    """An image without the frequencies above ``end`` of its Nyquist frequency."""
    rows, columns = np.fft.fftfreq(image.shape[0]), np.fft.rfftfreq(image.shape[1])
    inside = np.hypot(rows[:, None], columns[None]) < end / 2
    return np.fft.irfft2(np.fft.rfft2(image) * inside, s=image.shape)


WITHOUT_NOISE = "mics/a_DW.mrc: there is almost no noise near 9 Å"


@pytest.mark.parametrize("end", [0.2, 0.5])
def test_an_image_that_was_filtered_already_is_named(capsys, end):
    put("a_DW", low_passed(image("a_DW"), end))
    shown = messages(capsys, DENOISE, 0)
    assert WITHOUT_NOISE in shown and shown.count("almost no noise") == 1
