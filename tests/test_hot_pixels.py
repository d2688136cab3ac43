"""Hot pixels: replaced, counted, and nothing else taken for one."""

import pytest
import torch

from restore.hot_pixels import replace_hot_pixels


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ramp(shape, strength):
    y, x = torch.linspace(-1, 1, shape[0])[:, None], torch.linspace(-1, 1, shape[1])[None]
    return strength * (2 * x - y + x * y + x.square() - 0.5 * y.square())


def test_hot_pixels_are_replaced_and_counted_and_nothing_else_is_touched():
    image = noise((150, 170)) + ramp((150, 170), 3.0) + 10
    hot = image.clone()
    places = [(0, 0), (149, 169), (0, 80), (75, 75), (75, 76), (31, 32), (140, 3), (90, 169)]
    for index, (y, x) in enumerate(places):
        hot[y, x] += 60 * (-1) ** (index // 4)
    clean, count = replace_hot_pixels(hot, 10.0)
    assert count == len(places)
    mask = torch.zeros_like(image, dtype=torch.bool)
    for y, x in places:
        mask[y, x] = True
        assert abs(clean[y, x] - image[y, x]) < 6
    assert torch.equal(clean[~mask], image[~mask])


@pytest.mark.parametrize("offset", [0.0, 1000.0, 30000.0])
def test_hot_pixels_are_found_on_any_offset(offset):
    image = 0.5 * noise((128, 128)) + offset
    assert replace_hot_pixels(image, 10.0)[1] == 0
    image[5, 5] += 100
    assert replace_hot_pixels(image, 10.0)[1] == 1


def test_dead_pixels_in_a_count_image_are_not_hot():
    counts = torch.poisson(torch.full((128, 128), 5.0), generator=torch.Generator().manual_seed(1))
    assert replace_hot_pixels(counts, 10.0)[1] == 0


@pytest.mark.parametrize("edge", [0, 5, 48, 50, 61])
def test_a_gold_edge_is_not_taken_for_hot_pixels(edge):
    image = noise((128, 128))
    image[:, :edge] -= 100
    clean, count = replace_hot_pixels(image, 10.0)
    assert count == 0
    assert torch.equal(clean, image)


def test_an_image_that_is_flat_but_for_one_pixel_has_no_hot_pixels():
    image = torch.zeros(64, 64)
    image[5, 5] = 1
    assert replace_hot_pixels(image, 10.0)[1] == 0
