"""Sums over a point group: the short way beside one rotation after the other."""

import numpy as np
import pytest
import torch

from restore.particles.reconstruction.symmetrising import _over_others, symmetrised
from restore.symmetry import point_group

SIDE = 21


def random_sums(seed=0):
    """Values of a real map: in the plane x = 0 those of k and -k are conjugate."""
    sums = torch.randn(3, SIDE, SIDE, SIDE // 2 + 1, generator=torch.Generator().manual_seed(seed))
    mirrored = sums[..., 0].flip(1, 2) * torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    sums[..., 0] = (sums[..., 0] + mirrored) / 2
    return sums


@pytest.mark.parametrize(
    "name", ["C1", "C2", "C3", "C4", "D2", "D3", "DY3", "D7", "T", "O", "I1", "I2", "I3"]
)
def test_half_turns_and_cosets_give_the_sum_over_the_whole_group(name):
    sums, group = random_sums(), point_group(name)
    others = [
        matrix for matrix in group.as_matrix() if not np.allclose(matrix, np.eye(3), atol=1e-6)
    ]
    expected, sum_ = _over_others(sums, others), symmetrised(sums, group)
    z, y = torch.meshgrid(*[torch.arange(SIDE) - SIDE // 2] * 2, indexing="ij")
    radius = (z[..., None] ** 2 + y[..., None] ** 2 + torch.arange(SIDE // 2 + 1) ** 2).sqrt()
    inside = radius <= SIDE // 2 - 1
    # in the plane x = 0 a rotated place may fall on either side by rounding, where interpolation
    # differs
    inside[..., 0] = False
    torch.testing.assert_close(sum_[:, inside], expected[:, inside], atol=2e-3, rtol=0)


def test_a_group_of_half_turns_needs_no_interpolation():
    sums = random_sums()
    once = symmetrised(sums, point_group("D2"))
    torch.testing.assert_close(symmetrised(once, point_group("D2")), 4 * once)
