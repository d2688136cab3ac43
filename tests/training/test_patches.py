"""The store of half/half pairs, and what is drawn from it."""

import json

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from restore.errors import UserError
from restore.preprocessing import Grid, Prepared, Recipe
from restore.training.patches import (
    DistributedBatchSampler,
    PatchFile,
    PatchWriter,
    RandomWindows,
    Region,
    _augment,
    cover,
    covering_windows,
)

RECIPE = Recipe(max_resolution_A=6.0, phase_flip=False)


def prepared(values, scale=2.0):
    image = torch.as_tensor(values, dtype=torch.float32)
    shape = (image.shape[0], image.shape[1])
    return Prepared(
        image, Grid((2 * shape[0], 2 * shape[1]), 1.5, shape, (3.0, 3.1)), scale, 40.0, 3
    )


def numbered(shape, offset=0):
    """An image in which every pixel's value says where it is."""
    return torch.arange(shape[0] * shape[1], dtype=torch.float32).reshape(shape) + offset


@pytest.fixture
def numbered_file(tmp_path):
    path = tmp_path / "numbered.hdf"
    with PatchWriter(path, RECIPE, "float32") as writer:
        writer.add("a.mrc", prepared(numbered((48, 64))), prepared(numbered((48, 64), 0.5)))
        writer.add(
            "b.mrc", prepared(numbered((56, 40), 10_000)), prepared(numbered((56, 40), 10_000.5))
        )
        writer.finish({"command": "a test"})
    return path


WHOLE = (Region(0, 0, 48, 0, 64), Region(1, 0, 56, 0, 40))


def test_what_is_written_is_read_back(numbered_file):
    data = PatchFile(numbered_file)
    assert data.recipe == RECIPE
    assert data.provenance == {"command": "a test"}
    assert [(pair.name, pair.shape, pair.pixel_size_yx_A) for pair in data.pairs] == [
        ("a.mrc", (48, 64), (3.0, 3.1)),
        ("b.mrc", (56, 40), (3.0, 3.1)),
    ]
    window = data.window(Region(1, 8, 56, 5, 40), 16)
    assert window.dtype == np.float32
    assert np.array_equal(window[0], numbered((56, 40), 10_000)[8:24, 5:21])
    assert np.array_equal(window[1], window[0] + 0.5)
    data.close()


def test_the_file_alone_tells_how_to_go_back_to_grey_values(numbered_file):
    with h5py.File(numbered_file) as file:
        attributes = dict(file["000001"].attrs)
    assert attributes["name"] == "b.mrc"
    assert list(attributes["scale"]) == [2, 2] and list(attributes["mean"]) == [40, 40]
    assert list(attributes["hot_pixels"]) == [3, 3]


def test_float16_is_the_default_and_costs_a_thousandth_of_a_deviation(tmp_path):
    image = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    with PatchWriter(tmp_path / "p.hdf", RECIPE) as writer:
        writer.add("a", prepared(image), prepared(image))
        writer.finish({})
    with h5py.File(tmp_path / "p.hdf") as file:
        assert file["000000"].dtype == np.float16
        assert file["000000"].chunks == (2, 64, 64)
    window = PatchFile(tmp_path / "p.hdf").window(Region(0, 0, 64, 0, 64), 64)
    np.testing.assert_allclose(window[0], image, atol=2e-3)


def spoiled(path, **attributes):
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    return path


def test_a_half_written_file_is_refused(tmp_path):
    path = tmp_path / "half.hdf"
    with PatchWriter(path, RECIPE) as writer:
        writer.add("a", prepared(numbered((32, 32))), prepared(numbered((32, 32))))
    with pytest.raises(
        UserError, match=r"half\.hdf: the patch file is incomplete.*restore prepare"
    ):
        PatchFile(path)


def test_a_file_whose_writing_failed_is_refused(tmp_path):
    path = tmp_path / "half.hdf"
    with pytest.raises(ZeroDivisionError), PatchWriter(path, RECIPE):
        _ = 1 / 0
    with pytest.raises(UserError, match="the patch file is incomplete"):
        PatchFile(path)


def test_a_file_of_a_newer_version_is_refused(numbered_file):
    with pytest.raises(UserError, match=r"newer version of restore\. Update restore"):
        PatchFile(spoiled(numbered_file, format_version=3))


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.hdf", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(UserError, match="not a patch file"):
        PatchFile(tmp_path / "other.hdf")


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "text.hdf").write_text("hello" * 1000)
    with pytest.raises(UserError, match=r"text\.hdf: not a readable HDF5 file"):
        PatchFile(tmp_path / "text.hdf")


