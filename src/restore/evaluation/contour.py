"""The level at which the surface of a map is drawn, and the volume that it encloses."""

import math

from jaxtyping import Float
from torch import Tensor

Voxel = tuple[float, float, float]

PROTEIN_A3_PER_DA = 1.21  # partial specific volume 0.73 cm³/g
_PEAK_SHARE = 0.999
_HEIGHT = 0.35
_NOISE_DEVIATIONS = 5.0
_DEVIATION_PER_MEDIAN = 1.4826  # of a Gaussian: its standard deviation over its median absolute deviation
_MOST_OF_PEAK = 0.7


def protein_volume_A3(mass_kDa: float) -> float:
    """The volume of this much protein, at 1.21 Å³ per dalton.

    >>> round(protein_volume_A3(700.0))
    847000
    """
    return 1000 * mass_kDa * PROTEIN_A3_PER_DA


def enclosed_volume_A3(density: Float[Tensor, "z y x"], level: float, voxel_size_zyx_A: Voxel) -> float:
    """The volume of the voxels above a level."""
    return int((density > level).sum()) * math.prod(voxel_size_zyx_A)


def level_enclosing(density: Float[Tensor, "z y x"], volume_A3: float, voxel_size_zyx_A: Voxel) -> float:
    """The level above which lie as many voxels as fill this volume, to the nearest voxel.

    Raises
    ------
    ValueError
        The volume is under half a voxel, or not under that of the whole map.
    """
    count = round(volume_A3 / math.prod(voxel_size_zyx_A))
    if not 0 < count < density.numel():
        whole_A3 = density.numel() * math.prod(voxel_size_zyx_A)
        raise ValueError(f"a volume of {volume_A3:.4g} Å³ in a map of {whole_A3:.4g} Å³")
    return _ranked(density, density.numel() - count)


def level_at_sigma(density: Float[Tensor, "z y x"], deviations: float) -> float:
    """The level so many standard deviations of the whole map above its mean."""
    wide = density.double()
    return float(wide.mean() + deviations * wide.std(correction=0))


def usual_level(density: Float[Tensor, "z y x"]) -> float:
    """A level for a map of which nothing is known but that most of its box is solvent.

    It lies 35 % of the way from the background (the median) to the peak (above which one voxel in a thousand lies),
    and five standard deviations of the background above it (from the median absolute deviation), whichever is
    higher, but not above 70 % of the way: a map of noise is drawn too.
    """
    background = float(density.median())
    peak = _ranked(density, round(_PEAK_SHARE * density.numel()))
    if peak <= background:  # next to nothing stands out
        peak = float(density.max())
    noise = _DEVIATION_PER_MEDIAN * float((density - background).abs().median())
    height = min(max(_HEIGHT * (peak - background), _NOISE_DEVIATIONS * noise), _MOST_OF_PEAK * (peak - background))
    return background + height


def _ranked(density: Float[Tensor, "z y x"], rank: int) -> float:
    """The value of this rank, counted from 1, the smallest."""
    return float(density.flatten().kthvalue(rank).values)
