"""The smooth background: fitted to the pixels that count."""

import torch

from restore.background import fit_surface, without_background

FLAT = torch.zeros(160, 192)


def quadric(shape):
    y, x = torch.linspace(-1, 1, shape[0])[:, None], torch.linspace(-1, 1, shape[1])[None]
    return 5 + 20 * x - 10 * y + 10 * x * y + 4 * y.square()


def test_the_surface_is_that_of_the_valid_pixels_alone():
    surface = quadric((160, 192))
    blank = (torch.arange(192) < 50).expand(160, 192)
    fitted = fit_surface(surface.masked_fill(blank, -900.0), 2, blank).added_to(
        torch.zeros(160, 192)
    )
    assert (fitted - surface).abs().max() < 1
    spoiled = fit_surface(surface.masked_fill(blank, -900.0), 2).added_to(FLAT)
    assert (spoiled - surface).abs().max() > 100  # so the test can fail


def test_taking_off_and_evaluating_a_surface_agree():
    image = quadric((160, 192)) + torch.randn(160, 192, generator=torch.Generator().manual_seed(0))
    surface = fit_surface(image, 2).added_to(FLAT)
    torch.testing.assert_close(without_background(image, 2), image - surface, atol=1e-4, rtol=0)
