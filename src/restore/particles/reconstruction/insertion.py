"""Insertion of images into the Fourier transform of a map, and the map from the transform.

The components of a slice are spread over the eight voxels around each of them by torch-image-
interpolation, on a grid twice as fine as the box's; the map is divided by the transform of that
kernel (torch-fourier-slice).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch_fourier_slice.volume_utils import separable_sinc2_correction
from torch_image_interpolation import insert_into_image_3d

from restore.ctf import ctf
from restore.maps.ball import ball
from restore.micrograph import CTFParameters
from restore.particles.reconstruction.gridding import compensation, map_of
from restore.particles.reconstruction.symmetrising import symmetrised

ImagesAre = Literal["raw", "flipped", "multiplied"]
"""How images were treated: not at all, multiplied by the sign of their CTF, or by their CTF."""

_POINTS_AT_A_TIME = 100_000


class Accumulator:
    """The sums over images from which a map is made: CTF × image, and CTF², at each component of
    the map's transform.

    Images have ``box_px`` pixels of ``pixel_size_A``; ``group`` is the particle's symmetry. Images
    can be added after :meth:`volume` too, and the sums of several accumulators can be added
    (:meth:`include`).
    """

    def __init__(
        self,
        box_px: int,
        pixel_size_A: float,
        group: Rotation | None = None,
        images_are: ImagesAre = "raw",
    ) -> None:
        self.box_px, self.pixel_size_A = box_px, pixel_size_A
        self.images_are: ImagesAre = images_are
        self.group = Rotation.identity(1) if group is None else group
        self.count = 0
        side = 2 * box_px + 1
        # real part, imaginary part and weight at (z, y, x) from the centre (box_px, box_px, 0)
        self._sums = torch.zeros(3, side, side, box_px + 1)
        self._visits = torch.zeros(side, side, box_px + 1)
        self._inside, self._place = _slice_components(box_px)

    def add(
        self,
        images: Float[Tensor, "n y x"],
        rotations: Rotation,
        origins_A: Float[np.ndarray, "n 2"],
        ctfs: Sequence[CTFParameters] | None,
    ) -> None:
        """Add images to the sums. Rotations and origins (x, y) are those of
        :class:`restore.io.particles.Particles`.

        Without ``ctfs`` the images are taken as projections without a CTF.
        """
        matrices = torch.from_numpy(
            np.asarray(rotations.as_matrix(), dtype=np.float32).reshape(-1, 3, 3)
        )
        step = max(1, _POINTS_AT_A_TIME // len(self._place))
        for start in range(0, len(images), step):
            portion = slice(start, start + step)
            spectra = self._spectra(images[portion], origins_A[portion])
            transfer = None if ctfs is None else self._transfer(ctfs[portion])
            self._insert(self._values(spectra, transfer), matrices[portion])
        self.count += len(images)

    def include(self, other: "Accumulator") -> None:
        """Add the sums of another accumulator over other images."""
        self._sums += other._sums
        self.count += other.count

    def copy(self) -> "Accumulator":
        """An independent accumulator with the same sums."""
        other = Accumulator(self.box_px, self.pixel_size_A, self.group, self.images_are)
        other.include(self)
        return other

    def volume(self) -> Float[Tensor, "z y x"]:
        """The map of the images added so far, on the grey scale of their projections.

        The corners of the box hold their mean density, as in RELION: a particle that fits does not
        reach them. There is nothing beyond the Nyquist frequency.
        """
        real, imaginary, weight = symmetrised(_with_mirrored_half(self._sums), self.group)
        start = self.box_px // 2
        middle = (slice(start, start + self.box_px),) * 3
        density = map_of(torch.complex(real, imaginary) * compensation(weight))[middle]
        density = density / separable_sinc2_correction((2 * self.box_px,) * 3)[middle]
        inside = ball(self.box_px)
        outside = (density * (1 - inside)).sum() / (1 - inside).sum()
        return torch.lerp(outside, density, inside)

    def _spectra(
        self, images: Float[Tensor, "n y x"], origins_A: Float[np.ndarray, "n 2"]
    ) -> Complex[Tensor, "n k"]:
        """The components of each image's transform, with its particle moved to the centre."""
        spectra = torch.fft.rfft2(torch.fft.ifftshift(images, dim=(-2, -1)))[:, self._inside]
        turns = (
            self._place[:, :2]
            @ torch.from_numpy(origins_A.T / (self.box_px * self.pixel_size_A)).float()
        )
        return spectra * torch.polar(torch.ones(()), -2 * torch.pi * turns.T)

    def _transfer(self, ctfs: Sequence[CTFParameters]) -> Float[Tensor, "n k"]:
        shape, pixel_A = (self.box_px, self.box_px), (self.pixel_size_A, self.pixel_size_A)
        values = {
            parameters: ctf(parameters, shape, pixel_A)[self._inside]
            for parameters in dict.fromkeys(ctfs)
        }
        return torch.stack([values[parameters] for parameters in ctfs])

    def _values(
        self, spectra: Complex[Tensor, "n k"], transfer: Float[Tensor, "n k"] | None
    ) -> Float[Tensor, "n k 3"]:
        """The contribution of each component to the sums."""
        if transfer is None:
            return torch.stack([spectra.real, spectra.imag, torch.ones_like(spectra.real)], dim=-1)
        factor = {"raw": transfer, "flipped": transfer.abs(), "multiplied": torch.ones(())}[
            self.images_are
        ]
        return torch.stack(
            [spectra.real * factor, spectra.imag * factor, transfer.square()], dim=-1
        )

    def _insert(self, values: Float[Tensor, "n k 3"], matrices: Float[Tensor, "n 3 3"]) -> None:
        xyz = 2 * self._place @ matrices.transpose(1, 2)
        mirrored = xyz[..., :1] < 0
        zyx = torch.where(mirrored, -xyz, xyz).flip(-1) + torch.tensor(
            [self.box_px, self.box_px, 0.0]
        )
        values[..., 1] *= torch.where(mirrored[..., 0], -1.0, 1.0)
        insert_into_image_3d(values, zyx, self._sums, self._visits)


def _slice_components(box_px: int) -> tuple[Bool[Tensor, "y kx"], Float[Tensor, "k 3"]]:
    """The components of an image's half transform to insert, one of each pair ±k, and their
    positions (kx, ky, 0).
    """
    ky = torch.fft.fftfreq(box_px, 1 / box_px)[:, None].expand(-1, box_px // 2 + 1)
    kx = torch.fft.rfftfreq(box_px, 1 / box_px)[None].expand(box_px, -1)
    inside = (kx.square() + ky.square() <= (box_px / 2) ** 2) & ((kx > 0) | (ky >= 0))
    return inside, torch.stack([kx[inside], ky[inside], torch.zeros_like(kx[inside])], dim=-1)


def _with_mirrored_half(sums: Float[Tensor, "3 z y x"]) -> Float[Tensor, "3 z y x"]:
    """The sums with the contribution of the other half of the transform to the plane x = 0."""
    whole = sums.clone()
    mirrored = sums[..., 0].flip(1, 2) * torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    whole[..., 0] += mirrored
    return whole
