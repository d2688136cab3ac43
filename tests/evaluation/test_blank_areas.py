"""Areas without data change what is evaluated by less than its confidence intervals."""

from dataclasses import replace

import pytest
import torch
from blank_areas import AREAS
from blank_areas import micrograph as field
from evaluation_world import PIXEL_A, RECIPE

from restore import fourier
from restore.evaluation.estimators.decomposition import overall
from restore.evaluation.estimators.resampling import estimate, resampling_weights
from restore.evaluation.measure import measure, sampling_for, views_of_images
from restore.micrograph import Micrograph

SHAPE = (320, 384)
LARGE = (640, 704)  # the corners of the smaller image lie in the half-shadow, and hold data
PATCH_PX = 32
NAMES = ("frc_raw", "snr_raw", "gain", "correlation_denoised")


def smoothed(image):
    """The image under a small Gaussian, its mean kept."""
    frequency = fourier.frequency_per_A(tuple(image.shape), (PIXEL_A, PIXEL_A))
    spectrum = fourier.spectrum_of(image) * torch.exp(-((20 * frequency) ** 2))
    return fourier.image_of(spectrum, tuple(image.shape))


def bordered(width, sides):
    strips = [
        (slice(width),),
        (slice(-width, None),),
        (slice(None), slice(width)),
        (slice(None), slice(-width, None)),
    ]

    def masked(image):
        image = image.clone()
        for strip in strips[:sides]:
            image[strip] = 0
        return image

    return masked


def estimates(masked=lambda image: image, shape=SHAPE):
    """The numbers of two halves with an area without data, and of their smoothed versions."""
    raw = [field(shape, seed) for seed in (1, 2)]
    denoised = [masked(smoothed(half)) for half in raw]
    raw = [masked(half) for half in raw]
    views = views_of_images(
        tuple(raw),
        tuple(denoised),
        Micrograph("a.mrc", "a.mrc", PIXEL_A, 0, None),
        replace(RECIPE, phase_flip=False),
    )
    blocks = measure(views, None, sampling_for([views.grid], RECIPE, PATCH_PX)).blocks.double()
    known = ~blocks.isnan().all(dim=(1, 2))
    weights = resampling_weights(int(known.sum()), 200, seed=0)
    return estimate(blocks[known], overall, 0.95, weights), views


def changes(masked, shape=SHAPE):
    """The change of every number over the half-width of its confidence interval."""
    clean, _ = estimates(shape=shape)
    around, views = estimates(masked, shape)
    ratios = {}
    for name in NAMES:
        one, other = clean[name], around[name]
        widths = [float(number.high - number.low) / 2 for number in (one, other)]
        ratios[name] = abs(float(other.value - one.value)) / max(widths)
    return ratios, views


@pytest.mark.parametrize("sides", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 8, 40])
def test_a_border_changes_every_number_by_less_than_its_interval(width, sides):
    ratios, views = changes(bordered(width, sides))
    assert views.blank is not None
    assert max(ratios.values()) < 1, ratios


@pytest.mark.parametrize("name", AREAS)
def test_an_area_without_data_changes_every_number_by_less_than_its_interval(name):
    shape = LARGE if "corners" in name else SHAPE
    ratios, views = changes(lambda image: AREAS[name](image)[0], shape)
    assert views.blank is not None
    assert max(ratios.values()) < 1, ratios


@pytest.mark.parametrize("width", [2, 40])
def test_a_border_that_is_not_searched_for_changes_numbers_by_far_more(width, monkeypatch):
    monkeypatch.setattr("restore.preprocessing.common_blank_pixels", lambda images: None)
    ratios, views = changes(bordered(width, 4))
    assert views.blank is None
    assert max(ratios.values()) > 2, ratios
