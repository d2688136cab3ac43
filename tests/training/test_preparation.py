"""The patch file from micrographs: what is in it, when it is stale, what is left of a failure."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from restore.errors import UserError
from restore.io.images.mrc import read_mrc, write_mrc
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe, prepare
from restore.training.patches import PatchFile, Region
from restore.training.preparation import Destination, is_made_of, prepare_patches
from restore.training.valid_windows import valid_regions

RECIPE = Recipe(max_resolution_A=5.0, phase_flip=False)


@pytest.fixture
def micrographs(tmp_path):
    listed = []
    for row in range(3):
        paths = [tmp_path / f"m{row}_{kind}.mrc" for kind in ("DW", "EVN", "ODD")]
        for index, path in enumerate(paths):
            image = np.random.default_rng([row, index]).normal(9, 2, (96, 100 + row))
            write_mrc(path, image.astype(np.float32), 2.0)
            os.utime(path, (1e9, 1e9))
        listed.append(Micrograph(paths[0].name, paths[0], 2.0, row, None, paths[1], paths[2]))
    return listed


def made_at(path, micrographs, recipe=RECIPE, progress=lambda micrograph: None):
    prepare_patches(
        micrographs, recipe, Destination(path, "float32", {"command": "a test"}), progress
    )
    return path


def test_each_pair_holds_the_two_prepared_halves(tmp_path, micrographs):
    reports = []
    data = PatchFile(made_at(tmp_path / "p.hdf", micrographs, progress=reports.append))
    assert reports == micrographs
    assert [pair.name for pair in data.pairs] == [micrograph.name for micrograph in micrographs]
    assert data.recipe == RECIPE and data.provenance["command"] == "a test"
    image = np.random.default_rng([2, 1]).normal(9, 2, (96, 102)).astype(np.float32)
    expected = prepare(torch.from_numpy(image), 2.0, None, RECIPE)
    assert data.pairs[2].shape == expected.grid.shape
    stored = data.window(Region(2, 0, 76, 0, 82), 200)[0]
    np.testing.assert_allclose(stored, expected.image, atol=1e-6)


def test_one_bad_micrograph_ends_it_is_named_and_nothing_is_left_behind(tmp_path, micrographs):
    content = micrographs[1].odd.read_bytes()
    micrographs[1].odd.write_bytes(content[: len(content) // 2])
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"m1_ODD\.mrc"):
        made_at(out / "p.hdf", micrographs)
    assert not out.exists()  # not even the folder


def test_a_micrograph_that_cannot_be_prepared_is_named(tmp_path, micrographs):
    micrographs[2] = replace(micrographs[2], pixel_size_A=3.0)
    with pytest.raises(UserError, match=r"m2_DW\.mrc: max_resolution 5 Å is finer than"):
        made_at(tmp_path / "p.hdf", micrographs)


def test_a_micrograph_without_halves_is_named(tmp_path, micrographs):
    with pytest.raises(UserError, match=r"m0_DW\.mrc: the micrograph has no halves"):
        made_at(tmp_path / "p.hdf", [replace(micrographs[0], odd=None)])


def test_a_file_that_was_there_stays_when_a_new_one_fails(tmp_path, micrographs):
    path = made_at(tmp_path / "p.hdf", micrographs)
    before = path.read_bytes()
    with pytest.raises(UserError):
        made_at(path, [replace(micrographs[0], odd=None)])
    assert path.read_bytes() == before


def test_a_patch_file_is_current_until_its_micrographs_or_the_recipe_change(tmp_path, micrographs):
    path = made_at(tmp_path / "p.hdf", micrographs)
    assert is_made_of(path, micrographs, RECIPE, "float32")
    assert not is_made_of(path, micrographs[:2], RECIPE, "float32")
    assert not is_made_of(path, micrographs, replace(RECIPE, max_resolution_A=6.0), "float32")
    assert not is_made_of(path, micrographs, RECIPE, "float16")
    for time in (4e9, 9e8):
        os.utime(micrographs[1].even, (time, time))
        assert not is_made_of(path, micrographs, RECIPE, "float32")
    os.utime(micrographs[1].even, (1e9, 1e9))
    assert is_made_of(path, micrographs, RECIPE, "float32")


def test_halves_that_are_dated_in_the_future_are_no_reason_to_start_again(tmp_path, micrographs):
    os.utime(micrographs[1].even, (4e9, 4e9))
    path = made_at(tmp_path / "p.hdf", micrographs)
    assert is_made_of(path, micrographs, RECIPE, "float32")


def test_a_half_that_is_replaced_while_others_are_read_makes_the_file_stale(tmp_path, micrographs):
    def replaced(micrograph):
        os.utime(micrographs[2].odd, (1e9 + 1, 1e9 + 1))

    path = made_at(tmp_path / "p.hdf", micrographs, progress=replaced)
    assert not is_made_of(path, micrographs, RECIPE, "float32")


def test_a_broken_patch_file_is_not_passed_over(tmp_path, micrographs):
    (tmp_path / "p.hdf").write_text("no")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        is_made_of(tmp_path / "p.hdf", micrographs, RECIPE, "float16")


def test_a_border_in_one_half_is_masked_in_both_and_its_file_can_be_trained_on(
    tmp_path, micrographs, caplog
):
    image = read_mrc(micrographs[1].odd)[0].copy()
    image[:3], image[:, -10:] = 0, 0
    write_mrc(micrographs[1].odd, image, 2.0)
    with caplog.at_level("INFO"):
        data = PatchFile(made_at(tmp_path / "p.hdf", micrographs))
    blank = data.blank(Region(1, 0, 76, 0, 80))
    assert blank is not None and blank[:2].all() and blank[:, -8:].all()
    assert not blank[4:, :-10].any()
    assert data.blank(Region(0, 0, 76, 0, 80)) is None
    (region,) = valid_regions(data, [Region(1, 0, 76, 0, 80)], 32)
    assert region.valid_share == 1 and region.y0 in (2, 3) and region.x1 in (71, 72)
    assert "1233 pixels without data" in caplog.text
