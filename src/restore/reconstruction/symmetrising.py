"""A map's sums in Fourier space, taken over all rotations of its point group."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch_image_interpolation import sample_image_3d


def symmetrised(sums: Float[Tensor, "3 z y x"], group: Rotation) -> Float[Tensor, "3 z y x"]:
    """The sums of real part, imaginary part and weight over a point group, by linear interpolation between voxels.

    The centre is at (side // 2, side // 2, 0); what lies farther from it than the last x stays as it was.
    """
    others = group[group.magnitude() > 1e-6]
    matrices = torch.from_numpy(np.asarray(others.as_matrix(), dtype=np.float32).reshape(-1, 3, 3))
    whole = sums.clone()
    if not len(matrices):
        return whole
    radius, centre = sums.shape[-1] - 1, sums.shape[1] // 2
    y, x = torch.meshgrid(torch.arange(-centre, centre + 1), torch.arange(radius + 1), indexing="ij")
    for index, z in enumerate(range(-centre, centre + 1)):
        inside = x.square() + y.square() + z * z <= radius * radius
        xyz = torch.stack([x[inside], y[inside], torch.full_like(x[inside], z)], dim=-1).float()
        for matrix in matrices:
            whole[:, index, inside] += _sampled(sums, xyz @ matrix.T).T
    return whole


def _sampled(sums: Float[Tensor, "3 z y x"], xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """The sums at places (x, y, z) from the centre; where x is negative, of the conjugate on the other side."""
    centre = float(sums.shape[1] // 2)
    mirrored = xyz[:, :1] < 0
    zyx = torch.where(mirrored, -xyz, xyz).flip(-1) + torch.tensor([centre, centre, 0.0])
    values = sample_image_3d(sums, zyx)
    values[:, 1] *= torch.where(mirrored[:, 0], -1.0, 1.0)
    return values
