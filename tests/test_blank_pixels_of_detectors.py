"""What detectors and other programs leave in images: what holds data is not taken for blank."""

import pytest
import torch
from blank_areas import micrograph, radius

from restore.blank_pixels import find_blank_pixels
from restore.micrograph import CTFParameters
from restore.preprocessing import Recipe, prepare, prepare_masked

SHAPE = (640, 704)
CTF = CTFParameters(12000.0, 10000.0, 30.0, 300.0, 2.7, 0.07)


def counts(shape, electrons):
    return torch.poisson(torch.full(shape, electrons), generator=torch.Generator().manual_seed(0))


def gain():
    return 1 + 0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))


def across():
    return torch.linspace(-1, 1, SHAPE[1])


def hot_lines(image):
    image[:, 300] += 80
    image[:, 301] *= 3
    image[200] += 150
    return image


def padded_with_noise(image):
    padding = image.std() * torch.randn(12, SHAPE[1], generator=torch.Generator().manual_seed(5))
    image[:12] = image.mean() + padding
    return image


WITH_DATA = {
    "hot rows and columns": hot_lines,
    "padding with noise of the image's own strength": padded_with_noise,
    "a steep edge of carbon": lambda image: image - 120 * torch.sigmoid((across() - 0.3) * 60),
    "a hard edge of gold": lambda image: torch.where(across() > 0.4, 0.5 * image - 40, image),
    "a strong gradient": lambda image: image + 150 * across(),
    "half of all pixels clipped": lambda image: image.clamp(max=200.0),
}


@pytest.mark.parametrize("name", WITH_DATA)
def test_what_holds_data_is_prepared_as_if_nothing_had_been_searched(name):
    image = WITH_DATA[name](micrograph(SHAPE, 1))
    assert find_blank_pixels(image) is None
    recipe = Recipe(max_resolution_A=5.0)
    (unsearched,) = prepare_masked([image], 2.0, CTF, recipe, None)
    prepared = prepare(image, 2.0, CTF, recipe)
    assert torch.equal(prepared.image, unsearched.image)
    assert (prepared.scale, prepared.mean) == (unsearched.scale, unsearched.mean)


@pytest.mark.parametrize("electrons", [0.05, 0.1, 0.2, 0.5, 1.0])
def test_counting_images_of_a_low_dose_hold_data(electrons):
    assert find_blank_pixels(counts(SHAPE, electrons)) is None


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("electrons", [0.05, 0.2, 1.0])
def test_images_rendered_on_a_finer_grid_repeat_each_pixel_and_hold_data(electrons, factor):
    coarse = counts((SHAPE[0] // factor, SHAPE[1] // factor), electrons)
    fine = coarse.repeat_interleave(factor, dim=0).repeat_interleave(factor, dim=1)
    assert find_blank_pixels(fine) is None


@pytest.mark.parametrize("scale", [1, 4, 16])
def test_counts_times_the_gain_in_eight_bits_hold_data(scale):
    image = (counts(SHAPE, 5.0) * gain() * scale).round().clamp(-128, 127)
    assert find_blank_pixels(image) is None


@pytest.mark.parametrize("columns", [1, 2])
def test_dead_columns_set_to_the_mean_are_found_to_the_pixel(columns):
    image, dead = micrograph(SHAPE, 1), torch.zeros(SHAPE, dtype=torch.bool)
    dead[:, 300 : 300 + columns] = True
    image[dead] = image.mean()
    blank = find_blank_pixels(image)
    assert blank is not None and torch.equal(blank, dead)


def test_padding_with_the_mean_is_found_to_the_pixel():
    image, padding = micrograph(SHAPE, 1), torch.zeros(SHAPE, dtype=torch.bool)
    padding[:12], padding[:, -7:] = True, True
    image[padding] = image.mean()
    blank = find_blank_pixels(image)
    assert blank is not None and torch.equal(blank, padding)


def test_an_area_that_saturates_the_detector_is_found_to_the_pixel():
    saturated = radius(SHAPE) < 60
    blank = find_blank_pixels(torch.where(saturated, 230.0, micrograph(SHAPE, 1)))
    assert blank is not None and torch.equal(blank, saturated)


def test_dead_lines_of_two_constants_are_found_to_the_pixel():
    image, dead = micrograph(SHAPE, 1), torch.zeros(SHAPE, dtype=torch.bool)
    image[:2], image[2], image[-1], image[:, -3:] = 0, 170, 0, 4095
    dead[:3], dead[-1], dead[:, -3:] = True, True, True
    blank = find_blank_pixels(image)
    assert blank is not None and torch.equal(blank, dead)
