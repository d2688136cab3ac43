"""The level at which the surface of a map is drawn, and the volume that it encloses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import generate_binary_structure, label
from torch import Tensor

from restore.errors import UsageError
from restore.maps.shells import Voxel
from restore.settings import setting

PROTEIN_A3_PER_DA = 1.21  # partial specific volume 0.73 cm³/g
_PEAK_SHARE = 0.999
_HEIGHT = 0.35
_NOISE_DEVIATIONS = 5.0
_DEVIATION_PER_MEDIAN = (
    1.4826  # standard deviation of a Gaussian over its median absolute deviation
)
_MOST_OF_PEAK = 0.7
_HALVINGS = 5
_MOST_NOISE = 3.0  # times the wanted volume: the most that may lie above a level in the search


@dataclass(frozen=True)
class ContourSettings:
    """The level at which the surface of each map is drawn."""

    level: tuple[float, ...] | None = setting(
        None, "level to draw at: one for all maps, or one for each map, sharpened maps last"
    )
    sigma: float | None = setting(
        None, "level in standard deviations of the whole map above its mean"
    )
    mass_kDa: float | None = setting(
        None, "mass of protein (kDa) whose volume is enclosed, at 1.21 Å³ per Da"
    )
    dust: float = setting(
        0.02, "share of the largest piece below which pieces are left out; 0 leaves none out"
    )

    def __post_init__(self) -> None:
        given = [name for name in ("level", "sigma", "mass_kDa") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(
                f"`{given[0]}` and `{given[1]}` both set the level", do="leave one out"
            )
        if self.mass_kDa is not None and not self.mass_kDa > 0:
            raise UsageError(
                f"mass_kDa is {self.mass_kDa:g}",
                field="mass_kDa",
                wanted="A mass above 0 kDa is needed",
            )
        if not 0 <= self.dust <= 1:
            raise UsageError(
                f"dust is {self.dust:g}", field="dust", wanted="A share from 0 to 1 is needed"
            )


@dataclass(frozen=True)
class Contour:
    """A map without dust, the level of its surface, and the volume that the surface encloses."""

    density: Float[Tensor, "z y x"]
    voxel_size_zyx_A: Voxel
    level: float
    volume_A3: float


class ContourError(ValueError):
    """The requested surface does not exist; ``number`` is the map's position, from 0."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def contours(
    maps: Sequence[tuple[Float[Tensor, "_ _ _"], Voxel]], settings: ContourSettings
) -> list[Contour]:
    """The surfaces of maps that are to be drawn side by side.

    Without a level in the settings, the first map is drawn at its :func:`usual_level`, and each
    other map at the level that encloses the same volume, since the scales and amplitudes of maps
    differ.

    Raises
    ------
    ContourError
        A map cannot enclose the volume, or nothing in it lies above its level.
    ValueError
        There are several levels, and not as many as maps.
    """
    levels = (
        settings.level * len(maps)
        if settings.level and len(settings.level) == 1
        else settings.level
    )
    if levels is not None and len(levels) != len(maps):
        raise ValueError(f"{len(levels)} levels for {len(maps)} maps")
    drawn: list[Contour] = []
    for number, (density, voxel_A) in enumerate(maps):
        try:
            level = _level(density, voxel_A, settings, drawn) if levels is None else levels[number]
            drawn.append(_contour(density, voxel_A, level, settings.dust))
        except ValueError as error:
            raise ContourError(number, str(error)) from error
    return drawn


def protein_volume_A3(mass_kDa: float) -> float:
    """The volume of this much protein, at 1.21 Å³ per dalton.

    >>> round(protein_volume_A3(700.0))
    847000
    """
    return 1000 * mass_kDa * PROTEIN_A3_PER_DA


def enclosed_volume_A3(
    density: Float[Tensor, "z y x"], level: float, voxel_size_zyx_A: Voxel
) -> float:
    """The volume of the voxels above a level."""
    return int((density > level).sum()) * math.prod(voxel_size_zyx_A)


