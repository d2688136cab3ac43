"""Fourier shell and ring correlation, and its correction for a mask (Chen et al. 2013)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore.errors import UsageError
from restore.maps.shells import Counting, ShellAxis, Voxel, shell_sums
from restore.settings import setting

_GRID = (-3, -2, -1)


@dataclass(frozen=True)
class FSCSettings:
    """How the shells are summed, and how the effect of the mask is estimated."""

    randomize_at_fsc: float = setting(
        0.8, "FSC of the unmasked maps below which phases are randomised"
    )
    seed: int = setting(0, "seed of the random phases")
    count: str | None = setting(
        None,
        "Fourier components to sum over: the half transform, as in RELION (default for volumes), "
        "or the whole (default for images)",
        choices=("half", "whole"),
    )

    def __post_init__(self) -> None:
        if not 0 < self.randomize_at_fsc <= 1:
            raise UsageError(
                f"randomize_at_fsc is {self.randomize_at_fsc:g}",
                field="randomize_at_fsc",
                wanted="A correlation above 0 and up to 1 is needed",
            )


@dataclass(frozen=True)
class FSC:
    """Correlations of two maps in each shell; shell 0, the two means, is 1 by convention.

    Without a mask there is only ``unmasked``. ``randomised`` is the correlation of the masked maps
    after their phases were randomised from shell ``randomised_from`` on, which the mask alone
    causes. It and ``corrected`` are None if the unmasked curve never falls far enough for phases to
    be randomised.
    """

    frequency_per_A: Float[Tensor, "shells"]
    unmasked: Float[Tensor, "shells"]
    masked: Float[Tensor, "shells"] | None = None
    randomised: Float[Tensor, "shells"] | None = None
    corrected: Float[Tensor, "shells"] | None = None
    randomised_from: int | None = None

    @property
    def curves(self) -> dict[str, Float[Tensor, "shells"]]:
        """The curves that are not None, by name."""
        names = ("unmasked", "masked", "randomised", "corrected")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def best(self) -> Float[Tensor, "shells"]:
        """The curve to judge by: the corrected one, or the unmasked one if there is no
        correction.
        """
        return self.unmasked if self.corrected is None else self.corrected

    def crossing_A(self, curve: Float[Tensor, "shells"], threshold: float) -> float | None:
        """The resolution (Å) at which a curve first falls under a threshold, by linear
        interpolation between shells.

        It is None if the curve never does, and infinite if it is under the threshold from shell 1
        on.
        """
        below = first_below(curve, threshold)
        if below is None:
            return None
        if below == 1:
            return math.inf
        high, low = float(curve[below - 1]), float(curve[below])
        start, stop = float(self.frequency_per_A[below - 1]), float(self.frequency_per_A[below])
        return 1 / (start + (stop - start) * (high - threshold) / (high - low))

    def last_shell_above(self, threshold: float = 0.143) -> int:
        """The shell before the first in which the best curve is under a threshold, which sets the
        resolution in RELION.
        """
        below = first_below(self.best, threshold)
        return len(self.best) - 1 if below is None else below - 1


def correlation(sums: Float[Tensor, "3 shells"]) -> Float[Tensor, "shells"]:
    """The cross spectrum over the root of the powers, signed: 0 where a map has no power, 1 in
    shell 0.
    """
    cross, first, second = sums
    power = (
        first.sqrt() * second.sqrt()
    )  # the root of each: their product may be too small for a number
    curve = torch.where(power > 0, cross / power, torch.zeros_like(cross))
    curve[0] = 1
    return curve


def shell_correlation(
    first: Float[Tensor, "n z y x"],
    second: Float[Tensor, "n z y x"],
    axis: ShellAxis,
    counting: Counting = "half",
    spectrum: Callable[[Float[Tensor, "z y x"]], Complex[Tensor, "z y kx"]] | None = None,
) -> Float[Tensor, "shells"]:
    """The signed FSC of two volumes (n = 1), or of two stacks of images (z = 1) pair by pair,
    summed over the pairs.

    ``spectrum`` computes the half transform of each volume or image, by default after subtraction
    of its mean.
    """
    spectrum = spectrum or _spectrum
    sums = (
        shell_sums(spectrum(a), spectrum(b), axis, counting)
        for a, b in zip(first, second, strict=True)
    )
    return correlation(torch.stack(list(sums)).sum(dim=0))


def randomise_phases(
    spectrum: Complex[Tensor, "z y kx"],
    axis: ShellAxis,
    first_shell: int,
    generator: torch.Generator,
) -> Complex[Tensor, "z y kx"]:
    """The half transform of a real map with random phases from the centre of a shell on, and
    unchanged amplitudes.

    The coarser half of that shell is left as it is, as in RELION. Pairs k and -k in the same column
    get opposite phases, as a real map requires.
    """
    columns = [_odd(_phases(spectrum.shape[:2], generator)) for _ in range(2)]
    random = torch.empty_like(spectrum)
    for z, (radius, plane) in enumerate(zip(axis.radii(), spectrum, strict=True)):
        phases = _phases(plane.shape, generator)
        phases[:, 0] = columns[0][z]
        if axis.shape[-1] % 2 == 0:
            phases[:, -1] = columns[1][z]
        turned = torch.polar(plane.abs(), phases.to(plane.device, plane.real.dtype))
        beyond = radius.to(plane.device) >= first_shell - 1e-9
        random[z] = torch.where(beyond, turned, plane)
    return random


def corrected_for_mask(
    masked: Float[Tensor, "shells"], randomised: Float[Tensor, "shells"], randomised_from: int
) -> Float[Tensor, "shells"]:
    """The FSC of masked maps, corrected for the contribution of the mask: (FSC_t - FSC_n) / (1 -
    FSC_n).

    Chen et al. 2013, Ultramicroscopy 135, 24. FSC_t is that of the masked maps and FSC_n that of
    the masked maps with random phases. The correction begins two shells after the first with random
    phases, as in RELION: closer to it, the mask mixes them with the shells before. Where FSC_n is
    1, random phases explain everything, and the result is 0.
    """
    room = 1 - randomised
    corrected = torch.where(room > 1e-6, (masked - randomised) / room, torch.zeros_like(room))
    corrected[: randomised_from + 2] = masked[: randomised_from + 2]
    return corrected


def first_below(curve: Float[Tensor, "shells"], threshold: float) -> int | None:
    """The first shell after shell 0 in which a curve is under a threshold, or None."""
    below = (curve[1:] < threshold).nonzero()
    return int(below[0]) + 1 if len(below) else None


def half_map_fsc(
    first: Float[Tensor, "n z y x"],
    second: Float[Tensor, "n z y x"],
    voxel_size_zyx_A: Voxel,
    settings: FSCSettings,
    mask: Float[Tensor, "z y x"] | None = None,
) -> FSC:
    """All correlations of two volumes (n = 1) or stacks of images (z = 1); with a soft mask, also
    those under it.

    The mean of an image is subtracted before the mask is applied. That of a volume is not, as in
    RELION: it belongs to the structure, around which the density is zero.
    """
    axis = ShellAxis((first.shape[1], first.shape[2], first.shape[3]), voxel_size_zyx_A)
    counting = _counting(settings, first.shape[1] == 1)
    unmasked = shell_correlation(first, second, axis, counting)
    if mask is None:
        return FSC(axis.frequency_per_A, unmasked)
    masked = shell_correlation(
        first, second, axis, counting, lambda image: _spectrum_under(mask, image)
    )
    start = first_below(unmasked, settings.randomize_at_fsc)
    if start is None:
        return FSC(axis.frequency_per_A, unmasked, masked)
    generator = torch.Generator().manual_seed(settings.seed)

    def randomised_spectrum(image: Float[Tensor, "z y x"]) -> Complex[Tensor, "z y kx"]:
        random = randomise_phases(torch.fft.rfftn(image, dim=_GRID), axis, start, generator)
        return _spectrum_under(mask, torch.fft.irfftn(random, s=axis.shape, dim=_GRID))

    randomised = shell_correlation(first, second, axis, counting, randomised_spectrum)
    corrected = corrected_for_mask(masked, randomised, start)
    return FSC(axis.frequency_per_A, unmasked, masked, randomised, corrected, start)


def _counting(settings: FSCSettings, images: bool) -> Counting:
    """The components to sum over: for volumes as in RELION, so that curves can be compared; for
    images as is usual for rings.
    """
    if settings.count is None:
        return "whole" if images else "half"
    return "whole" if settings.count == "whole" else "half"


def _spectrum(image: Float[Tensor, "z y x"]) -> Complex[Tensor, "z y kx"]:
    return torch.fft.rfftn(image - image.mean(), dim=_GRID)


def _spectrum_under(
    mask: Float[Tensor, "z y x"], image: Float[Tensor, "z y x"]
) -> Complex[Tensor, "z y kx"]:
    centred = image - image.mean() if len(image) == 1 else image
    return torch.fft.rfftn(centred * mask, dim=_GRID)


def _phases(shape: Sequence[int], generator: torch.Generator) -> Float[Tensor, "rows columns"]:
    """Phases drawn uniformly from the whole circle."""
    return 2 * math.pi * torch.rand(*shape, generator=generator)


def _odd(phases: Float[Tensor, "z y"]) -> Float[Tensor, "z y"]:
    """Random phases that are opposite for k and -k: the difference of two random phases is as
    random as either.
    """
    return phases - phases.flip(0, 1).roll((1, 1), (0, 1))
