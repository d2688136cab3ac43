"""Images side by side are a picture that can be looked at."""

import subprocess
import sys

import numpy as np
import torch
from PIL import Image

from restore.report.panels import LONGEST_PX, Panel, save_picture, side_by_side

RAMP = torch.linspace(0, 1, 640).expand(480, 640)


def test_images_side_by_side_make_a_png_with_both_in_their_own_grey_range(tmp_path):
    save_picture(
        side_by_side([Panel("raw", 1000 * RAMP, 1.0), Panel("denoised", -RAMP, 1.0)]),
        tmp_path / "it.png",
    )
    drawn = np.asarray(Image.open(tmp_path / "it.png")) / 255
    row = drawn[drawn.shape[0] // 2]
    left, right = row[: len(row) // 2], row[len(row) // 2 :]
    assert left[20] < 0.2 < 0.8 < left[-20]
    assert right[20] > 0.8 > 0.2 > right[-20]


def test_large_images_are_averaged_down_not_sampled():
    stripes = torch.zeros(4 * LONGEST_PX, 2 * LONGEST_PX)
    stripes[1::2] = 1
    stripes[:, :LONGEST_PX] += 1
    inside = np.asarray(side_by_side([Panel("stripes", stripes, 1.0)]))[100:200]
    assert set(np.unique(inside[:, 20:200])) == {255} and set(np.unique(inside[:, 260:450])) == {0}


def test_the_bar_has_the_length_that_it_says():
    grey = np.asarray(
        side_by_side([Panel("", 0 * RAMP, 10.0)])
    )  # 640 nm wide: a bar of 100 nm, 100 pixels
    edge = grey[34 + int(0.96 * 480) + 1, 12:-12]  # white on an empty, black image
    assert abs(np.count_nonzero(edge == 255) - 103) <= 2 and np.count_nonzero(edge[200:]) == 0


def test_a_title_that_is_too_long_keeps_both_its_ends():
    long = side_by_side([Panel("raw: " + "x" * 300 + "_DW.mrc", RAMP, 1.0)])
    short = side_by_side([Panel("raw", RAMP, 1.0)])
    assert long.size == short.size
    title = np.asarray(long)[:30]
    assert (title[:, :12] == 255).all() and (title < 128).any()


def test_the_plotting_library_is_not_loaded_for_it():
    program = "import sys, restore.cli.denoise; print('matplotlib' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )
