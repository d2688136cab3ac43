"""Lattices in an image and spikes in a correlation: patterns that are not due to particles."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from restore import fourier
from restore.evaluation.estimators.spectra import hann
from restore.evaluation.records import Lattice, Spike
from restore.quantities import Curve

_ABOVE = 4.0  # ratio to the strongest component around a line
_CORE, _WHOLE = 5, 11  # Fourier pixels: sides of the square of a line, and of the one around it
_LEAST_SHARE = 1e-5  # of the variance: weaker lines do not matter
_MOST_LINES = 8

_SPIKE = 0.1  # of correlation, above all rings around
_TIMES = 2.0  # ratio to what is around, which the first maximum of a CTF does not reach
_SPIKE_AT_END = 0.3  # if there are rings on one side only
_AROUND = range(2, 7)  # rings: one beside a spike may belong to it


def lattices(
    image: Float[Tensor, "y x"],
    pixel_size_yx_A: tuple[float, float],
    patch_px: int,
    blank: Bool[Tensor, "y x"] | None = None,
    *,
    name: str = "denoised",
) -> tuple[Lattice, ...]:
    """The strongest periods of an image, at most eight.

    A lattice is a component of the mean power spectrum of overlapping, windowed patches (without
    ``blank`` pixels) that is four times as strong as every component three to five Fourier pixels
    away from it. Neither noise, nor Thon rings, nor steep flanks of a spectrum are that sharp.
    ``name`` is that of the image.
    """
    power = _mean_power(image, patch_px, blank)
    if power is None:
        return ()
    around, peak = _around(power), _largest(power, _CORE, _CORE)
    share = (_line_power(power) / power.sum().clamp(min=1e-30)).clamp(min=0)
    is_line = (power >= peak) & (power > _ABOVE * around) & (share > _LEAST_SHARE)
    is_line[0, 0] = False
    ky, kx = fourier.frequency_yx_per_A((patch_px, patch_px), pixel_size_yx_A)
    shares: dict[float, float] = {}
    for row, column in is_line.nonzero().tolist():
        # A half spectrum is enough: the other half repeats it.
        mirrored = column > patch_px // 2 or (column % (patch_px // 2) == 0 and row > patch_px // 2)
        if not mirrored:
            alone = (2 * row % patch_px, 2 * column % patch_px) == (0, 0)
            period_A = round(1 / math.hypot(float(ky[row, 0]), float(kx[0, column])), 2)
            own = (1 if alone else 2) * float(share[row, column])
            shares[period_A] = shares.get(period_A, 0.0) + own
    pixel_A = math.sqrt(math.prod(pixel_size_yx_A))
    candidates = [
        Lattice(name, period_A, round(period_A / pixel_A, 2), round(share, 7))
        for period_A, share in shares.items()
    ]
    return tuple(sorted(candidates, key=lambda lattice: -lattice.share)[:_MOST_LINES])


def _mean_power(
    image: Float[Tensor, "y x"], patch_px: int, blank: Bool[Tensor, "y x"] | None
) -> Float[Tensor, "ky kx"] | None:
    """The mean power spectrum of patches; None if every patch has blank pixels."""
    window = hann(patch_px).to(image)
    step = patch_px // 2
    patches = image.unfold(0, patch_px, step).unfold(1, patch_px, step).flatten(0, 1)
    if blank is not None:
        masked = blank.unfold(0, patch_px, step).unfold(1, patch_px, step).flatten(0, 1)
        patches = patches[~masked.flatten(1).any(dim=1)]
    if not len(patches):
        return None
    total = torch.zeros(patch_px, patch_px, dtype=torch.float64)
    for patch in patches:
        centred = patch - (patch * window).mean() / window.mean()
        total += torch.fft.fft2(centred * window, norm="forward").abs().square().double().cpu()
    return total / len(patches)


def _largest(power: Float[Tensor, "ky kx"], rows: int, columns: int) -> Float[Tensor, "ky kx"]:
    """The largest value in a box about each component; the spectrum is continued periodically."""
    return max_pool2d(_periodic(power, rows, columns), (rows, columns), 1)[0, 0]


def _periodic(power: Float[Tensor, "ky kx"], rows: int, columns: int) -> Float[Tensor, "1 1 y x"]:
    reach = (columns // 2, columns // 2, rows // 2, rows // 2)
    return pad(power[None, None], reach, mode="circular")


def _line_power(power: Float[Tensor, "ky kx"]) -> Float[Tensor, "ky kx"]:
    """The power in the core about each component, minus that in an equal area of its
    surroundings.
    """
    core, whole = (
        size**2 * avg_pool2d(_periodic(power, size, size), size, 1)[0, 0]
        for size in (_CORE, _WHOLE)
    )
    return core - (whole - core) * _CORE**2 / (_WHOLE**2 - _CORE**2)


def _around(power: Float[Tensor, "ky kx"]) -> Float[Tensor, "ky kx"]:
    """The largest value in the square frame about each component, outside its core: two broad
    strips and two narrow ones.
    """
    thick = (_WHOLE - _CORE) // 2
    away = (_CORE + thick) // 2
    rows, columns = _largest(power, thick, _WHOLE), _largest(power, _WHOLE, thick)
    strips = [rows.roll(shift, 0) for shift in (away, -away)]
    strips += [columns.roll(shift, 1) for shift in (away, -away)]
    return torch.stack(strips).amax(dim=0)


def spikes(name: str, frc: Curve, frequency_per_A: Sequence[float]) -> tuple[Spike, ...]:
    """The rings whose correlation stands out above all rings two to six rings away: by 0.1, by a
    factor of two, and by more than the error. The correlation of particles has no such spikes: it
    falls, and oscillates with the Thon rings, of which the next maximum is as high. ``name`` says
    which halves were correlated.
    """
    spikes_seen: list[Spike] = []
    for index, value in enumerate(frc.value):
        low = frc.low[index]
        sides = [_neighbours(frc, index, sign) for sign in (-1, 1)]
        if value is None or low is None or not sides[0]:
            continue
        around = max(number for side in sides for number, _ in side)
        certain = all(low > high for side in sides for _, high in side)
        needed = _SPIKE if len(sides[1]) > 1 else _SPIKE_AT_END
        stands_out = value - around > needed and value > _TIMES * around
        if certain and stands_out and value >= _beside(frc, index):
            spikes_seen.append(Spike(name, round(1 / frequency_per_A[index], 3), value, around))
    return tuple(spikes_seen)


def _beside(frc: Curve, index: int) -> float:
    """The larger of the correlations of the two rings beside one."""
    return max(value or 0.0 for value in frc.value[max(index - 1, 0) : index + 2])


def _neighbours(frc: Curve, index: int, sign: int) -> list[tuple[float, float]]:
    """The correlations around a ring on one side, with the upper ends of their intervals."""
    places = [index + sign * step for step in _AROUND if 0 <= index + sign * step < len(frc.value)]
    known = [(frc.value[place], frc.high[place]) for place in places]
    return [
        (value, high if high is not None else value) for value, high in known if value is not None
    ]