def level_enclosing(
    density: Float[Tensor, "z y x"], volume_A3: float, voxel_size_zyx_A: Voxel, dust: float = 0.0
) -> float:
    """The level above which the voxels, without dust, fill this volume.

    If ``dust`` is 0 it is exact to the nearest voxel. Otherwise it is searched down to where three
    times the volume, dust included, lies above it: a map with more noise around the particle needs
    a mask.

    Raises
    ------
    ValueError
        The volume is under half a voxel, or not under that of the whole map.
    """
    voxel_A3, count = math.prod(voxel_size_zyx_A), round(volume_A3 / math.prod(voxel_size_zyx_A))
    if not 0 < count < density.numel():
        raise ValueError(
            f"{volume_A3:.4g} Å³ is no part of its {density.numel() * voxel_A3:.4g} Å³"
        )
    few, many = count, min(round(_MOST_NOISE * count), density.numel() - 1)
    if dust > 0 and _kept(density, _ranked(density, density.numel() - few), dust) < count:
        for _ in range(_HALVINGS):
            middle = (few + many) // 2
            enough = _kept(density, _ranked(density, density.numel() - middle), dust) >= count
            few, many = (few, middle) if enough else (middle, many)
    return _ranked(density, density.numel() - few)


def without_dust(
    density: Float[Tensor, "z y x"], level: float, dust: float
) -> Float[Tensor, "z y x"]:
    """The map without the pieces above the level that are smaller than this fraction of the largest
    piece.

    The density of those pieces is mirrored at the level. Voxels that touch, if only at a corner,
    belong to the same piece.
    """
    taken = (density > level) & ~_pieces(density, level, dust)
    return torch.where(taken, 2 * level - density, density)


def level_at_sigma(density: Float[Tensor, "z y x"], deviations: float) -> float:
    """The level this many standard deviations of the whole map above its mean."""
    wide = density.double()
    return float(wide.mean() + deviations * wide.std(correction=0))


def usual_level(density: Float[Tensor, "z y x"]) -> float:
    """A level for a map, assuming only that most of its box is solvent.

    It lies 35 % of the way from the background (the median) to the peak (the 99.9th percentile), or
    five standard deviations of the background (from its median absolute deviation) above it,
    whichever is higher, but at most 70 % of the way, so that even a map of noise is drawn.
    """
    background = float(density.median())
    peak = _ranked(density, round(_PEAK_SHARE * density.numel()))
    if peak <= background:  # almost nothing stands out
        peak = float(density.max())
    noise = _DEVIATION_PER_MEDIAN * float((density - background).abs().median())
    height = min(
        max(_HEIGHT * (peak - background), _NOISE_DEVIATIONS * noise),
        _MOST_OF_PEAK * (peak - background),
    )
    return background + height


def _ranked(density: Float[Tensor, "z y x"], rank: int) -> float:
    """The value of this rank, counted from 1, the smallest."""
    return float(density.flatten().kthvalue(rank).values)


def _contour(
    density: Float[Tensor, "z y x"], voxel_size_zyx_A: Voxel, level: float, dust: float
) -> Contour:
    if not bool((density > level).any()):
        raise ValueError(
            f"nothing in it lies above the level {level:.4g}, its highest value is "
            f"{float(density.max()):.4g}"
        )
    clean = without_dust(density, level, dust) if dust > 0 else density
    return Contour(
        clean, voxel_size_zyx_A, level, enclosed_volume_A3(clean, level, voxel_size_zyx_A)
    )


def _level(
    density: Float[Tensor, "z y x"],
    voxel_size_zyx_A: Voxel,
    settings: ContourSettings,
    before: Sequence[Contour],
) -> float:
    if settings.sigma is not None:
        return level_at_sigma(density, settings.sigma)
    if settings.mass_kDa is not None:
        return level_enclosing(
            density, protein_volume_A3(settings.mass_kDa), voxel_size_zyx_A, settings.dust
        )
    if before:
        return level_enclosing(density, before[0].volume_A3, voxel_size_zyx_A, settings.dust)
    return usual_level(density)


def _kept(density: Float[Tensor, "z y x"], level: float, dust: float) -> int:
    return int(_pieces(density, level, dust).sum())


def _pieces(density: Float[Tensor, "z y x"], level: float, dust: float) -> Bool[Tensor, "z y x"]:
    """The voxels above the level that belong to pieces larger than dust."""
    numbers = np.zeros(density.shape, np.int32)
    label((density > level).numpy(), generate_binary_structure(3, 3), output=numbers)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    large = (sizes >= dust * sizes.max()) & (sizes > 0)
    return torch.from_numpy(large[numbers])