def test_a_truncated_file_is_refused(numbered_file):
    content = numbered_file.read_bytes()
    numbered_file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        PatchFile(numbered_file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent\.hdf: there is no such patch file"):
        PatchFile(tmp_path / "absent.hdf")


@pytest.mark.parametrize(
    "damage",
    [{"count": 5}, {"recipe": "{"}, {"recipe": json.dumps({"colour": "red"})}, {"provenance": "]"}],
    ids=[
        "a pair is missing",
        "recipe is no JSON",
        "recipe has other fields",
        "provenance is no JSON",
    ],
)
def test_a_file_with_damaged_contents_is_refused(numbered_file, damage):
    with pytest.raises(UserError, match=r"the patch file is damaged.*Make the patch file again"):
        PatchFile(spoiled(numbered_file, **damage))


def drawn(path, seed, indices, workers=0, patch_px=16):
    windows = RandomWindows(path, WHOLE, patch_px, seed)
    return list(DataLoader(windows, batch_size=None, sampler=indices, num_workers=workers))


def test_a_sample_follows_from_the_seed_and_its_number_alone(numbered_file):
    first = drawn(numbered_file, 3, range(20))
    again = drawn(numbered_file, 3, [19, 7, 7])
    assert (
        torch.equal(first[19], again[0])
        and torch.equal(first[7], again[1])
        and torch.equal(first[7], again[2])
    )
    assert not torch.equal(first[0], first[1])
    other = drawn(numbered_file, 4, range(20))
    assert sum(torch.equal(a, b) for a, b in zip(first, other, strict=True)) == 0


def test_worker_processes_draw_the_same_samples(numbered_file):
    alone, shared = (
        drawn(numbered_file, 3, range(12)),
        drawn(numbered_file, 3, range(12), workers=2),
    )
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_a_data_set_that_was_read_here_can_still_be_given_to_workers(numbered_file):
    windows = RandomWindows(numbered_file, WHOLE, 16, 0)
    expected = [windows[index] for index in range(6)]
    batches = list(DataLoader(windows, batch_size=None, sampler=range(6), num_workers=2))
    assert all(torch.equal(a, b) for a, b in zip(expected, batches, strict=True))


def test_both_halves_are_the_same_window_turned_the_same_way(numbered_file):
    differences = {
        float((sample[1] - sample[0]).unique()) for sample in drawn(numbered_file, 0, range(40))
    }
    assert differences == {
        0.5,
        -0.5,
    }  # one value over the whole window, and either half as the input


def test_every_window_lies_whole_inside_its_region_and_the_last_row_and_column_are_reached(
    numbered_file,
):
    region = (Region(0, 10, 40, 7, 60),)
    windows = RandomWindows(numbered_file, region, 16, 0)
    rows, columns = set(), set()
    for index in range(600):
        place = windows[index][0].floor().to(torch.int64)
        rows.update((place // 64).flatten().tolist())
        columns.update((place % 64).flatten().tolist())
    assert rows == set(range(10, 40))
    assert columns == set(range(7, 60))


def test_regions_are_drawn_from_as_often_as_they_have_places(tmp_path, numbered_file):
    windows = RandomWindows(numbered_file, WHOLE, 32, 0)
    places = [17 * 33, 25 * 9]
    share = np.mean([float(windows[index].max()) > 9000 for index in range(400)])
    assert share == pytest.approx(places[1] / sum(places), abs=0.07)


def test_all_eight_orientations_and_both_orders_occur_equally_often():
    halves = np.stack([np.arange(16.0).reshape(4, 4), np.arange(16.0).reshape(4, 4) + 100])
    plain = halves[0]
    orientations = [
        np.rot90(image, turns) for image in (plain, plain[:, ::-1]) for turns in range(4)
    ]
    counts = np.zeros((2, 8), dtype=int)
    for seed in range(800):
        one, other = _augment(halves, np.random.default_rng(seed))
        order = int(one[0, 0] >= 100)
        assert np.array_equal(other - one, np.full((4, 4), 100 - 200 * order))
        (which,) = (
            index
            for index, orientation in enumerate(orientations)
            if np.array_equal(one % 100, orientation)
        )
        counts[order, which] += 1
    assert counts.min() > 20


@given(st.integers(1, 2000), st.integers(1, 300))
def test_covering_windows_reach_every_pixel_and_none_stands_out(extent, patch):
    patch = min(patch, extent)
    starts = cover(extent, patch)
    assert len(starts) == -(-extent // patch)
    covered = np.zeros(extent, dtype=bool)
    for start in starts:
        assert start >= 0 and start + patch <= extent
        covered[start : start + patch] = True
    assert covered.all()
    steps = np.diff(starts)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


def test_covering_windows_of_regions_keep_their_pair_and_place():
    windows = covering_windows([Region(0, 0, 40, 0, 16), Region(3, 8, 40, 24, 48)], 16)
    assert {window.pair for window in windows} == {0, 3}
    assert {(w.y0, w.y1, w.x0, w.x1) for w in windows if w.pair == 3} == {
        (y, y + 16, x, x + 16) for y in (8, 24) for x in (24, 32)
    }


@given(st.integers(0, 50), st.integers(1, 5), st.integers(1, 4))
def test_the_processes_shares_are_parts_of_what_one_process_would_take(first_step, batch, world):
    shares = [
        iter(DistributedBatchSampler(first_step, batch, rank, world)) for rank in range(world)
    ]
    alone = iter(DistributedBatchSampler(first_step, batch * world, 0, 1))
    for _ in range(3):
        together = [index for share in shares for index in next(share)]
        assert together == next(alone)
    assert next(iter(DistributedBatchSampler(first_step + 3, batch * world, 0, 1))) == next(
        alone
    )  # resumed, it goes on from there
