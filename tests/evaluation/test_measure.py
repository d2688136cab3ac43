"""One micrograph measured: comparable views of its halves, and a table that survives the disk."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from blank_areas import micrograph as field
from blank_areas import with_border
from evaluation_world import CTF, PIXEL_A, RECIPE, SHAPE, model
from half_pairs import half_pair

from restore import fourier
from restore.ctf import ctf_sign
from restore.errors import UserError
from restore.evaluation.covariances import spread
from restore.evaluation.estimators.decomposition import PAIRS, covariance, decompose, overall
from restore.evaluation.estimators.half_identity import HalfIdentity
from restore.evaluation.estimators.resampling import estimate, resampling_weights
from restore.evaluation.estimators.spectra import patch_covariances
from restore.evaluation.half_checks import require_own_halves
from restore.evaluation.measure import (
    Measurement,
    Sampling,
    fitted,
    load_measurement,
    measure,
    sampling_for,
    save_measurement,
    support_of,
    views_of_images,
    views_of_model,
)
from restore.evaluation.records import Facts, Previews
from restore.micrograph import Micrograph
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.inference.tiling import apply_network
from restore.preprocessing import cropped_grid, prepare

UNFLIPPED = replace(RECIPE, phase_flip=False)


def micrograph(name="a"):
    return Micrograph(f"{name}.mrc", f"{name}.mrc", PIXEL_A, 0, CTF)


def halves(seed=0, shape=SHAPE, noise=1.0):
    return half_pair(shape, noise, seed)


def sampling(*views):
    return sampling_for([view.grid for view in views], RECIPE)


def views(seed=0, shape=SHAPE):
    """Raw halves beside themselves, as if denoising had done nothing."""
    raw = halves(seed, shape)
    return views_of_images(raw, raw, micrograph(), UNFLIPPED)


def whole(measurement):
    return measurement.blocks.sum(dim=0)


def test_a_model_is_applied_to_each_half_and_to_what_they_do_not_share():
    raw, known = halves(), model()
    engine = PyTorchEngine(known.network, torch.device("cpu"))
    triple = views_of_model(raw, micrograph(), known.recipe, engine)
    prepared = [prepare(half, PIXEL_A, CTF, known.recipe).image for half in raw]
    for index in (0, 1):
        assert torch.equal(triple.raw[index], prepared[index])
        assert torch.equal(triple.denoised[index], apply_network(engine, prepared[index]))
    assert torch.allclose(triple.nothing[0], (prepared[0] - prepared[1]) / 2**0.5)
    assert torch.equal(triple.nothing[1], apply_network(engine, triple.nothing[0]))
    tiled = views_of_model(raw, micrograph(), known.recipe, engine, tile_px=64)
    assert torch.allclose(tiled.denoised[0], triple.denoised[0], atol=1e-4)


def test_the_raw_halves_as_denoised_ones_are_the_raw_halves():
    triple = views()
    assert triple.nothing is None
    for raw, denoised in zip(triple.raw, triple.denoised, strict=True):
        assert torch.equal(raw, denoised)


def test_grey_values_are_kept_in_the_raw_halves_scale_and_fitted_when_asked():
    raw = halves()
    triple = views_of_images(raw, tuple(3 * half + 100 for half in raw), micrograph(), UNFLIPPED)
    assert torch.allclose(triple.denoised[0], 3 * triple.raw[0], atol=1e-3)
    again = fitted(triple)
    assert float(
        overall(whole(measure(again, None, sampling(again))))["calibration"]
    ) == pytest.approx(1, abs=0.05)
    factor = float(again.denoised[0].std() / triple.denoised[0].std())
    assert torch.allclose(again.denoised[1], factor * triple.denoised[1])
    assert torch.equal(again.raw[0], triple.raw[0])


def test_binned_images_are_compared_on_the_same_grid():
    raw = halves(shape=(240, 288))
    thin = Micrograph("a.mrc", "a.mrc", PIXEL_A / 2, 0, CTF)
    small = tuple(
        fourier.image_of(fourier.crop(fourier.spectrum_of(half), (240, 288), SHAPE), SHAPE)
        for half in raw
    )
    whole_size, binned = (views_of_images(raw, images, thin, UNFLIPPED) for images in (raw, small))
    assert binned.denoised[0].shape == whole_size.denoised[0].shape
    error = (binned.denoised[0] - whole_size.denoised[0]).std() / whole_size.denoised[0].std()
    assert float(error) < 0.02


def test_images_whose_phases_are_flipped_are_compared_with_flipped_halves():
    raw = half_pair(
        SHAPE, 1.0, seed=0, power=400.0
    )  # its signal reaches beyond the first zeros of the CTF
    sign = ctf_sign(CTF, SHAPE, (PIXEL_A, PIXEL_A))
    flipped = tuple(fourier.image_of(fourier.spectrum_of(half) * sign, SHAPE) for half in raw)
    as_said = views_of_images(raw, flipped, micrograph(), RECIPE)
    not_said = views_of_images(raw, flipped, micrograph(), UNFLIPPED)
    gains = [
        float(overall(whole(measure(triple, None, sampling(triple))))["gain"])
        for triple in (as_said, not_said)
    ]
    assert gains[0] == pytest.approx(1, abs=0.02) and gains[1] < 0.9


def test_sharp_spots_that_a_denoiser_leaves_or_makes_are_not_taken_away():
    raw = halves()
    spotted = 0.01 * raw[0]
    spotted[60, 70] += 30
    triple = views_of_images(raw, (spotted, spotted), micrograph(), UNFLIPPED)
    assert float(triple.denoised[0].max()) > 5 * float(triple.denoised[0].std())
    assert triple.hot_pixels == 0


def test_denoised_images_of_another_area_are_refused_with_both_sizes():
    with pytest.raises(
        UserError, match=r"120×120 pixels, and a raw one of 120×144\. Both must show the same area"
    ):
        views_of_images(halves(), halves(shape=(120, 120)), micrograph(), UNFLIPPED)


def test_denoised_images_that_are_binned_too_far_are_refused():
    with pytest.raises(UserError, match="finer than the image's Nyquist limit"):
        views_of_images(halves(), halves(shape=(60, 72)), micrograph(), UNFLIPPED)


@pytest.mark.parametrize(
    "side_px, patch_px", [(4000, 256), (1024, 256), (1000, 128), (400, 64), (130, 32), (32, 32)]
)
def test_patches_are_as_large_as_leaves_four_along_the_smallest_image(side_px, patch_px):
    grids = [cropped_grid((side, 8192), 4.5, 9.0) for side in (side_px, 4096)]
    sampling = sampling_for(grids, RECIPE)
    assert sampling.patch_px == patch_px and sampling.axis.count == patch_px // 4
    assert sampling.axis.count * sampling.axis.width_per_A == pytest.approx(1 / 9.0)


@pytest.mark.parametrize("patch_px", [31, 34, 64, 101, -64])
def test_patches_that_do_not_fit_are_refused(patch_px):
    with pytest.raises(
        UserError, match=f"{patch_px} pixels do not fit: the smallest image has 100"
    ):
        sampling_for([cropped_grid((100, 200), 4.5, 9.0)], RECIPE, patch_px)


def test_blocks_sum_to_the_variances_of_the_images():
    triple = views(shape=(260, 200))
    table = whole(measure(triple, None, sampling(triple)))
    assert float(covariance(table, "M1", "M1").sum()) == pytest.approx(1, abs=0.1)
    assert torch.allclose(covariance(table, "D1", "D2"), covariance(table, "M1", "M2"))
    assert (
        covariance(table, "X", "X").isnan().all() and covariance(table, "M1", "M2'").isnan().all()
    )


def test_at_most_sixteen_blocks_are_kept_of_any_image():
    large, small = views(shape=(500, 300)), views(shape=(64, 80))
    assert len(measure(large, None, Sampling(32, sampling(small).axis)).blocks) == 16
    assert len(measure(small, None, sampling(small)).blocks) == 12  # 3 × 4 patches of 32


def test_an_image_is_unpaired_with_itself_as_its_halves_are_with_each_other():
    triple = views()
    table = measure(triple, triple, sampling(triple)).blocks
    scale = float(triple.raw[0].std() / triple.raw[1].std())
    assert torch.allclose(
        covariance(table, "M1", "M2'"), scale * covariance(table, "M1", "M2"), atol=1e-7
    )
    assert torch.allclose(
        covariance(table, "D1", "D2'"), scale * covariance(table, "D1", "D2"), atol=1e-7
    )


@pytest.mark.parametrize("shape", [SHAPE, (300, 300), (90, 200), (80, 80)])
def test_unrelated_micrographs_of_any_shape_have_nothing_in_common(shape):
    mine, other = views(), views(seed=9, shape=shape)
    estimates = overall(whole(measure(mine, other, sampling(mine, other))))
    assert abs(float(estimates["unpaired_raw"])) < 0.1 < float(estimates["frc_raw"])


def test_the_unpaired_test_is_a_correlation_in_each_ring_whatever_the_neighbours_spectrum():
    ring, generator = 5, torch.Generator().manual_seed(0)
    first, other = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    first = first + 0.5 * other
    mine = views_of_images((first, first), (first, first), micrograph(), UNFLIPPED)
    chosen = sampling(mine)
    neighbour = views_of_images((other, other), (other, other), micrograph(), UNFLIPPED)
    frequency = fourier.frequency_per_A(mine.grid.shape, mine.grid.pixel_size_yx_A)
    beyond = (frequency / chosen.axis.width_per_A).round() != ring
    image = neighbour.raw[1]
    boosted = fourier.image_of(
        fourier.spectrum_of(image) * torch.where(beyond, 1.0, 10.0), tuple(image.shape)
    )
    strong = replace(neighbour, raw=(boosted, boosted), denoised=(boosted, boosted))
    table = whole(measure(mine, strong, chosen))
    pairs = [(0, 1), (0, 0), (1, 1)]
    stack = torch.stack([mine.raw[0], boosted])
    patches = patch_covariances(
        stack, pairs, mine.grid.pixel_size_yx_A, chosen.patch_px, chosen.axis
    )
    both, own, others = patches.double().sum(dim=(0, 1))
    for name in ("unpaired_raw", "unpaired_denoised"):
        values = decompose(table)[name]
        assert float(values.abs().max()) <= 1 and float(values[ring - 1]) > 0.2
        assert torch.allclose(values, both / (own * others).sqrt(), atol=1e-4)


def test_a_neighbours_grey_scale_does_not_matter():
    mine, other = views(), views(seed=9)
    bright = replace(other, denoised=(other.denoised[0], 50 * other.denoised[1]))
    tables = [measure(mine, neighbour, sampling(mine)).blocks for neighbour in (other, bright)]
    assert torch.allclose(*tables, equal_nan=True, atol=1e-7)


def test_the_support_window_is_in_angstroms():
    triple = views(shape=(240, 288))
    fine, coarse = (support_of(triple, window_A).slope.shape for window_A in (150.0, 300.0))
    assert fine[0] / coarse[0] == pytest.approx(2, abs=0.3)


def test_a_measurement_comes_back_from_the_disk(tmp_path):
    triple = views()
    measurement = replace(
        measure(triple, None, sampling(triple)),
        facts=Facts(
            fingerprint="f", preview=Previews("ä.jpg", "b.jpg", None, 4, 3, 1.5), refuted=math.pi
        ),
    )
    save_measurement(tmp_path / "new/a.npz", measurement)
    again = load_measurement(tmp_path / "new/a.npz")
    assert again.facts == measurement.facts
    assert torch.allclose(again.blocks, measurement.blocks, rtol=1e-6, equal_nan=True)
    assert again.blocks.shape[1] == len(PAIRS)


def cut(path):
    path.write_bytes(path.read_bytes()[:-400])


def spoil(path):
    content = bytearray(path.read_bytes())
    content[300:340] = bytes(40)
    path.write_bytes(content)


def other_archive(path):
    with path.open("wb") as file:
        np.savez(file, something=np.zeros(3))


def pickled(path):
    with path.open("wb") as file:
        np.savez(file, blocks=np.array([{}], dtype=object), facts=np.array([{}], dtype=object))


@pytest.mark.parametrize("damage", [cut, spoil, other_archive, pickled,
                                    lambda path: path.write_text("x"),
                                    lambda path: path.write_bytes(b"")])  # fmt: skip
def test_a_damaged_measurement_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.npz"
    save_measurement(path, Measurement(torch.ones(2, len(PAIRS), 8), Facts(fingerprint="f")))
    damage(path)
    with pytest.raises(
        UserError, match=r"a\.npz: not a readable measurement .*Delete it and evaluate again"
    ):
        load_measurement(path)


FIELD = (320, 384)


def bordered_views(width, value=0.0, seeds=(1, 2)):
    """Views of two halves with a border on all sides, none where ``width`` is 0."""
    raw = [field(FIELD, seed) for seed in seeds]
    denoised = [smoothed_image(half) for half in raw]
    if width:
        raw = [with_border(half, width, value) for half in raw]
        denoised = [with_border(half, width, value) for half in denoised]
    return views_of_images(tuple(raw), tuple(denoised), micrograph(), UNFLIPPED)


def smoothed_image(image):
    """The image under a small Gaussian, its mean kept."""
    frequency = fourier.frequency_per_A(tuple(image.shape), (PIXEL_A, PIXEL_A))
    spectrum = fourier.spectrum_of(image) * torch.exp(-((20 * frequency) ** 2))
    return fourier.image_of(spectrum, tuple(image.shape))


@pytest.mark.parametrize("width", [1, 2, 8, 40])
def test_a_border_without_data_changes_no_number(width):
    clean, around = bordered_views(0), bordered_views(width)
    numbers = [overall(whole(measure(seen, None, Sampling(32, sampling(clean).axis))).double())
               for seen in (clean, around)]  # fmt: skip
    for name in ("frc_raw", "snr_raw", "gain", "correlation_denoised"):
        assert float(numbers[1][name]) == pytest.approx(float(numbers[0][name]), rel=0.1), name
    assert around.blank is not None and clean.blank is None
    assert measure(around, None, sampling(around)).facts.blank_share == pytest.approx(
        1 - (FIELD[0] - 2 * width) * (FIELD[1] - 2 * width) / FIELD[0] / FIELD[1]
    )


def test_blank_pixels_never_reach_a_covariance():
    seen = bordered_views(40)
    spoiled = replace(
        seen,
        raw=tuple(half.masked_fill(seen.blank, 1e6) for half in seen.raw),
        denoised=tuple(half.masked_fill(seen.blank, 1e6) for half in seen.denoised),
    )
    neighbour = bordered_views(8, seeds=(3, 4))
    chosen = sampling(seen)
    one, other = (measure(views_, neighbour, chosen).blocks for views_ in (seen, spoiled))
    assert torch.equal(one.nan_to_num(), other.nan_to_num())
    assert not covariance(one, "M1", "M2'").isnan().any()


def test_a_neighbour_without_data_in_one_block_leaves_the_unpaired_test_its_interval():
    mine, other = (
        views_of_images(raw, raw, micrograph(), UNFLIPPED)
        for raw in (
            tuple(field(FIELD, 10 * scene + seed, scene) for seed in (1, 2)) for scene in (0, 1)
        )
    )
    blank = torch.zeros(other.grid.shape, dtype=torch.bool)
    blank[: blank.shape[0] // 4, : blank.shape[1] // 4] = True
    chosen, width = Sampling(32, sampling(mine).axis), {}
    for name, neighbour in {"whole": other, "masked": replace(other, blank=blank)}.items():
        blocks = measure(mine, neighbour, chosen).blocks.double()
        weights = resampling_weights(len(blocks), 1000, seed=0)
        unpaired = estimate(blocks, overall, 0.9, weights)["unpaired_raw"]
        assert len(blocks) == 16 and abs(float(unpaired.value)) < 0.1
        width[name] = float(unpaired.high - unpaired.low)
    assert width["masked"] == pytest.approx(width["whole"], rel=0.3)


@pytest.mark.parametrize("parts", [16, 15, 9, 4, 1, 20])
def test_parts_that_are_spread_over_blocks_keep_their_sum(parts):
    rings = torch.randn(parts, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blocks = spread(rings, 16)
    assert torch.allclose(blocks.sum(dim=0), rings.sum(dim=0))
    if parts < 16:
        assert int((blocks != 0).all(dim=1).sum()) == parts


def test_the_support_map_is_blank_where_there_are_no_data():
    seen = bordered_views(40)
    support = support_of(seen, 60.0)
    assert support.slope[0].isnan().all() and support.slope[:, -1].isnan().all()
    middle = tuple(side // 2 for side in support.slope.shape)
    assert not support.slope[middle].isnan()
    assert 0 <= support.share(support.confirmed) <= 1


def test_a_micrograph_without_one_whole_patch_is_refused():
    seen = bordered_views(8)
    blank = torch.zeros_like(seen.blank)
    blank[::10] = True
    with pytest.raises(UserError, match="no patch of 32 pixels is free of pixels without data"):
        measure(replace(seen, blank=blank), None, Sampling(32, sampling(seen).axis))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda one, other: (other, one), "exchanged"),
        (lambda one, other: ((one + other) / 2,) * 2, "made from one image"),
        (lambda one, other: (-one, -other), "inverted"),
    ],
)
def test_denoised_halves_of_other_images_are_told_and_not_measured(wrong, word):
    raw = tuple(field(FIELD, seed) for seed in (1, 2))
    denoised = [smoothed_image(half) for half in raw]
    require_own_halves(views_of_images(raw, tuple(denoised), micrograph(), UNFLIPPED))
    seen = views_of_images(raw, wrong(*denoised), micrograph(), UNFLIPPED)
    with pytest.raises(UserError, match=f"the denoised halves look {word}"):
        require_own_halves(seen)


def test_denoised_halves_whose_origin_cannot_be_told_are_named(caplog, monkeypatch):
    raw = tuple(field(FIELD, seed) for seed in (1, 2))
    views = views_of_images(raw, tuple(map(smoothed_image, raw)), micrograph(), UNFLIPPED)
    require_own_halves(views, "a.mrc")
    assert caplog.text == ""
    unknown = HalfIdentity(0.0, 0.1, 0.5, 0.01)
    monkeypatch.setattr("restore.evaluation.half_checks.half_identity", lambda *_: unknown)
    require_own_halves(views, "a.mrc")
    assert "a.mrc: too little is left of the noise to tell" in caplog.text
