"""Grids, masks and copies: what the files of two half maps may not share, and what a mask must."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from map_world import HALVES, SIDE, VOXEL_A, make_halves, store

from restore.errors import UsageError, UserError
from restore.io.images.maps import write_map
from restore.postprocessing.half_map_fsc import compare_half_maps
from restore.postprocessing.sharpen import sharpen_half_maps


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """The paths of two half maps in the working directory, beside mask.mrc."""
    monkeypatch.chdir(tmp_path)
    make_halves(SIDE, 0)
    return [Path(name) for name in HALVES.split()]


def change(path, **header):
    with mrcfile.open(path, mode="r+") as file:
        if "voxel_A" in header:
            file.voxel_size = header["voxel_A"]
        if "origin_A" in header:
            file.header.origin = header["origin_A"]


def test_the_library_compares_halves_without_a_command(halves):
    comparison = compare_half_maps(*halves, mask=Path("mask.mrc"), output=Path("fsc.star"))
    assert comparison.is_masked and comparison.voxel_size_zyx_A == (VOXEL_A,) * 3
    assert set(comparison.fsc.curves) == {"unmasked", "masked", "randomised", "corrected"}
    assert comparison.files == (Path("fsc.star"), Path("fsc.png"))
    assert all(path.is_file() for path in comparison.files)
    with pytest.raises(UserError, match="already exists"):
        compare_half_maps(*halves, output=Path("fsc.star"))


@pytest.mark.parametrize("pixel_size_A", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_that_no_image_has_is_wrong_use(halves, pixel_size_A):
    with pytest.raises(UsageError, match="size is above 0 Å"):
        compare_half_maps(*halves, pixel_size_A=pixel_size_A)


def test_a_mask_with_other_voxels_is_refused_unless_a_pixel_size_overrules_the_headers(halves):
    change("mask.mrc", voxel_A=2.0)
    with pytest.raises(UserError, match=r"mask\.mrc: its voxels measure 2 Å, and those of .* 1\.5"):
        compare_half_maps(*halves, mask=Path("mask.mrc"))
    with pytest.raises(UserError, match="A mask must lie on the grid"):
        sharpen_half_maps(*halves, mask=Path("mask.mrc"))
    assert not Path("sharpened.mrc").exists()
    assert compare_half_maps(*halves, mask=Path("mask.mrc"), pixel_size_A=1.5).is_masked


def test_a_mask_without_a_voxel_size_is_taken(halves, caplog):
    change("mask.mrc", voxel_A=0)
    assert compare_half_maps(*halves, mask=Path("mask.mrc")).is_masked
    assert not caplog.text


def test_a_mask_with_another_origin_is_refused(halves):
    for path in halves:
        change(path, origin_A=(-48, -48, -48))
    change("mask.mrc", origin_A=(-40, -48, -48))
    with pytest.raises(UserError, match=r"origin is \(-40, -48, -48\) Å, and that of .*\(-48, -48"):
        compare_half_maps(*halves, mask=Path("mask.mrc"))
    change("mask.mrc", origin_A=(-48.5, -48, -48))  # a third of a voxel
    assert compare_half_maps(*halves, mask=Path("mask.mrc")).is_masked


def test_an_origin_at_zero_beside_another_is_warned_of(halves, caplog):
    change("mask.mrc", origin_A=(12, 0, 0))
    assert compare_half_maps(*halves, mask=Path("mask.mrc")).is_masked
    assert "its origin is (12, 0, 0) Å" in caplog.text


def copies(kind):
    """A map and another that is not independent of it."""
    noise = np.random.default_rng(0).standard_normal((2, 32, 32, 32)).astype(np.float32)
    if kind in ("opposite", "alike"):
        ball = 4 * np.indices((32, 32, 32)).astype(np.float32).std(axis=0) - 20
        return noise[0] + ball, noise[1] + (ball if kind == "alike" else -ball)
    return noise[0], {
        "scaled": 3 * noise[0] + 7,
        "inverted": -2 * noise[0] + 1,
        "nearly": noise[0] + 0.01 * noise[1],
        "independent": noise[1],
        "half": noise[0] + noise[1],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("scaled", "are copies of the same map on different grey scales"),
        ("inverted", "are copies of the same map with opposite contrast"),
        ("nearly", "above 0.999 at every resolution"),
        ("opposite", "have opposite contrast: their FSC is -"),
        ("alike", ""),
        ("independent", ""),
        ("half", ""),
    ],
)
def test_halves_that_are_copies_of_each_other_are_warned_of(
    tmp_path, monkeypatch, caplog, kind, words
):
    monkeypatch.chdir(tmp_path)
    for name, volume in zip(("a.mrc", "b.mrc"), copies(kind), strict=True):
        write_map(Path(name), volume, 1.0)
    compare_half_maps(Path("a.mrc"), Path("b.mrc"))
    assert (words in caplog.text) if words else not caplog.text


def test_images_that_are_copies_are_warned_of_too(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).standard_normal((40, 40))
    store("a.mrc", image)
    store("b.mrc", 5 * image)
    compare_half_maps(Path("a.mrc"), Path("b.mrc"))
    assert "copies of the same map" in caplog.text
