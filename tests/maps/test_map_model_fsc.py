"""The FSC of a map and a model: identities, a known signal-to-noise ratio, and what a model
elsewhere looks like.
"""

import pytest
import torch
from map_world import ball, lump

from restore.maps.fsc import ShellAxis, shell_sums
from restore.maps.map_model_fsc import coarse_agreement, looks_unfitted, map_model_fsc
from restore.maps.potential import model_map

SIDE, VOXEL_A = 48, (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def density():
    return model_map(lump(), (SIDE,) * 3, VOXEL_A, (-48.0,) * 3)


def noise(seed=0):
    return torch.randn((SIDE,) * 3, generator=torch.Generator().manual_seed(seed))


def mask(radius_px=11):
    return torch.from_numpy(ball(SIDE, radius_px)).float()


def test_a_map_that_is_the_model_agrees_in_every_shell_whatever_its_scale_and_mean(density):
    fsc = map_model_fsc(3 * density + 7, density, VOXEL_A, mask())
    assert torch.allclose(fsc.unmasked, torch.ones_like(fsc.unmasked), atol=1e-5)
    fsc = map_model_fsc(3 * density, density, VOXEL_A, mask())
    assert fsc.masked is not None and torch.allclose(
        fsc.masked, torch.ones_like(fsc.masked), atol=1e-5
    )
    assert fsc.corrected is None and fsc.crossing_A(fsc.unmasked, 0.5) is None


def test_noise_lowers_it_to_the_root_of_the_signals_share_of_the_power(density):
    deviation = 2 * float(density.std())
    fsc = map_model_fsc(density + deviation * noise(), density, VOXEL_A)
    half = torch.fft.rfftn(density, norm="ortho")
    axis = ShellAxis((SIDE,) * 3, VOXEL_A)
    signal = shell_sums(half, half, axis, "half")[1]
    count = shell_sums(torch.ones_like(half), torch.ones_like(half), axis, "half")[1]
    expected = (signal / (signal + deviation**2 * count)).sqrt()
    torch.testing.assert_close(fsc.unmasked[3:], expected[3:], atol=0.05, rtol=0)


def test_a_mask_takes_away_the_noise_around_the_model(density):
    fsc = map_model_fsc(density + 10 * density.std() * noise(), density, VOXEL_A, mask())
    assert fsc.masked is not None
    assert float(fsc.masked[2:].mean()) > float(fsc.unmasked[2:].mean()) + 0.1
    assert fsc.crossing_A(fsc.masked, 0.5) < fsc.crossing_A(fsc.unmasked, 0.5)


def test_a_model_that_lies_elsewhere_is_told_from_one_in_its_place(density):
    noisy = density + density.std() * noise()
    assert not looks_unfitted(map_model_fsc(noisy, density, VOXEL_A))
    moved = density.roll((6, 5), (0, 1))
    assert looks_unfitted(map_model_fsc(noisy, moved, VOXEL_A))
    assert looks_unfitted(map_model_fsc(-noisy, density, VOXEL_A))


def test_of_a_box_with_hardly_any_coarse_shell_nothing_is_said():
    small = torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(0))
    fsc = map_model_fsc(small, -small, VOXEL_A)
    assert coarse_agreement(fsc) is None and not looks_unfitted(fsc)
