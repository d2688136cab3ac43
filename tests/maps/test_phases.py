"""Flipped phases are found by comparison with what was not flipped."""

import numpy as np
import pytest
import torch
from particle_world import random_ctf

from restore.ctf import ctf
from restore.maps.phases import phase_agreement


def both(flipped, noise):
    """Images, the same with flipped phases or noise, and their CTFs."""
    generator, rng = torch.Generator().manual_seed(1), np.random.default_rng(0)
    raw = torch.randn((20, 32, 32), generator=generator)
    values = torch.stack([ctf(random_ctf(rng), (32, 32), (3.0, 3.0)) for _ in range(20)]).to(raw)
    spectra = torch.fft.rfft2(raw) * (values.sign() if flipped else 1)
    images = torch.fft.irfft2(spectra, s=(32, 32)) + noise * torch.randn(
        raw.shape, generator=generator
    )
    return raw, images, values


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("flipped", [True, False])
def test_flipping_is_found_even_in_noise(flipped, noise):
    agreement = phase_agreement(*both(flipped, noise))
    assert agreement.flipped is flipped and not agreement.is_opposite
    assert (abs(agreement.where_negative) > 0.99) == (noise == 0)
    assert (agreement.where_positive > 0.99) == (noise == 0)


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("flipped", [True, False])
def test_opposite_contrast_is_not_taken_for_flipped_phases(flipped, noise):
    raw, images, values = both(flipped, noise)
    agreement = phase_agreement(raw, -images, values)
    assert agreement.is_opposite and agreement.flipped is None


def test_where_there_is_nothing_to_compare_nothing_is_said():
    image = torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(0))
    agreement = phase_agreement(image, image, torch.ones((1, 8, 5)))
    assert agreement.flipped is None and not agreement.is_opposite
