"""Whether denoised halves were made of the raw ones that they stand beside."""

import pytest
import torch
from blank_areas import micrograph

from restore.evaluation.estimators.half_identity import half_identity

SHAPE = (256, 288)


def halves(seed=1):
    return tuple(micrograph(SHAPE, seed + index) - 200 for index in (0, 1))


def denoised(half, strength=0.3):
    """Something that keeps the signal and a share of the noise."""
    blurred = torch.nn.functional.avg_pool2d(half[None, None], 5, stride=1, padding=2)[0, 0]
    return strength * blurred


def test_right_halves_are_right_at_any_scale():
    raw = halves()
    for strength in (0.01, 1.0, 100.0):
        identity = half_identity(raw, (denoised(raw[0], strength), denoised(raw[1], strength)))
        assert identity.verdict == "right"
        assert identity.difference > 0.1 and identity.total > 0.3


def test_exchanged_halves_have_the_noise_of_the_other():
    raw = halves()
    assert half_identity(raw, (denoised(raw[1]), denoised(raw[0]))).verdict == "exchanged"


@pytest.mark.parametrize("extra", [0.0, 1e-5, 0.1])
def test_halves_of_one_image_have_the_noise_of_neither(extra):
    raw = halves()
    both = denoised((raw[0] + raw[1]) / 2)
    other = both + extra * torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    assert half_identity(raw, (both, other)).verdict == "made from one image"


def test_one_image_is_known_whatever_its_scales_and_however_small_it_is():
    raw = tuple(half[:64, :64] for half in halves())
    both = denoised((raw[0] + raw[1]) / 2)
    assert half_identity(raw, (both, 1.01 * both)).verdict == "made from one image"


def test_inverted_contrast_is_told():
    raw = halves()
    assert half_identity(raw, (-denoised(raw[0]), -denoised(raw[1]))).verdict == "inverted"


def test_too_little_to_judge_by_is_unknown():
    raw = tuple(half[:16, :16] for half in halves())
    nothing = tuple(
        torch.randn(16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)
    )
    assert half_identity(raw, nothing).verdict in ("unknown", "right", "exchanged")
    assert half_identity(raw, nothing).difference_error > 0.02
