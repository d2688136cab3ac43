"""Sums in Fourier space, symmetrised over the point group."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch_image_interpolation import sample_image_3d


def symmetrised(sums: Float[Tensor, "3 z y x"], group: Rotation) -> Float[Tensor, "3 z y x"]:
    """The sums of real part, imaginary part and weight over a point group, by linear interpolation
    between voxels.

    The centre is at (side // 2, side // 2, 0). Two-fold rotations about x, y and z map voxels onto
    voxels and need no interpolation; of the other rotations one of each coset is enough. Farther
    from the centre than the last x, only the two-fold rotations are summed.
    """
    matrices = np.asarray(group.as_matrix(), dtype=np.float64).reshape(-1, 3, 3)
    half_turns = [matrix for matrix in matrices if np.allclose(abs(matrix), np.eye(3), atol=1e-6)]
    whole = _over_others(sums, _one_of_each_coset(matrices, half_turns))
    return torch.stack([_turned(whole, np.diag(matrix).round()) for matrix in half_turns]).sum(
        dim=0
    )


def _one_of_each_coset(
    matrices: Float[np.ndarray, "n 3 3"], half_turns: list[np.ndarray]
) -> list[np.ndarray]:
    """Rotations r other than the identity, such that each rotation of the group is r or the
    identity, preceded by one of the two-fold rotations.
    """
    chosen: list[np.ndarray] = []
    covered = list(half_turns)
    for matrix in matrices:
        if not any(np.allclose(matrix, known, atol=1e-5) for known in covered):
            chosen.append(matrix)
            covered += [matrix @ turn for turn in half_turns]
    return chosen


def _turned(
    sums: Float[Tensor, "3 z y x"], signs: Float[np.ndarray, "3"]
) -> Float[Tensor, "3 z y x"]:
    """The sums at (x, y, z) times these signs; on the other side (negative x), the conjugate of the
    mirrored component.
    """
    sx, sy, sz = signs
    flipped = [axis for axis, sign in ((2, sy * sx), (1, sz * sx)) if sign < 0]
    turned = sums.flip(flipped)
    return turned * torch.tensor([1.0, float(sx), 1.0])[:, None, None, None]


def _over_others(
    sums: Float[Tensor, "3 z y x"], matrices: list[np.ndarray]
) -> Float[Tensor, "3 z y x"]:
    """The sums, plus those at the positions to which the rotations take each voxel."""
    whole = sums.clone()
    radius, centre = sums.shape[-1] - 1, sums.shape[1] // 2
    y, x = torch.meshgrid(
        torch.arange(-centre, centre + 1), torch.arange(radius + 1), indexing="ij"
    )
    rotations = [torch.from_numpy(matrix.astype(np.float32)) for matrix in matrices]
    for index, z in enumerate(range(-centre, centre + 1) if rotations else ()):
        inside = x.square() + y.square() + z * z <= radius * radius
        xyz = torch.stack([x[inside], y[inside], torch.full_like(x[inside], z)], dim=-1).float()
        for matrix in rotations:
            whole[:, index, inside] += _sampled(sums, xyz @ matrix.T).T
    return whole


def _sampled(sums: Float[Tensor, "3 z y x"], xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """The sums at positions (x, y, z) from the centre; for negative x, the conjugate of the
    mirrored component.
    """
    centre = float(sums.shape[1] // 2)
    mirrored = xyz[:, :1] < 0
    zyx = torch.where(mirrored, -xyz, xyz).flip(-1) + torch.tensor([centre, centre, 0.0])
    values = sample_image_3d(sums, zyx)
    values[:, 1] *= torch.where(mirrored[:, 0], -1.0, 1.0)
    return values
