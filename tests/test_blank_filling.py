"""What stands in for pixels without data carries nothing."""

import pytest
import torch
from blank_areas import micrograph

from restore.blank_filling import fill_blank_pixels

SHAPE = (512, 576)


def third():
    return (torch.arange(SHAPE[1]) < SHAPE[1] // 3).expand(SHAPE)


def test_only_blank_pixels_change_and_the_filling_follows_from_the_seed():
    image, blank = micrograph(SHAPE, 1), third()
    filled = fill_blank_pixels(image.masked_fill(blank, 0.0), blank, 2, seed=0)
    assert torch.equal(filled[~blank], image[~blank])
    assert torch.equal(filled, fill_blank_pixels(image.masked_fill(blank, 0.0), blank, 2, seed=0))


@pytest.mark.parametrize("hidden", [0.0, 30.0, 200.0, -5000.0, 1e6])
def test_what_blank_pixels_held_has_no_influence(hidden):
    image, blank = micrograph(SHAPE, 1), third()
    filled = fill_blank_pixels(image.masked_fill(blank, hidden), blank, 2, seed=0)
    assert torch.equal(filled, fill_blank_pixels(image, blank, 2, seed=0))


def test_two_halves_have_nothing_in_common_in_the_filling():
    blank = third()
    one, other = (
        fill_blank_pixels(micrograph(SHAPE, seed).masked_fill(blank, 0.0), blank, 0, seed)[blank]
        for seed in (0, 1)
    )
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.05


def test_the_filling_has_the_power_of_the_image_at_all_frequencies():
    image, blank = micrograph(SHAPE, 1), third()
    filled = fill_blank_pixels(image.masked_fill(blank, 0.0), blank, 2, seed=0)
    inside, outside = filled[64:448, :192], filled[64:448, 192:384]
    fine = [(part[:, 1:] - part[:, :-1]).std() for part in (inside, outside)]
    coarse = [
        part.unflatten(1, (-1, 16)).unflatten(0, (-1, 16)).mean(dim=(1, 3)).std()
        for part in (inside, outside)
    ]
    assert float(inside.mean()) == pytest.approx(float(outside.mean()), abs=2)
    assert float(inside.std()) == pytest.approx(float(outside.std()), rel=0.05)
    assert float(fine[0]) == pytest.approx(float(fine[1]), rel=0.05)
    assert float(coarse[0]) == pytest.approx(float(coarse[1]), rel=0.3)


def test_where_nothing_is_wide_enough_the_filling_is_white_noise_of_the_right_strength():
    image = micrograph((96, 96), 1)
    blank = torch.zeros(96, 96, dtype=torch.bool)
    blank[::20] = True
    filled = fill_blank_pixels(image.masked_fill(blank, 0.0), blank, 0, seed=0)
    assert float(filled[blank].std()) == pytest.approx(float(image.std()), rel=0.15)
