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
from restore.training.settings import TrainingSettings
from restore.training.split import split
from restore.training.valid_windows import (
    split_with_data,
    valid_covering_windows,
    valid_regions,
)

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


def write_one(path, shape, blank):
    with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
        for index, mask in enumerate(blank):
            half = replace(as_prepared(torch.zeros(shape)), blank=mask)
            writer.add(f"mic{index}.mrc", half, half)
        writer.finish({})
    return PatchFile(path)


@pytest.mark.parametrize(("shape", "axis"), [((100, 60), 0), ((60, 100), 1)])
@pytest.mark.parametrize("width_px", [0, 1, 30])
def test_a_border_at_the_end_of_a_single_micrograph_does_not_take_its_held_out_strip(
    tmp_path, caplog, shape, axis, width_px
):
    blank = torch.zeros(shape, dtype=torch.bool)
    blank.narrow(axis, 100 - width_px, width_px).fill_(True)
    data = write_one(tmp_path / "p.hdf", shape, [blank])
    parts = split_with_data(data, TrainingSettings(patch_px=32))
    assert parts.training and parts.held_out and not caplog.text
    seen = torch.zeros(shape, dtype=torch.int)
    for region in (*parts.training, *parts.held_out):
        seen[region.y0 : region.y1, region.x0 : region.x1] += 1
    assert torch.equal(seen == 1, ~blank)
    assert {region.valid_share for region in (*parts.training, *parts.held_out)} == {1.0}
    assert parts.calibration == parts.held_out


def test_a_micrograph_without_room_for_a_window_is_not_held_out(tmp_path, caplog):
    settings = TrainingSettings(patch_px=16)
    (usual,) = split(write(tmp_path / "whole.hdf", [""] * 4).pairs, settings).held_out
    kinds = ["stripes" if index == usual.pair else "circle" for index in range(4)]
    data = write(tmp_path / "p.hdf", kinds)
    parts = split_with_data(data, settings)
    pairs = [{region.pair for region in part} for part in (parts.training, parts.held_out)]
    assert pairs[0] and pairs[1] and not pairs[0] & pairs[1]
    assert pairs[0] | pairs[1] == {0, 1, 2, 3} - {usual.pair}
    assert caplog.text.count("is left out") == 1
    windows = valid_covering_windows(data, [*parts.training, *parts.held_out], 16)
    assert all((data.window(window, 16) != BLANK_VALUE).all() for window in windows)
    shares = [region.valid_share for region in parts.training]
    assert shares == [region.valid_share for region in valid_regions(data, parts.training, 16)]


def test_where_no_pixel_is_blank_the_split_is_that_of_the_whole_micrographs(tmp_path):
    for count in (1, 3, 12):
        data = write(tmp_path / f"{count}.hdf", [""] * count)
        settings = TrainingSettings(patch_px=PATCH_PX)
        assert split_with_data(data, settings) == split(data.pairs, settings)


def test_a_run_warns_once_of_a_micrograph_without_room_for_a_window(tmp_path, caplog):
    write(tmp_path / "p.hdf", ["", "", "stripes", ""]).close()
    settings = {"filters": 4, "batch_size": 1, "patch_px": PATCH_PX, "batches_per_epoch": 1}
    train(tmp_path / "p.hdf", settings | {"steps": 1}, model_directory=tmp_path, device="cpu")
    assert (tmp_path / "model.preview.png").is_file()
    assert caplog.text.count("mic2.mrc is left out") == 1
