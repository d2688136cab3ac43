"""Windows for training and validation never hold pixels without data."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from half_pairs import as_prepared

from restore.errors import UserError
from restore.preprocessing import Recipe
from restore.training.patches import PatchFile, PatchWriter, RandomWindows, Region, covering_windows
from restore.training.run import train
from restore.training.valid_windows import valid_covering_windows, valid_regions

PATCH_PX, SIDE = 16, 96
WHOLE = [Region(index, 0, SIDE, 0, SIDE) for index in range(3)]
BLANK_VALUE = -77.0


def blank_of(kind):
    blank = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    if kind == "border":
        blank[:5], blank[:, -7:] = True, True
    if kind == "circle":
        y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        blank = torch.hypot(y - 48.0, x - 48.0) > 40
    if kind == "stripes":
        blank[::12] = True
    return blank


def write(path, kinds):
    with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
        for index, kind in enumerate(kinds):
            image, blank = torch.full((SIDE, SIDE), float(index)), blank_of(kind)
            image[blank] = BLANK_VALUE
            half = replace(as_prepared(image), blank=blank if kind else None)
            writer.add(f"mic{index}.mrc", half, half)
        writer.finish({})
    return PatchFile(path)


def test_no_window_that_is_drawn_holds_a_blank_pixel(tmp_path):
    data = write(tmp_path / "p.hdf", ["", "border", "circle"])
    regions = valid_regions(data, WHOLE, PATCH_PX)
    windows = RandomWindows(data.path, regions, PATCH_PX, seed=0)
    drawn = torch.stack([windows[index] for index in range(300)])
    assert (drawn != BLANK_VALUE).all()
    assert {float(value) for value in drawn.unique()} == {0.0, 1.0, 2.0}
    careless = RandomWindows(data.path, WHOLE, PATCH_PX, seed=0)
    assert any((careless[index] == BLANK_VALUE).any() for index in range(300))  # so it can fail


def test_validation_windows_hold_no_blank_pixel_and_cover_the_rest(tmp_path):
    data = write(tmp_path / "p.hdf", ["", "border", "circle"])
    regions = valid_regions(data, WHOLE, PATCH_PX)
    windows = valid_covering_windows(data, regions, PATCH_PX)
    assert {window.pair for window in windows} == {0, 1, 2}
    assert all((data.window(window, PATCH_PX) != BLANK_VALUE).all() for window in windows)
    assert [w for w in windows if w.pair == 0] == covering_windows(WHOLE[:1], PATCH_PX)


def test_a_region_without_blank_pixels_is_untouched_and_its_windows_are_those_of_always(tmp_path):
    data = write(tmp_path / "p.hdf", ["", "", ""])
    assert valid_regions(data, WHOLE, PATCH_PX) == WHOLE


@pytest.mark.parametrize("x0", [0, 3, 8, 13])
def test_the_mask_of_a_region_is_that_part_of_the_whole(tmp_path, x0):
    data = write(tmp_path / "p.hdf", ["circle"])
    part = data.blank(Region(0, 7, 60, x0, 91))
    assert np.array_equal(part, blank_of("circle")[7:60, x0:91].numpy())


def test_a_border_only_makes_the_region_smaller(tmp_path):
    data = write(tmp_path / "p.hdf", ["border"])
    assert valid_regions(data, WHOLE[:1], PATCH_PX) == [Region(0, 5, SIDE, 0, SIDE - 7)]


def test_a_micrograph_without_room_for_a_window_is_named_and_left_out(tmp_path, caplog):
    data = write(tmp_path / "p.hdf", ["", "stripes"])
    assert valid_regions(data, WHOLE[:2], PATCH_PX) == WHOLE[:1]
    assert "mic1.mrc is left out, because its area with data is too small" in caplog.text
    with pytest.raises(UserError, match="no micrograph has a window of 16 pixels"):
        valid_regions(data, WHOLE[1:2], PATCH_PX)


def test_a_file_of_before_there_were_masks_is_read(tmp_path):
    data = write(tmp_path / "p.hdf", ["", "", ""])
    data.close()
    with h5py.File(tmp_path / "p.hdf", "r+") as file:
        file.attrs["format_version"] = 1
    data = PatchFile(tmp_path / "p.hdf")
    assert data.blank(WHOLE[0]) is None
    assert data.window(WHOLE[1], PATCH_PX).shape == (2, PATCH_PX, PATCH_PX)


def test_a_mask_of_another_shape_is_a_damaged_file(tmp_path):
    data = write(tmp_path / "p.hdf", ["border"])
    data.close()
    with h5py.File(tmp_path / "p.hdf", "r+") as file:
        del file["000000_blank"]
        file["000000_blank"] = np.zeros((3, 3), dtype=np.uint8)
    with pytest.raises(UserError, match="damaged"):
        PatchFile(tmp_path / "p.hdf").blank(WHOLE[0])


def test_a_run_warns_once_of_a_micrograph_without_room_for_a_window(tmp_path, caplog):
    write(tmp_path / "p.hdf", ["", "", "stripes", ""]).close()
    settings = {"filters": 4, "batch_size": 1, "patch_px": PATCH_PX, "batches_per_epoch": 1}
    train(tmp_path / "p.hdf", settings | {"steps": 1}, model_directory=tmp_path, device="cpu")
    assert (tmp_path / "model.preview.png").is_file()
    assert caplog.text.count("mic2.mrc is left out") == 1
