"""An edge at one border of an image is not drawn along the opposite one."""

import pytest
import torch
from blank_areas import with_border

from restore.border_jump import BorderJump, fit_border_jump
from restore.preprocessing import Recipe, prepare

PIXEL_A, ICE, GOLD = 2.0, 160.0, 32.0  # electrons per pixel
RECIPE = Recipe(max_resolution_A=6.0, phase_flip=False)
SHAPES = [(768, 1024), (701, 1023)]


def field(shape, share=0.0, seed=0, axis=1):
    """Ice, with gold over a share of the length of an axis."""
    rate = torch.full(shape, ICE)
    rate.narrow(axis, 0, int(share * shape[axis])).fill_(GOLD)
    return torch.poisson(rate, generator=torch.Generator().manual_seed(seed))


def far_border(image, axis=1, width_A=25.0):
    """The means over the last ``width_A`` along an axis of the prepared image, in grey values."""
    prepared = prepare(image, PIXEL_A, None, RECIPE)
    lines = round(width_A / prepared.grid.pixel_size_yx_A[axis])
    band = prepared.image * prepared.scale
    return band.narrow(axis, -lines, lines).mean(dim=1 - axis)


def strength(profile):
    return float(profile.square().mean().sqrt())


@pytest.fixture
def uncorrected(monkeypatch):
    """A function that turns the correction off."""

    def no_jump(image, *_):
        return BorderJump(*(image.new_zeros(side) for side in image.shape))

    return lambda: monkeypatch.setattr("restore.preprocessing.flat.fit_border_jump", no_jump)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_film_edge_draws_no_line_along_the_opposite_border(shape, axis, uncorrected):
    noise = prepare(field(shape), PIXEL_A, None, RECIPE).scale
    half, part = (field(shape, share, axis=axis) for share in (0.5, 0.15))
    assert strength(far_border(half, axis)) < 0.1 * noise
    assert strength(far_border(part, axis)) < 0.5 * noise  # where the surface slopes
    uncorrected()
    assert strength(far_border(half, axis)) > 1.5 * noise
    assert strength(far_border(part, axis)) > 1.5 * noise


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_without_edges_is_prepared_as_it_was(shape, uncorrected):
    images = [field(shape, seed=seed) for seed in range(4)]
    corrected = [prepare(image, PIXEL_A, None, RECIPE).image for image in images]
    uncorrected()
    for image, seen in zip(images, corrected, strict=True):
        assert torch.equal(seen, prepare(image, PIXEL_A, None, RECIPE).image)


def test_an_edge_across_a_part_of_a_border_draws_nothing_anywhere_else(uncorrected):
    """Gold in one corner: its two jumps end inside the borders."""
    shape = (768, 1024)
    rate = torch.full(shape, ICE)
    rate[:300, :400] = GOLD
    image = torch.poisson(rate, generator=torch.Generator().manual_seed(0))
    noise = prepare(field(shape), PIXEL_A, None, RECIPE).scale

    def parts():
        prepared = prepare(image, PIXEL_A, None, RECIPE)
        band = prepared.image * prepared.scale
        right, bottom = band[:170, -8:].mean(dim=0), band[-8:, :230].mean(dim=1)
        inside = band[240:-40, 40:-40]
        return strength(right), strength(bottom), strength(inside.mean(dim=1))

    right, bottom, streaks = parts()
    assert max(right, bottom) < 0.3 * noise
    uncorrected()
    before = parts()
    assert min(before[:2]) > 1 * noise
    assert streaks < 1.05 * before[2]


def test_the_image_of_jumps_has_these_jumps_and_no_mean():
    y, x = torch.linspace(0, 3, 90)[:, None], torch.linspace(0, 2, 131)[None]
    image = 7 * y.sin() * x.exp() + 3 * x - y * x
    jump = BorderJump(image[:, 0] - image[:, -1], image[0] - image[-1])
    smooth = jump.added_to(torch.zeros(90, 131))
    rest = image - smooth
    assert abs(float(smooth.mean())) < 1e-4
    # the outermost pixels are half a pixel inside the border
    assert (rest[:, 0] - rest[:, -1]).abs().max() < 0.03 * jump.between_columns.abs().max()
    assert (rest[0] - rest[-1]).abs().max() < 0.03 * jump.between_rows.abs().max()


def test_a_wave_that_fits_the_image_is_no_jump_and_a_step_is_one():
    x = torch.arange(256.0)
    wave = torch.cos(0.2 + 2 * torch.pi * 18 * x / 256).expand(200, 256)
    assert not fit_border_jump(wave, 100.0).between_columns.any()
    stepped = fit_border_jump(wave + 5 * (x < 99), 100.0)
    torch.testing.assert_close(stepped.between_columns, torch.full((200,), 5.0), atol=0.5, rtol=0)
    assert not stepped.between_rows.any()


@pytest.mark.parametrize("width", [2, 40])
def test_pixels_without_data_hide_no_edge_and_make_none(width, uncorrected):
    shape = (768, 1024)
    ice = with_border(field(shape), width)
    gold = with_border(field(shape, 0.5), width)
    with_jump, plain = far_border(gold, width_A=100), prepare(ice, PIXEL_A, None, RECIPE).image
    uncorrected()
    assert torch.equal(plain, prepare(ice, PIXEL_A, None, RECIPE).image)
    # Next to a wide border the filling, not the gold, meets the ice.
    most = {2: 0.75, 40: 1.0}[width]
    assert strength(with_jump) <= most * strength(far_border(gold, width_A=100))
