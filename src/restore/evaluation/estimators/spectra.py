"""Covariances between images, ring by ring in Fourier space (Palovcak 2020, eq. 24), over whole
images or patch by patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from restore import fourier


@dataclass(frozen=True)
class RingCovariances:
    """The covariances of n images with each other in each Fourier ring.

    ``frequency_per_A`` is the centre of each ring; ``covariance[i, j]`` is the ring's contribution
    to the covariance of images i and j in real space: the sum over all rings but the first (DC) is
    that covariance. It is signed.
    """

    frequency_per_A: Float[Tensor, "rings"]
    covariance: Float[Tensor, "n n rings"]

    def correlation(self, first: int, second: int) -> Float[Tensor, "rings"]:
        """The Fourier ring correlation of two of the images; NaN for an empty ring."""
        power = self.covariance[first, first] * self.covariance[second, second]
        return self.covariance[first, second] / power.sqrt()

    def band(self, coarse_A: float, fine_A: float) -> "RingCovariances":
        """The rings between two resolutions (Å), combined into one ring."""
        inside = (self.frequency_per_A >= 1 / coarse_A) & (self.frequency_per_A < 1 / fine_A)
        centre = torch.tensor([(1 / coarse_A + 1 / fine_A) / 2])
        return RingCovariances(centre, self.covariance[..., inside].sum(dim=-1, keepdim=True))


def ring_covariances(
    images: Float[Tensor, "n y x"],
    pixel_size_yx_A: tuple[float, float],
    width_per_A: float | None = None,
    components: Bool[Tensor, "y kx"] | None = None,
) -> RingCovariances:
    """The real parts of all cross spectra of the images, summed over rings up to the Nyquist
    frequency.

    The images are used whole, without a window, after subtraction of their means. Rings are
    ``width_per_A`` wide (1/Å); by default one Fourier pixel of the longer side. Only the
    ``components`` of the half spectrum that are selected are summed.
    """
    shape = (images.shape[-2], images.shape[-1])
    extent_A = max(shape[0] * pixel_size_yx_A[0], shape[1] * pixel_size_yx_A[1])
    width_per_A = width_per_A or 1 / extent_A
    spectra = fourier.spectrum_of(images - images.mean(dim=(-2, -1), keepdim=True))
    rings, count = _rings(shape, pixel_size_yx_A, width_per_A, images.device)
    weights = fourier.friedel_weights(shape, images.device)
    if components is not None:
        weights = weights * components
    table = images.new_zeros(len(images), len(images), count, dtype=torch.float64)
    for i, first in enumerate(spectra):
        for j, second in enumerate(spectra[: i + 1]):
            product = (weights * (first * second.conj()).real).flatten().double()
            summed = torch.bincount(rings, product, minlength=count)[:count]
            table[i, j] = table[j, i] = summed
    return RingCovariances(torch.arange(count) * width_per_A, table.cpu())


def ring_means(
    values: Float[Tensor, "y kx"],
    shape: fourier.Shape,
    pixel_size_yx_A: tuple[float, float],
    width_per_A: float,
    components: Bool[Tensor, "y kx"] | None = None,
) -> tuple[Float[Tensor, "rings"], Float[Tensor, "rings"]]:
    """The mean of a half spectrum's ``values`` in each ring of `ring_covariances`, and how many
    components of the whole spectrum each ring has; the mean of an empty ring is 0.
    """
    rings, count = _rings(shape, pixel_size_yx_A, width_per_A, values.device)
    weights = fourier.friedel_weights(shape, values.device).expand(values.shape).double()
    if components is not None:
        weights = weights * components
    sums, counts = (
        torch.bincount(rings, weighted.flatten(), minlength=count)[:count].cpu()
        for weighted in (weights * values, weights)
    )
    return sums / counts.clamp(min=1), counts


def _rings(
    shape: fourier.Shape,
    pixel_size_yx_A: tuple[float, float],
    width_per_A: float,
    device: torch.device,
) -> tuple[Int[Tensor, "components"], int]:
    """The ring of each component of a half spectrum, and the number of rings up to Nyquist."""
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A, device)
    rings = fourier.ring_index(frequency, width_per_A).flatten()
    return rings, int(0.5 / max(pixel_size_yx_A) / width_per_A) + 1


@dataclass(frozen=True)
class RingAxis:
    """The rings that all micrographs of a set share: ``count`` of them without DC, each
    ``width_per_A`` wide (1/Å).

    The last ring is centred on the highest frequency, so that only its inner half exists.
    """

    count: int
    width_per_A: float

    @property
    def frequency_per_A(self) -> Float[Tensor, "rings"]:
        """The centre of each ring."""
        return torch.arange(1, self.count + 1, dtype=torch.float64) * self.width_per_A


def patch_covariances(
    images: Float[Tensor, "n y x"],
    pairs: Sequence[tuple[int, int]],
    pixel_size_yx_A: tuple[float, float],
    patch_px: int,
    axis: RingAxis,
) -> Float[Tensor, "rows columns pairs rings"]:
    """The real parts of the cross spectra of pairs of images in overlapping square patches, summed
    over rings.

    Patches of ``patch_px`` overlap by half or a little more and cover the image. The mean of each
    is subtracted, and the result multiplied by a Hann window of unit mean square, so that white
    noise keeps its variance and edges do not leak into other rings (Welch's method). Summed over
    rings, the table gives the covariances in real space. It is signed.
    """
    tops, lefts = (_starts(extent, patch_px) for extent in images.shape[-2:])
    window = hann(patch_px).to(images)
    member = _membership((patch_px, patch_px), pixel_size_yx_A, axis).to(images)
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    table = images.new_zeros(len(tops), len(lefts), len(pairs), axis.count)
    for row, top in enumerate(tops):
        strip = images[:, top : top + patch_px]
        patches = torch.stack([strip[..., left : left + patch_px] for left in lefts])
        patches = patches - (patches * window).mean(dim=(-2, -1), keepdim=True) / window.mean()
        spectra = torch.view_as_real(fourier.spectrum_of(patches * window))
        product = (spectra[:, first] * spectra[:, second]).sum(dim=-1)
        table[row] = product.flatten(2) @ member
    return table.cpu()


def valid_patches(blank: Bool[Tensor, "y x"], patch_px: int) -> Bool[Tensor, "rows columns"]:
    """Which of the patches of `patch_covariances` hold no blank pixel, on the CPU."""
    tops, lefts = (_starts(extent, patch_px) for extent in blank.shape)
    blank = blank.cpu()
    return torch.tensor(
        [
            [not blank[top : top + patch_px, left : left + patch_px].any() for left in lefts]
            for top in tops
        ]
    )


def _starts(extent: int, patch_px: int) -> list[int]:
    """The first pixels of patches along an axis: evenly spaced, at most half a patch apart, with
    the last patch ending at the edge.
    """
    if patch_px > extent:
        raise ValueError(f"a patch of {patch_px} pixels in an image of {extent}")
    steps = -(-(extent - patch_px) // (patch_px // 2))
    return [round(index * (extent - patch_px) / max(steps, 1)) for index in range(steps + 1)]


def hann(size: int) -> Float[Tensor, "y x"]:
    """The Hann window of a square patch, scaled to unit mean square."""
    side = torch.sin(torch.pi * (torch.arange(size) + 0.5) / size).square()
    window = side[:, None] * side[None, :]
    return window / window.square().mean().sqrt()


def _membership(
    shape: fourier.Shape, pixel_size_yx_A: tuple[float, float], axis: RingAxis
) -> Float[Tensor, "components rings"]:
    """The ring of each component of a half spectrum, and its weight (2 for Friedel pairs)."""
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A)
    rings = fourier.ring_index(frequency, axis.width_per_A)
    wanted = torch.arange(1, axis.count + 1)
    inside = frequency <= axis.count * axis.width_per_A * (1 + 1e-6)
    weights = (fourier.friedel_weights(shape) * inside).flatten()
    return (rings.flatten()[:, None] == wanted) * weights[:, None]
