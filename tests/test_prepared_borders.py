"""How far a border without data changes what is prepared, and what happens where little is left."""

import pytest
import torch
from blank_areas import micrograph, with_border

from restore.errors import UserError
from restore.micrograph import CTFParameters
from restore.preprocessing import Recipe, prepare, prepare_alike, prepare_masked

SHAPE, PIXEL_A = (768, 832), 2.0
DISTANCES_A = [(0, 50), (50, 100), (100, 200), (200, 400), (400, 600)]


def ctf(defocus_A):
    return CTFParameters(1.1 * defocus_A, 0.9 * defocus_A, 30.0, 300.0, 2.7, 0.07)


def changes(width, defocus_A, phase_flip):
    """The change, over the image's deviation, at each distance: with the border filled, and with
    other data of the same statistics where the border was.
    """
    image, other = micrograph(SHAPE, 1), micrograph(SHAPE, 51, field=7)
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[width:-width, width:-width] = True
    recipe = Recipe(max_resolution_A=5.0, phase_flip=phase_flip)

    def band(pixels, blank=None):
        (seen,) = prepare_masked([pixels], PIXEL_A, ctf(defocus_A), recipe, blank)
        return seen.image * seen.scale

    whole, filled = band(image), band(with_border(image, width), ~inside)
    replaced = band(torch.where(inside, image, other))
    rows, columns = (torch.arange(side) for side in whole.shape)
    from_side = torch.minimum(
        torch.minimum(rows, whole.shape[0] - 1 - rows)[:, None],
        torch.minimum(columns, whole.shape[1] - 1 - columns),
    )
    distance_A = from_side * PIXEL_A * SHAPE[0] / whole.shape[0] - width * PIXEL_A
    for nearest, farthest in DISTANCES_A:
        ring = (distance_A >= nearest) & (distance_A < farthest)
        yield tuple(
            float((seen - whole)[ring].std() / whole[ring].std()) for seen in (filled, replaced)
        )


@pytest.mark.parametrize("defocus_A", [6000.0, 25000.0])
@pytest.mark.parametrize("width", [1, 2, 8, 40])
def test_phase_flipping_loses_beside_a_border_what_the_border_hid_and_no_more(width, defocus_A):
    for filled, replaced in changes(width, defocus_A, phase_flip=True):
        assert filled < 1.2 * replaced


@pytest.mark.parametrize("width", [1, 2, 8, 40])
def test_without_phase_flipping_a_border_changes_little_beyond_100_A(width):
    filled = [filled for filled, _ in changes(width, 11000.0, phase_flip=False)]
    assert max(filled[3:]) < 0.01
    assert filled[2] < (0.01 if width < 40 else 0.015)


UNFLIPPED = Recipe(max_resolution_A=5.0, phase_flip=False)
SMALL = [(128, 128), (384, 400)]


def one_row(image):
    left = torch.zeros_like(image)
    left[image.shape[0] // 2] = image[image.shape[0] // 2]
    return left


def one_column(image):
    left = torch.zeros_like(image)
    left[:, 7] = image[:, 7]
    return left


def one_pixel(image):
    left = torch.zeros_like(image)
    left[5, 9] = 3.0
    return left


def two_constants(image):
    left = torch.zeros_like(image)
    left[: image.shape[0] // 2] = 100.0
    return left


def three_percent(image):
    left = torch.zeros_like(image)
    rows = image.shape[0] * 3 // 100
    left[:rows] = image[:rows]
    return left


@pytest.mark.parametrize(
    "left_over", [one_row, one_column, one_pixel, two_constants, three_percent]
)
@pytest.mark.parametrize("shape", SMALL)
def test_where_hardly_anything_is_left_one_message_says_so(shape, left_over):
    with pytest.raises(UserError, match=r"only [0-3]\.\d % of the pixels hold data"):
        prepare(left_over(micrograph(shape, 1)), PIXEL_A, None, UNFLIPPED)


@pytest.mark.parametrize("shape", SMALL)
def test_halves_that_hold_data_nowhere_together_get_the_same_message(shape):
    top, bottom = micrograph(shape, 1), micrograph(shape, 2)
    top[: shape[0] // 2], bottom[shape[0] // 2 :] = 0, 0
    with pytest.raises(UserError, match=r"only 0\.0 % of the pixels hold data"):
        prepare_alike([top, bottom], PIXEL_A, None, UNFLIPPED)


@pytest.mark.parametrize("shape", SMALL)
def test_a_constant_image_is_rejected(shape):
    with pytest.raises(UserError, match="the image is constant"):
        prepare(torch.zeros(shape), PIXEL_A, None, UNFLIPPED)


@pytest.mark.parametrize("shape", SMALL)
def test_a_tenth_of_an_image_is_enough(shape):
    image, rows = micrograph(shape, 1), shape[0] // 10
    blank = torch.zeros(shape, dtype=torch.bool)
    blank[rows:] = True
    prepared = prepare(image.masked_fill(blank, 0), PIXEL_A, None, UNFLIPPED)
    assert prepared.blank_pixels == int(blank.sum())
    assert prepared.blank is not None
    assert float(prepared.image[~prepared.blank].std()) == pytest.approx(1, abs=0.01)
