"""Pixels without data: found where there are some, and nowhere else."""

import mrcfile
import numpy as np
import pytest
import torch
from blank_areas import AREAS, micrograph, radius

from restore.blank_pixels import find_blank_pixels, union

SHAPE = (640, 704)


@pytest.mark.parametrize("value", [0.0, "minimum", 30.0, -5000.0, 200.0])
@pytest.mark.parametrize("sides", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 8, 40])
def test_a_border_is_found_to_the_pixel(width, sides, value):
    image, blank = micrograph(SHAPE, 1), torch.zeros(SHAPE, dtype=torch.bool)
    strips = [
        (slice(width),),
        (slice(-width, None),),
        (slice(None), slice(width)),
        (slice(None), slice(-width, None)),
    ]
    for strip in strips[:sides]:
        blank[strip] = True
    value = float(image[~blank].min()) if value == "minimum" else value
    pixels_without_data = find_blank_pixels(torch.where(blank, value, image))
    assert pixels_without_data is not None and torch.equal(pixels_without_data, blank)


def test_a_border_of_the_images_own_minimum_is_found():
    image = micrograph(SHAPE, 1)
    image[:, -2:] = image.min()
    blank = find_blank_pixels(image)
    assert blank is not None and blank[:, -2:].all() and blank.sum() == 2 * SHAPE[0]


@pytest.mark.parametrize("name", AREAS)
def test_an_area_without_data_is_found_and_little_else(name):
    image, blank, near = AREAS[name](micrograph(SHAPE, 2))
    pixels_without_data = find_blank_pixels(image)
    assert pixels_without_data is not None
    assert pixels_without_data[blank].float().mean() > 0.999
    assert pixels_without_data[~near].float().mean() < 0.002


def test_a_far_off_border_with_noise_of_its_own_is_found():
    image = micrograph(SHAPE, 3)
    image[:6] = 80 + 10 * torch.randn(6, SHAPE[1])
    blank = find_blank_pixels(image)
    assert blank is not None and blank[:6].all() and not blank[6:].any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("electrons", [0.05, 0.3, 1.0, 5.0, 20.0])
def test_counting_images_repeat_their_values_and_have_data_everywhere(electrons, seed):
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(electrons / 2, 2 * electrons, 600)[:, None].expand(600, 512)
    assert find_blank_pixels(torch.poisson(ramp, generator=generator)) is None


@pytest.mark.parametrize("electrons", [0.3, 1.0, 20.0])
def test_a_border_of_zeros_is_found_in_counting_images(electrons):
    counts = torch.poisson(torch.full(SHAPE, electrons), generator=torch.Generator().manual_seed(4))
    counts[:3] = 0
    counts[:, -20:] = 0
    blank = find_blank_pixels(counts)
    assert blank is not None and blank[:3].all() and blank[:, -20:].all()
    assert blank[4:, :-22].sum() < 100


def test_gold_and_carbon_edges_hold_data():
    image = micrograph(SHAPE, 5)
    gold = torch.where(torch.arange(SHAPE[1]) > 500, 60 + (image - 200) * 0.5, image)
    carbon = torch.where(radius(SHAPE) > 300, 170 + (image - 200) * 0.9, image)
    assert find_blank_pixels(gold) is None
    assert find_blank_pixels(carbon) is None
    gold[:, -2:] = 0
    blank = find_blank_pixels(gold)
    assert blank is not None and blank.sum() == 2 * SHAPE[0]


def test_an_ice_gradient_and_hot_pixels_hold_data():
    y, x = torch.linspace(-1, 1, SHAPE[0])[:, None], torch.linspace(-1, 1, SHAPE[1])
    image = micrograph(SHAPE, 6) + 100 * y + 60 * x * y
    image[::37, ::41] += 1e5
    image[0, :40] += 1e6
    assert find_blank_pixels(image) is None


def test_an_image_without_any_noise_is_not_searched():
    assert find_blank_pixels(torch.full((96, 96), 7.0)) is None
    assert find_blank_pixels(torch.arange(96.0)[:, None].expand(96, 128).contiguous()) is None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("half", ["DW", "EVN", "ODD"])
def test_a_real_counting_field_holds_data_everywhere(shared_data, half):
    with mrcfile.open(shared_data / "k2" / f"k2_field1_{half}.mrc") as file:
        image = torch.from_numpy(np.asarray(file.data, dtype=np.float32))
    assert find_blank_pixels(image) is None


def test_the_union_of_masks_marks_what_any_of_them_does():
    one, other = torch.eye(4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    other[0] = True
    assert torch.equal(union([one, None, other]), one | other)
    assert union([None, None]) is None
