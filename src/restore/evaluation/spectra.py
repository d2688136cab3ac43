"""Covariances between images, ring by ring in Fourier space (Palovcak 2020, eq. 24)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from restore import fourier


@dataclass(frozen=True)
class RingCovariances:
    """The covariances of n images with each other in each Fourier ring.

    ``frequency_per_A`` is the centre of each ring; ``covariance[i, j]`` is what the ring adds to the covariance of
    images i and j in real space: summed over all rings but the first (DC) it is that covariance. It is signed.
    """

    frequency_per_A: Float[Tensor, "rings"]
    covariance: Float[Tensor, "n n rings"]

    def correlation(self, first: int, second: int) -> Float[Tensor, "rings"]:
        """The Fourier ring correlation of two of the images; NaN where a ring is empty."""
        power = self.covariance[first, first] * self.covariance[second, second]
        return self.covariance[first, second] / power.sqrt()

    def band(self, coarse_A: float, fine_A: float) -> "RingCovariances":
        """The rings between two resolutions (Å) taken together as one ring."""
        inside = (self.frequency_per_A >= 1 / coarse_A) & (self.frequency_per_A < 1 / fine_A)
        centre = torch.tensor([(1 / coarse_A + 1 / fine_A) / 2])
        return RingCovariances(centre, self.covariance[..., inside].sum(dim=-1, keepdim=True))


def ring_covariances(
    images: Float[Tensor, "n y x"], pixel_size_yx_A: tuple[float, float], width_per_A: float | None = None
) -> RingCovariances:
    """The real parts of all cross spectra of the images, summed over rings up to the Nyquist frequency.

    The images are taken whole, without a window, less their means. Rings are ``width_per_A`` wide (1/Å); by
    default one Fourier pixel of the longer side.
    """
    shape = (images.shape[-2], images.shape[-1])
    extent_A = max(shape[0] * pixel_size_yx_A[0], shape[1] * pixel_size_yx_A[1])
    width_per_A = width_per_A or 1 / extent_A
    spectra = fourier.spectrum_of(images - images.mean(dim=(-2, -1), keepdim=True))
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A, images.device)
    rings = fourier.ring_index(frequency, width_per_A).flatten()
    count = int(0.5 / max(pixel_size_yx_A) / width_per_A) + 1
    weights = fourier.friedel_weights(shape, images.device)
    table = images.new_zeros(len(images), len(images), count, dtype=torch.float64)
    for i, first in enumerate(spectra):
        for j, second in enumerate(spectra[: i + 1]):
            product = (weights * (first * second.conj()).real).flatten().double()
            summed = torch.bincount(rings, product, minlength=count)[:count]
            table[i, j] = table[j, i] = summed
    return RingCovariances(torch.arange(count) * width_per_A, table.cpu())
