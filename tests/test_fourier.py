"""Half spectra: crop, pad, filters and rings against sampling theory and brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore import fourier

SIDE = st.integers(2, 13)
MORE = st.integers(0, 9)


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def waves(shape, count, seed=0):
    """A sum of plane waves at integer cycles per field, below ``count``/2 along both axes, sampled
    on ``shape``.
    """
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(
        np.arange(shape[0]) / shape[0], np.arange(shape[1]) / shape[1], indexing="ij"
    )
    total = np.full(shape, 3.0)
    for _ in range(6):
        ky, kx = (int(random.integers(-((n - 1) // 2), (n - 1) // 2 + 1)) for n in count)
        total += random.normal() * np.cos(2 * np.pi * (ky * y + kx * x) + random.uniform(0, 6))
    return torch.from_numpy(total)


@given(SIDE, SIDE, MORE, MORE, st.integers(0, 99))
def test_crop_undoes_pad_at_every_combination_of_even_and_odd_sizes(
    height, width, more_y, more_x, seed
):
    small, large = (height, width), (height + more_y, width + more_x)
    spectrum = fourier.spectrum_of(noise(small, seed))
    padded = fourier.pad(spectrum, small, large)
    assert padded.shape == (large[0], large[1] // 2 + 1)
    torch.testing.assert_close(fourier.crop(padded, large, small), spectrum)


@given(SIDE, SIDE, MORE, MORE, st.integers(0, 99))
def test_an_image_cropped_or_padded_is_the_same_field_sampled_on_the_other_grid(
    height, width, more_y, more_x, seed
):
    small, large = (height, width), (height + more_y, width + more_x)
    coarse, fine = waves(small, small, seed), waves(large, small, seed)
    cropped = fourier.crop(fourier.spectrum_of(fine), large, small)
    torch.testing.assert_close(fourier.image_of(cropped, small), coarse)
    padded = fourier.pad(fourier.spectrum_of(coarse), small, large)
    torch.testing.assert_close(fourier.image_of(padded, large), fine)


@given(SIDE, SIDE, st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_pad_keeps_grey_values_at_the_points_that_both_grids_share(
    height, width, times_y, times_x, seed
):
    image = noise((height, width), seed)
    large = (height * times_y, width * times_x)
    padded = fourier.pad(fourier.spectrum_of(image), (height, width), large)
    torch.testing.assert_close(fourier.image_of(padded, large)[::times_y, ::times_x], image)


@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(2, 3), st.integers(2, 3), st.integers(0, 99)
)
def test_crop_folds_its_nyquist_frequency_as_sampling_would(half_y, half_x, times_y, times_x, seed):
    small, large = (2 * half_y, 2 * half_x), (2 * half_y * times_y, 2 * half_x * times_x)
    spectrum = fourier.spectrum_of(noise(large, seed))
    cycles_y = torch.fft.fftfreq(large[0], 1 / large[0])[:, None].abs()
    cycles_x = torch.fft.rfftfreq(large[1], 1 / large[1])[None]
    spectrum = spectrum * ((cycles_y <= half_y) & (cycles_x <= half_x))
    image = fourier.image_of(spectrum, large)
    spectrum = fourier.spectrum_of(image)
    cropped = fourier.image_of(fourier.crop(spectrum, large, small), small)
    torch.testing.assert_close(cropped, image[::times_y, ::times_x])


@given(SIDE, SIDE)
def test_pad_undoes_crop_on_band_limited_images(height, width):
    small, large = (height, width), (height + 5, width + 4)
    spectrum = fourier.spectrum_of(waves(large, small))
    there = fourier.crop(spectrum, large, small)
    torch.testing.assert_close(fourier.pad(there, small, large), spectrum, atol=1e-12, rtol=1e-9)


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 99))
def test_parseval_holds_with_the_friedel_weights(height, width, seed):
    image = noise((height, width), seed)
    power = (fourier.spectrum_of(image).abs().square() * fourier.friedel_weights(image.shape)).sum()
    torch.testing.assert_close(power, image.square().mean())


@given(st.integers(1, 14), st.integers(1, 14))
def test_a_spectrum_gives_its_image_back_at_odd_and_even_sizes(height, width):
    image = noise((height, width))
    torch.testing.assert_close(fourier.image_of(fourier.spectrum_of(image), (height, width)), image)


def test_the_mean_of_an_image_stands_at_dc():
    image = noise((9, 12)) + 5
    torch.testing.assert_close(fourier.spectrum_of(image)[0, 0].real, image.mean())


def test_leading_dimensions_are_free():
    images = noise((3, 2, 10, 11))
    spectra = fourier.spectrum_of(images)
    for change, shape in ((fourier.crop, (7, 8)), (fourier.pad, (14, 13))):
        changed = change(spectra, (10, 11), shape)
        torch.testing.assert_close(changed[2, 1], change(spectra[2, 1], (10, 11), shape))


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (10, 10), (8, 10), (10, 8)])
@pytest.mark.parametrize("change", [fourier.crop, fourier.pad])
def test_no_argument_is_changed(change, shape):
    outer = (10, 10)
    start, end = (outer, shape) if change is fourier.crop else (shape, outer)
    spectrum = fourier.spectrum_of(noise(start))
    before = spectrum.clone()
    change(spectrum, start, end).zero_()
    assert torch.equal(spectrum, before)


def test_crop_to_more_and_pad_to_less_are_refused():
    spectrum = fourier.spectrum_of(noise((8, 8)))
    with pytest.raises(ValueError, match="cannot crop"):
        fourier.crop(spectrum, (8, 8), (8, 10))
    with pytest.raises(ValueError, match="cannot pad"):
        fourier.pad(spectrum, (8, 8), (6, 8))


def test_frequencies_are_those_of_numpy_with_a_pixel_size_for_each_axis():
    expected = np.hypot(np.fft.fftfreq(9, 1.5)[:, None], np.fft.rfftfreq(12, 2.5)[None])
    np.testing.assert_allclose(fourier.frequency_per_A((9, 12), (1.5, 2.5)), expected, rtol=1e-6)


def test_the_band_pass_is_a_product_with_a_half_at_either_edge_and_nothing_at_dc():
    at = torch.tensor([0.0, 1 / 200, 1 / 100, 1 / 20, 1 / 9, 1 / 4.5])
    passed = fourier.bandpass(at, 200.0, 4.5)
    assert passed[0] == 0
    torch.testing.assert_close(passed[[1, 5]], torch.tensor([0.5, 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(passed[2], torch.tensor(2**10 / (1 + 2**10)), atol=1e-6, rtol=0)
    torch.testing.assert_close(passed[3], torch.tensor(1.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(passed[4], torch.tensor(1 / (1 + 0.5**10)), atol=1e-6, rtol=0)
    narrow = fourier.bandpass(
        torch.tensor([1 / 10]), 10.0, 10.0
    )  # a sum of the two would be 1 here
    torch.testing.assert_close(narrow, torch.tensor([0.25]))


def test_smoothstep_climbs_from_0_to_1_with_two_derivatives_zero_at_both_ends():
    t = torch.linspace(-0.5, 1.5, 201, dtype=torch.float64)
    values = fourier.smoothstep(t)
    assert (values[t <= 0] == 0).all() and (values[t >= 1] == 1).all()
    assert (values.diff() >= 0).all()
    torch.testing.assert_close(values + fourier.smoothstep(1 - t), torch.ones_like(t))
    h = 1e-4
    near = fourier.smoothstep(torch.tensor([h, 2 * h, 1 - h, 1 - 2 * h], dtype=torch.float64))
    near[2:] = 1 - near[2:]
    assert (
        near / h**2 < 100 * h
    ).all()  # a curve with slope or curvature at its ends would leave more
    assert fourier.smoothstep(torch.tensor(0.25, dtype=torch.float64)) == pytest.approx(
        6 * 0.25**5 - 15 * 0.25**4 + 10 * 0.25**3
    )


def test_the_soft_low_pass_is_one_below_its_start_and_zero_above_its_end():
    values = fourier.soft_lowpass(
        torch.tensor([0.0, 0.1, 0.15, 0.2, 0.3], dtype=torch.float64), 0.1, 0.2
    )
    torch.testing.assert_close(values, torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0], dtype=torch.float64))


def test_rings_are_centred_on_multiples_of_their_width():
    frequency = fourier.frequency_per_A((16, 16), (1.0, 1.0))
    rings = fourier.ring_index(frequency, 1 / 16)
    for ky in range(16):
        for kx in range(9):
            cycles = np.hypot(min(ky, 16 - ky), kx)
            assert abs(int(rings[ky, kx]) - cycles) <= 0.5 + 1e-6
    assert rings[0, 0] == 0 and rings[0, 8] == 8


@pytest.mark.parametrize("shape", [(64, 48), (63, 47), (64, 47), (63, 48)])
@pytest.mark.parametrize("new_shape", [(32, 24), (31, 23), (32, 23), (64, 24)])
def test_transforms_that_leave_columns_out_are_those_that_do_not(shape, new_shape):
    new_shape = (min(shape[0], new_shape[0]), new_shape[1])
    image = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    expected = fourier.crop(fourier.spectrum_of(image), shape, new_shape)
    torch.testing.assert_close(
        fourier.cropped_spectrum_of(image, new_shape), expected, atol=1e-7, rtol=1e-5
    )
    back = fourier.image_of(fourier.pad(expected, new_shape, shape), shape)
    torch.testing.assert_close(
        fourier.padded_image_of(expected, new_shape, shape), back, atol=1e-6, rtol=1e-5
    )
