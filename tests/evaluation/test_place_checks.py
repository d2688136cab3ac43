"""Denoised halves of another program that are shifted by a part of a pixel."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from half_pairs import half_pair

from restore import fourier
from restore.evaluation.aggregate import EvaluationSettings
from restore.evaluation.measure import views_of_images
from restore.evaluation.place_checks import shift_px, warn_of_shift
from restore.evaluation.source import DenoisedHalves, source_of
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe

PIXEL_A, SHAPE = 1.5, (288, 336)
RECIPE = Recipe(max_resolution_A=9.0, phase_flip=False)
MICROGRAPH = Micrograph("a.mrc", Path("a.mrc"), PIXEL_A, 0)


def exposure(seed=0, noise=3.0):
    return tuple(50 + half for half in half_pair(SHAPE, noise, seed, power=200.0))


def binned(image, n):
    """The averages of n×n pixels."""
    return image.unflatten(1, (-1, n)).unflatten(0, (-1, n)).mean(dim=(1, 3))


def cropped(image, n):
    """The image binned in Fourier space."""
    shape = (image.shape[0] // n, image.shape[1] // n)
    spectrum = fourier.spectrum_of(image)
    return fourier.image_of(fourier.crop(spectrum, tuple(image.shape), shape), shape)


def smoothed(image, width_A=40.0):
    shape = tuple(image.shape)
    size_A = PIXEL_A * SHAPE[0] / shape[0]
    frequency = fourier.frequency_per_A(shape, (size_A, size_A))
    spectrum = fourier.spectrum_of(image) * torch.exp(-((width_A * frequency) ** 2))
    return fourier.image_of(spectrum, shape)


def shifted(image, y, x):
    """The image moved by (y, x) pixels."""
    ky, kx = fourier.frequency_yx_per_A(tuple(image.shape), (1.0, 1.0))
    turns = torch.polar(torch.ones_like(ky + kx), -2 * torch.pi * (ky * y + kx * x))
    return fourier.image_of(fourier.spectrum_of(image) * turns, tuple(image.shape))


def views_of(halves, others):
    return views_of_images(halves, tuple(others), MICROGRAPH, RECIPE)


@pytest.mark.parametrize("noise", [1.0, 8.0])
@pytest.mark.parametrize("n", [2, 3])
def test_halves_binned_by_averaging_are_named_with_their_shift(n, noise, caplog):
    halves = exposure(noise=noise)
    source = source_of(DenoisedHalves(["folder"], recipe=RECIPE))
    compared = source.comparison(EvaluationSettings(), torch.device("cpu"))
    compared(halves, tuple(cropped(smoothed(half), n) for half in halves), MICROGRAPH)
    assert caplog.text == ""
    views = compared(halves, tuple(binned(smoothed(half), n) for half in halves), MICROGRAPH)
    shift = -(n - 1) / 2
    assert f"a.mrc: the denoised halves are shifted by {shift:.1f} (y) and {shift:.1f} (x)" in (
        caplog.text
    )
    (remark,) = views.remarks
    assert remark.startswith("The denoised halves are shifted by") and remark.endswith("space.")


@pytest.mark.parametrize("move", [(0.0, 0.0), (0.6, -1.4), (-2.0, 0.3), (1.6, 1.6)])
def test_the_shift_is_measured_in_both_directions(move):
    halves = exposure()
    for change in (lambda image: image, smoothed):
        measured = shift_px(views_of(halves, (shifted(change(half), *move) for half in halves)))
        assert measured is not None
        size_px = [side / PIXEL_A for side in views_of(halves, halves).grid.pixel_size_yx_A]
        for part, expected, side in zip(measured[0], move, size_px, strict=True):
            assert part * side == pytest.approx(expected, abs=max(0.02, 5 * side * measured[1]))
        assert measured[1] < 0.01


OTHERS = {
    "as they are": lambda halves: halves,
    "smoothed": lambda halves: map(smoothed, halves),
    "hardly anything left": lambda halves: (smoothed(half, 300.0) for half in halves),
    "sharp edges": lambda halves: (half.clamp(49, 52) for half in halves),
    "of other micrographs": lambda _: map(smoothed, exposure(7)),
    "of other micrographs, smooth": lambda _: (smoothed(half, 200.0) for half in exposure(8)),
    "of noise": lambda _: exposure(9, noise=1000.0),
    "inverted": lambda halves: (-half for half in halves),
    "a lattice": lambda halves: (0.01 * smoothed(half) + lattice() for half in halves),
}


def lattice():
    image = torch.zeros(SHAPE)
    image[::4, ::4] = 1
    return image


@pytest.mark.parametrize("kind", OTHERS)
def test_nothing_is_said_of_halves_in_their_place_or_of_unlike_ones(kind, caplog):
    halves = exposure()
    warn_of_shift(views_of(halves, OTHERS[kind](halves)), MICROGRAPH)
    assert caplog.text == ""


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_said_of_noise_by_chance(seed, caplog):
    halves = tuple(50 + torch.randn(SHAPE, generator=_seeded(seed + part)) for part in (0, 50))
    others = (torch.randn(SHAPE, generator=_seeded(seed + part)) for part in (100, 150))
    warn_of_shift(views_of(halves, map(smoothed, others)), MICROGRAPH)
    warn_of_shift(views_of(halves, map(smoothed, halves)), MICROGRAPH)
    assert caplog.text == ""


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_pixels_without_data_change_nothing(caplog):
    halves = exposure()
    bordered = [half.clone() for half in halves]
    for half in bordered:
        half[:, :48] = 0
    views = views_of(tuple(bordered), map(smoothed, bordered))
    assert views.blank is not None
    warn_of_shift(views, MICROGRAPH)
    assert caplog.text == ""
    warn_of_shift(views_of(tuple(bordered), (binned(half, 3) for half in bordered)), MICROGRAPH)
    assert "are shifted by -1.0" in caplog.text or "are shifted by -0.9" in caplog.text


def test_an_empty_denoised_spectrum_is_not_measured():
    views = views_of(exposure(), exposure())
    empty = replace(views, denoised=(torch.zeros_like(views.raw[0]),) * 2)
    assert shift_px(empty) is None
