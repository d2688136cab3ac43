"""The small pictures of a micrograph, read back."""

import numpy as np
import pytest
import torch
from PIL import Image

from restore.evaluation.estimators.support import Support
from restore.evaluation.previews import LONGEST_PX, overlay, save_previews

BLUE, ORANGE = (86, 180, 233), (213, 94, 0)


def support(slope, error=0.01):
    slope = torch.tensor(slope)
    return Support(slope, torch.full_like(slope, error))


def saved(folder, shape=(300, 400), **known):
    ramp = torch.linspace(0, 1, shape[1]).expand(shape) + 0.0
    raw, denoised = (ramp, ramp), (-ramp, -ramp)
    return save_previews(
        folder / "previews/00007_a", raw, denoised, support([[1.0, 0.0]]), (2.0, 2.0), **known
    )


def opened(folder, paths, kind):
    with Image.open(folder / getattr(paths, kind)) as picture:
        return picture.format, picture.mode, picture.size, np.asarray(picture)


def test_the_pictures_show_what_they_are_named_after(tmp_path):
    paths = saved(tmp_path)
    assert {path.name for path in (tmp_path / "previews").iterdir()} == {
        "00007_a_raw.jpg", "00007_a_denoised.jpg", "00007_a_support.png",
    }  # fmt: skip
    kind, mode, size, raw = opened(tmp_path, paths, "raw")
    assert (
        (kind, mode, size)
        == ("JPEG", "L", (400, 300))
        == ("JPEG", "L", (paths.width_px, paths.height_px))
    )
    assert raw[:, :20].mean() < 20 and raw[:, -20:].mean() > 235
    denoised = opened(tmp_path, paths, "denoised")[3]
    assert denoised[:, :20].mean() > 235 and denoised[:, -20:].mean() < 20
    kind, mode, size, colours = opened(tmp_path, paths, "support")
    assert (kind, mode, size) == ("PNG", "RGBA", (200, 150))
    for column, colour in (
        (20, BLUE),
        (180, ORANGE),
    ):  # to the rounding of a picture with transparency
        assert colours[75, column, :3] == pytest.approx(colour, abs=2)


@pytest.mark.parametrize(
    "shape, size", [((1500, 1280), (546, 640)), ((960, 2000), (640, 307)), ((50, 64), (64, 50))]
)
def test_large_images_are_made_small_and_small_ones_stay(tmp_path, shape, size):
    paths = saved(tmp_path, shape)
    assert (paths.width_px, paths.height_px) == size and max(size) <= LONGEST_PX
    assert paths.pixel_size_A == pytest.approx(2.0 * shape[1] / size[0])
    assert opened(tmp_path, paths, "raw")[2] == size


def test_what_cannot_be_told_is_clear_and_the_surer_the_stronger():
    colours = overlay(support([[1.0, 0.7, 0.5, 0.3, 0.0]]))[0]
    strength = colours[:, 3].astype(int)
    assert strength[2] == 0 and strength[0] > strength[1] > 0 and strength[4] > strength[3] > 0
    assert [tuple(colour[:3]) for colour in colours[[0, 1, 3, 4]]] == [BLUE, BLUE, ORANGE, ORANGE]
    assert (overlay(support([[1.0, 0.0]], error=1.0))[..., 3] == 0).all()
    assert (overlay(support([[float("nan")]]))[..., 3] == 0).all()


def test_a_flat_image_makes_a_picture_too(tmp_path):
    flat = torch.zeros(40, 40)
    paths = save_previews(
        tmp_path / "p/a", (flat, flat), (flat, flat), support([[0.0]]), (1.0, 1.0)
    )
    assert opened(tmp_path, paths, "raw")[3].std() == 0
