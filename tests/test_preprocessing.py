"""The one road: what comes out of it, what it leaves alone, and the way back."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import torch
from blank_areas import AREAS, micrograph, with_border
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate, max_pool2d, pad

from restore import fourier
from restore.background import without_background
from restore.border_jump import BorderJump
from restore.errors import UserError
from restore.hot_pixels import replace_hot_pixels
from restore.micrograph import CTFParameters
from restore.preprocessing import (
    Recipe,
    cropped_grid,
    prepare,
    prepare_alike,
    prepare_masked,
    restored_spectrum,
    transfer,
)
from restore.records import decoded

CTF = CTFParameters(12000.0, 10000.0, 30.0, 300.0, 2.7, 0.07)
PLAIN = Recipe(max_resolution_A=5.0, phase_flip=False)
FLIPPED = Recipe(max_resolution_A=5.0, phase_flip=True)


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ramp(shape, strength):
    y, x = torch.linspace(-1, 1, shape[0])[:, None], torch.linspace(-1, 1, shape[1])[None]
    return strength * (2 * x - y + x * y + x.square() - 0.5 * y.square())


def edge_bands(image, width=8):
    """The means of the four border strips."""
    return torch.stack(
        [
            image[:width].mean(),
            image[-width:].mean(),
            image[:, :width].mean(),
            image[:, -width:].mean(),
        ]
    )


@given(st.integers(240, 5000), st.integers(240, 5000), st.floats(0.5, 2.0), st.floats(4.5, 6.0))
def test_the_cropped_grid_has_even_sides_and_spans_the_same_field(
    height, width, pixel_size_A, resolution_A
):
    grid = cropped_grid((height, width), pixel_size_A, resolution_A)
    assert grid.shape[0] % 2 == grid.shape[1] % 2 == 0
    for old, new, pixel in zip((height, width), grid.shape, grid.pixel_size_yx_A, strict=True):
        assert new * pixel == pytest.approx(old * pixel_size_A)
        assert new <= old
        assert pixel == pytest.approx(resolution_A / 2, rel=1.01 / new) or old - new <= 1


def test_a_pixel_size_that_no_micrograph_has_is_to_be_checked_and_no_resolution_is_proposed():
    with pytest.raises(UserError, match=r"66\.7 Å is too large for a micrograph: check") as no:
        cropped_grid((400, 400), 66.7, 4.5)
    assert "`max_resolution_A`" not in str(no.value)


def test_a_resolution_finer_than_nyquist_is_refused_with_both_numbers_and_a_value_that_works():
    with pytest.raises(UserError) as caught:
        cropped_grid((400, 400), 1.53, 3.0)
    assert str(caught.value) == (
        "max_resolution 3 Å is finer than the image's Nyquist limit, 3.06 Å. Give "
        "`max_resolution_A` 3.1 or more."
    )
    cropped_grid((400, 400), 1.53, 3.1)
    cropped_grid((400, 400), 1.53, 3.06)


def test_an_image_with_too_little_left_is_refused_with_its_size():
    with pytest.raises(UserError, match="200×300 pixels has only 22×34 left at 9 Å"):
        cropped_grid((200, 300), 0.5, 9.0)


@pytest.mark.parametrize("resolution_A", [0.0, -4.0, 200.0, float("nan")])
def test_a_recipe_with_an_impossible_resolution_is_refused(resolution_A):
    with pytest.raises(UserError, match="max_resolution"):
        Recipe(max_resolution_A=resolution_A)


def test_a_recipe_survives_its_card_and_a_card_with_other_fields_is_refused():
    recipe = Recipe(max_resolution_A=6.5, phase_flip=False, hot_pixel_sigma=8.0)
    assert decoded(Recipe, recipe.card(), "card") == recipe
    with pytest.raises(UserError, match=r'it has "colour", which is none of its fields'):
        decoded(Recipe, recipe.card() | {"colour": "red"}, "card")


@pytest.mark.parametrize("shape", [(100, 120), (101, 120), (100, 131), (111, 97)])
def test_what_the_network_sees_has_zero_mean_and_unit_deviation(shape):
    prepared = prepare(noise(shape) * 7 + 40, 2.0, CTF, FLIPPED)
    assert abs(float(prepared.image.mean())) < 1e-5
    assert float(prepared.image.std()) == pytest.approx(1, abs=1e-5)
    assert prepared.mean == pytest.approx(40, abs=1)
    assert prepared.grid == cropped_grid(shape, 2.0, 5.0)
    assert tuple(prepared.image.shape) == prepared.grid.shape


def test_grey_scale_and_offset_of_the_input_do_not_matter():
    image = noise((96, 96))
    one, other = prepare(image, 2.0, None, PLAIN), prepare(image * 25 - 300, 2.0, None, PLAIN)
    torch.testing.assert_close(one.image, other.image, atol=1e-3, rtol=0)
    assert other.scale == pytest.approx(25 * one.scale, rel=1e-3)


def test_a_prepared_image_is_never_the_raw_one_changed():
    raw = noise((96, 96))
    raw[10, 10] = 100
    before = raw.clone()
    prepare(raw, 2.0, CTF, FLIPPED)
    assert torch.equal(raw, before)


def test_an_ice_gradient_leaves_no_border():
    shape = (192, 224)
    image = noise(shape)
    flat, sloped = (
        prepare(image, 2.0, None, PLAIN),
        prepare(image + ramp(shape, 20.0), 2.0, None, PLAIN),
    )
    assert (edge_bands(sloped.image) - edge_bands(flat.image)).abs().max() < 0.05
    assert (sloped.image - flat.image).abs().max() < 0.1
    untreated = prepare(image + ramp(shape, 20.0), 2.0, None, replace(PLAIN, background_order=0))
    assert (
        edge_bands(untreated.image) - edge_bands(flat.image)
    ).abs().max() > 0.5  # so the test can fail


def test_the_background_is_the_polynomial_itself_where_there_is_nothing_else():
    surface = (
        ramp((160, 128), 10.0) + 5
    )  # whole blocks: their means of squares differ from the middle by a constant
    background = surface - without_background(surface, 2)
    assert (background - surface).abs().max() < 0.05
    assert (background - surface).std() < 0.01
    assert (surface - without_background(surface, 0)).std() < 1e-5


def test_an_image_with_nothing_in_the_band_is_refused():
    with pytest.raises(UserError, match="constant in the band"):
        prepare(torch.full((96, 96), 7.0), 2.0, None, PLAIN)


def test_flipping_phases_twice_leaves_the_band_pass_squared():
    grid = cropped_grid((150, 141), 2.0, 5.0)
    flip, band = transfer(grid, CTF, FLIPPED), transfer(grid, None, PLAIN)
    assert (flip < 0).any()
    torch.testing.assert_close(flip.square(), band.square())


def test_the_flip_changes_signs_alone():
    raw = noise((150, 141))
    flipped, plain = prepare(raw, 2.0, CTF, FLIPPED), prepare(raw, 2.0, CTF, PLAIN)
    sign = torch.where(transfer(flipped.grid, CTF, FLIPPED) < 0, -1.0, 1.0)
    rows = torch.arange(flipped.grid.shape[0]) != flipped.grid.shape[0] // 2
    inside = (rows, slice(0, -1))  # the sign at Nyquist is that of two different components at once
    back, expected = (
        fourier.spectrum_of(prepared.image * prepared.scale)[inside] * turn
        for prepared, turn in ((flipped, sign[inside]), (plain, 1.0))
    )
    torch.testing.assert_close(back, expected, atol=1e-6, rtol=1e-3)
    assert not torch.allclose(flipped.image, plain.image, atol=0.3)


def test_flipping_phases_without_a_ctf_says_what_to_do():
    with pytest.raises(UserError, match=r"the CTF is not known.*`phase_flip=False`"):
        prepare(noise((96, 96)), 2.0, None, FLIPPED)


def on_the_full_grid(prepared):
    """The spectrum of a denoised image in which nothing was changed, and its frequencies (1/Å)."""
    grid = prepared.grid
    spectrum = fourier.pad(restored_spectrum(prepared.image, prepared), grid.shape, grid.full_shape)
    return spectrum, fourier.frequency_per_A(grid.full_shape, (grid.full_pixel_size_A,) * 2)


SHAPES = [(120, 128), (121, 128), (120, 133), (127, 111)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cycles", [(0, 9), (7, 0), (-5, 8), (12, 12)])
def test_a_wave_inside_the_band_keeps_its_amplitude(shape, cycles):
    y, x = torch.arange(shape[0])[:, None] / shape[0], torch.arange(shape[1])[None] / shape[1]
    image = 6 + 3 * torch.cos(2 * torch.pi * (cycles[0] * y + cycles[1] * x) + 0.4)
    prepared = prepare(image, 2.0, None, replace(PLAIN, background_order=0))
    assert float((prepared.image * prepared.scale).square().mean()) == pytest.approx(
        9 / 2, rel=2e-2
    )
    spectrum, frequency = on_the_full_grid(prepared)
    index = (cycles[0] % shape[0], cycles[1])
    whole = fourier.spectrum_of(image)
    passed = fourier.bandpass(frequency[index], PLAIN.highpass_A, PLAIN.max_resolution_A)
    torch.testing.assert_close(spectrum[index], whole[index] * passed, atol=1e-4, rtol=1e-3)
    assert float(spectrum[0, 0].real) == pytest.approx(float(image.mean()), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_is_the_band_limited_input_in_its_own_grey_values(shape):
    image = noise(shape) * 12 + 55
    prepared = prepare(image, 2.0, None, replace(PLAIN, background_order=0))
    spectrum, frequency = on_the_full_grid(prepared)
    nyquist = min(0.5 / side for side in prepared.grid.pixel_size_yx_A)
    expected = fourier.spectrum_of(image) * fourier.bandpass(
        frequency, PLAIN.highpass_A, PLAIN.max_resolution_A
    )
    expected = expected * fourier.soft_lowpass(frequency, 0.97 * nyquist, nyquist)
    expected[0, 0] = image.mean()
    torch.testing.assert_close(
        fourier.image_of(spectrum, shape), fourier.image_of(expected, shape), atol=0.05, rtol=0
    )
    assert (spectrum[frequency > 1.001 * nyquist].abs() == 0).all()


@pytest.mark.timeout(120)
def test_the_ice_gradient_of_a_real_field_leaves_no_dark_or_bright_border(shared_data, monkeypatch):
    with mrcfile.open(shared_data / "k2" / "k2_field1_DW.mrc") as file:
        image = torch.from_numpy(np.asarray(file.data, dtype=np.float32))
    recipe = Recipe(max_resolution_A=9.0, phase_flip=False)
    prepared = prepare(image, 0.85378, None, recipe)
    for width in (4, 8, 16):
        assert edge_bands(prepared.image, width).abs().max() < 0.1
    zeros = BorderJump(*(torch.zeros(side) for side in image.shape))
    monkeypatch.setattr("restore.preprocessing.flat.fit_border_jump", lambda *_: zeros)
    untreated = prepare(image, 0.85378, None, replace(recipe, background_order=0))
    assert edge_bands(untreated.image, 4).abs().max() > 0.3  # so the test can fail


BORDERS = [1, 2, 8, 40]
FIELD = (768, 832)
INTERIOR = (slice(104, -104), slice(104, -104))  # the high-pass reaches 200 Å


@pytest.mark.parametrize("value", [0.0, 120.0, 200.0])
@pytest.mark.parametrize("width", BORDERS)
def test_a_border_without_data_leaves_the_rest_as_it_was(width, value):
    image = micrograph(FIELD, 1)
    # What phase flipping spreads over the interior is the lost content of the border itself: its
    # variance is under 1 % as well, without flipping the deviation is.
    for recipe, most in ((PLAIN, 0.01), (FLIPPED, 0.01**0.5)):
        bordered = prepare(with_border(image, width, value), 2.0, CTF, recipe)
        whole = prepare(image, 2.0, CTF, recipe)
        before, after = (seen.image[INTERIOR] * seen.scale for seen in (whole, bordered))
        assert float((after - before).std() / before.std()) < most
    assert bordered.mean == pytest.approx(whole.mean, abs=0.2)
    assert bordered.scale == pytest.approx(whole.scale, rel=0.01)
    assert bordered.blank_pixels == 2 * width * (sum(FIELD) - 2 * width)
    assert bordered.hot_pixels == 0


@pytest.mark.parametrize("name", AREAS)
def test_an_area_without_data_leaves_the_rest_as_it_was(name):
    image = micrograph(FIELD, 1)
    masked, _, near = AREAS[name](image)
    prepared, whole = prepare(masked, 2.0, None, PLAIN), prepare(image, 2.0, None, PLAIN)
    far = pad(near[None, None].float(), (30,) * 4, mode="replicate")
    far = max_pool2d(far, 61, stride=1)
    far = interpolate(far, size=whole.grid.shape, mode="area")[0, 0] == 0
    ratio = (prepared.image[far] - whole.image[far]).std() / whole.image[far].std()
    assert float(ratio) < 0.05
    assert float(prepared.image[far].std()) == pytest.approx(1, abs=0.05)
    assert prepared.blank is not None and not (prepared.blank & far).any()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("valid", [slice(300), slice(100)])
def test_hot_pixels_are_found_if_most_of_the_image_holds_no_data(valid, sign):
    image = micrograph(FIELD, 1)
    masked = torch.zeros_like(image)
    masked[valid] = image[valid]
    places = [(3, 5), (40, 700), (71, 0), (72, 1), (99, 831)]
    hot = masked.clone()
    for place in places:
        hot[place] += 600 * sign
    prepared, without = (prepare(seen, 2.0, None, PLAIN) for seen in (hot, masked))
    assert (without.hot_pixels, prepared.hot_pixels) == (0, 5)
    assert float((prepared.image - without.image).std()) < 0.05


def test_a_hot_pixel_beside_a_border_gets_the_value_of_pixels_that_hold_data():
    image, blank = noise((96, 96)), torch.zeros(96, 96, dtype=torch.bool)
    blank[:, :40] = True
    image[blank] = -1000.0
    hot = image.clone()
    hot[50, 40] += 60
    for border in (hot, hot.masked_fill(blank, torch.nan)):
        clean, count = replace_hot_pixels(border, 10.0, blank)
        assert count == 1
        assert abs(float(clean[50, 40])) < 2
        assert torch.equal(clean[blank].nan_to_num(), border[blank].nan_to_num())


def test_two_halves_share_one_mask_and_have_no_signal_in_it():
    halves = [micrograph(FIELD, seed) for seed in (1, 2)]
    halves[0][:10], halves[1][:, -30:] = 0, 0
    one, other = prepare_alike(halves, 2.0, None, PLAIN)
    assert one.blank is not None and other.blank is not None
    assert torch.equal(one.blank, other.blank)
    assert one.blank[:8].all() and one.blank[:, -24:].all()
    common = torch.corrcoef(torch.stack([one.image[one.blank], other.image[one.blank]]))[0, 1]
    assert abs(float(common)) < 0.1


def test_a_border_in_both_halves_is_no_signal():
    def correlation(width):
        halves = [micrograph(FIELD, seed) for seed in (1, 2)]
        if width:
            halves = [with_border(half, width) for half in halves]
        one, other = prepare_alike(halves, 2.0, None, PLAIN)
        return float((one.image * other.image).mean())

    clean = correlation(0)
    assert all(correlation(width) < clean + 0.01 for width in BORDERS)


def test_an_image_without_blank_pixels_goes_the_way_it_always_went():
    image = micrograph(FIELD, 1)
    (masked,) = prepare_masked([image], 2.0, CTF, FLIPPED, None)
    prepared = prepare(image, 2.0, CTF, FLIPPED)
    assert prepared.blank is None and prepared.blank_pixels == 0
    assert torch.equal(prepared.image, masked.image)
    assert (prepared.scale, prepared.mean) == (masked.scale, masked.mean)


def test_an_image_of_which_next_to_nothing_holds_data_is_refused():
    image = with_border(micrograph(FIELD, 1), 330)
    with pytest.raises(UserError, match=r"only 2.9 % of the pixels hold data"):
        prepare(image, 2.0, None, PLAIN)


@pytest.mark.parametrize(
    "field",
    [
        {"phase_flip": "no"},
        {"hot_pixel_sigma": -5.0},
        {"hot_pixel_sigma": float("nan")},
        {"highpass_A": "200"},
        {"background_order": -1},
        {"background_order": 1.5},
        {"background_order": True},
        {"max_resolution_A": True},
    ],
)
def test_a_recipe_of_impossible_values_is_refused_by_name(field):
    recipe = Recipe()
    for name, value in field.items():
        object.__setattr__(recipe, name, value)  # as a file would, past the types of the tests
    with pytest.raises(UserError, match=next(iter(field)).removesuffix("_A")):
        recipe.__post_init__()


@pytest.mark.parametrize("defocus_A", [0.0, 1.289, -12000.0, 99.0])
def test_a_defocus_that_cannot_be_one_is_refused_where_phases_are_flipped(defocus_A):
    wrong = replace(CTF, defocus_v_A=defocus_A)
    with pytest.raises(UserError, match=f"the defocus is {defocus_A:g} Å .rlnDefocusV"):
        prepare(noise((96, 96)), 2.0, wrong, FLIPPED)
    prepare(noise((96, 96)), 2.0, wrong, PLAIN)
    prepare(noise((96, 96)), 2.0, replace(wrong, phase_shift_deg=90.0), FLIPPED)
