"""How much of the agreement of denoised half maps is bias that both share, estimated from the raw
half maps without any truth.

Raw half maps are R_i = S + N_i: one signal, independent noise. Denoised ones, with the same
orientations, are D_i = g S + B + M_i: the signal with a gain g, a bias B that both hold and that is
not proportional to S, and what is left of the noise (M_1 may depend on N_1, but not on N_2, which
comes from other particles). With the powers P of the maps in a shell:

    FSC(D1, D2) = (g² S² + B²) / √(P_D1 P_D2)
    FSC(D1, R2) = g S² / √(P_D1 P_R2),  FSC(D2, R1) = g S² / √(P_D2 P_R1),  FSC(R1, R2) = S² /
    √(P_R1 P_R2)

so that what the raw halves support,

    h = FSC(D1, R2) FSC(D2, R1) / FSC(R1, R2) = g² S² / √(P_D1 P_D2),

is the FSC that the denoised halves would have if the bias were noise: each half's squared
correlation with the signal. What FSC(D1, D2) has beyond it, B² / √(P_D1 P_D2), is the inflation.
The mean of both halves has, with noise halved,

    C² = g² S² / (g² S² + B² + M²/2) = 2 h / (1 + FSC(D1, D2)),

which is C_ref² = 2 FSC / (1 + FSC) (Rosenthal & Henderson 2003, J. Mol. Biol. 333, 721) where there
is no bias. The signal S is what infinitely many raw images with these orientations would give. A
bias that is in the raw halves as well, for example because orientations followed noise, is
therefore not detected.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from restore.maps.ball import independent_share
from restore.maps.fsc import FSC, FSCSettings, half_map_fsc, shell_correlation
from restore.maps.sharpening import fsc_weight
from restore.maps.shells import ShellAxis, Voxel, shell_sums

_SIGMAS = 3.0
_NEGLIGIBLE = 0.01  # a gain that varies within a shell causes as much
_LEAST_SHELLS = 3
_NEITHER = 1e-12
_PAIRS = ((0, 1), (0, 3), (1, 2), (2, 3))  # pairs among D1, D2, R1 and R2 with independent noise


@dataclass(frozen=True)
class Agreements:
    """The correlations of four maps in each shell: raw and denoised half maps with the same
    orientations and half sets.

    ``crossed`` are those of denoised half 1 with raw half 2 and of denoised half 2 with raw half 1.
    ``same_half`` are those of the denoised and the raw map of one half, which share its noise; only
    the errors use them. ``samples`` is the number of independent real numbers in each shell.
    """

    frequency_per_A: Float[Tensor, "shells"]
    raw: Float[Tensor, "shells"]
    denoised: Float[Tensor, "shells"]
    crossed: Float[Tensor, "2 shells"]
    same_half: Float[Tensor, "2 shells"]
    samples: Float[Tensor, "shells"]


@dataclass(frozen=True)
class Inflation:
    """The FSC that denoised half maps claim, the part that the raw ones support, and the
    difference, each with its error (1 σ).

    ``claimed`` is FSC(D1, D2), ``supported`` is h, ``excess`` their difference. ``correlation`` is
    that of the mean of the denoised halves with the signal, and ``claimed_correlation`` what
    FSC(D1, D2) implies for it (C_ref). From the first shell in which the FSC of the raw halves is
    less than three times its error, nothing is known: all but the claimed values are NaN.
    ``last_shell`` is the shell before it.
    """

    frequency_per_A: Float[Tensor, "shells"]
    claimed: Float[Tensor, "shells"]
    supported: Float[Tensor, "shells"]
    supported_error: Float[Tensor, "shells"]
    excess: Float[Tensor, "shells"]
    excess_error: Float[Tensor, "shells"]
    claimed_correlation: Float[Tensor, "shells"]
    correlation: Float[Tensor, "shells"]
    samples: Float[Tensor, "shells"]
    last_shell: int

    @property
    def mean_excess(self) -> tuple[float, float]:
        """The mean excess over the shells in which it is known, weighted by their samples, and its
        error; NaN if it is known in none.
        """
        if self.last_shell == 0:
            return math.nan, math.nan
        shells = slice(1, self.last_shell + 1)
        weights = self.samples[shells] / self.samples[shells].sum().clamp(min=_NEITHER)
        variance = (weights * self.excess_error[shells]).square().sum()
        return float((weights * self.excess[shells]).sum()), float(variance.sqrt())

    @property
    def inflated_band(self) -> tuple[int, int] | None:
        """The first and the last shell of the longest run of three or more shells that claim too
        much, or None.

        In each of them the excess is above 0.01 and above three times its error. A mean over all
        shells would not do: the finest shells have so many components that their uncertainty would
        hide the excess of the coarse ones.
        """
        least = (_SIGMAS * self.excess_error).clamp(min=_NEGLIGIBLE)
        inflated = (self.excess > least)[: self.last_shell + 1].tolist()
        runs: list[tuple[int, int]] = []
        start = 1
        for shell in range(1, len(inflated) + 1):
            if shell == len(inflated) or not inflated[shell]:
                runs.append((start, shell - 1))
                start = shell + 1
        longest = max(runs, key=lambda run: run[1] - run[0], default=(1, 0))
        return longest if longest[1] - longest[0] + 1 >= _LEAST_SHELLS else None

    @property
    def is_found(self) -> bool:
        """Whether there is a band that claims too much."""
        return self.inflated_band is not None


def agreements(
    raw: Float[Tensor, "2 z y x"],
    denoised: Float[Tensor, "2 z y x"],
    voxel_size_zyx_A: Voxel,
    mask: Float[Tensor, "z y x"] | None = None,
    symmetry_order: int = 1,
) -> Agreements:
    """The correlations of two raw and two denoised half maps; with a mask, those under it,
    corrected for the mask.

    Before the mask is applied, the denoised maps are given the amplitudes of the raw ones, shell by
    shell, which changes no FSC. A mask spreads each component over its neighbours, and where a
    denoiser has removed nearly all of a shell, what leaks in from coarser shells would be taken for
    its agreement.

    The samples of a shell are its Fourier components, reduced by the symmetry (``symmetry_order``
    copies of each), by the ball to which a reconstruction is limited, and by the fraction of it
    under the mask (:func:`restore.maps.ball.independent_share`).
    """
    axis = ShellAxis((raw.shape[1], raw.shape[2], raw.shape[3]), voxel_size_zyx_A)
    if mask is not None:
        denoised = with_spectrum_of(raw, denoised, axis)

    def agreement(first: Float[Tensor, "z y x"], second: Float[Tensor, "z y x"]) -> FSC:
        return half_map_fsc(first[None], second[None], voxel_size_zyx_A, FSCSettings(), mask)

    def under_mask(
        first: Float[Tensor, "z y x"], second: Float[Tensor, "z y x"]
    ) -> Float[Tensor, "shells"]:
        weight = 1 if mask is None else mask
        return shell_correlation((first * weight)[None], (second * weight)[None], axis)

    kept = independent_share(raw.shape[-1], mask)
    return Agreements(
        axis.frequency_per_A,
        agreement(raw[0], raw[1]).best,
        agreement(denoised[0], denoised[1]).best,
        torch.stack([agreement(denoised[0], raw[1]).best, agreement(denoised[1], raw[0]).best]),
        torch.stack([under_mask(denoised[half], raw[half]) for half in (0, 1)]),
        (components(axis) * kept / symmetry_order).clamp(min=1),
    )


def with_spectrum_of(
    model: Float[Tensor, "2 z y x"], maps: Float[Tensor, "2 z y x"], axis: ShellAxis
) -> Float[Tensor, "2 z y x"]:
    """Two maps, each shell scaled by one factor so that their power is that of two other maps
    (``model``).
    """
    wanted, there = (
        sum((_power(volume, axis) for volume in pair), torch.zeros(())) for pair in (model, maps)
    )
    factors = (wanted / there.clamp(min=torch.finfo(torch.float64).tiny)).sqrt()
    factors = torch.cat([factors, factors[-1:]]).to(maps.dtype)  # beyond Nyquist as at it
    scaled = torch.stack([factors[shells] for shells in axis.shells()])
    spectra = torch.fft.rfftn(maps, dim=(1, 2, 3)) * scaled
    return torch.fft.irfftn(spectra, s=axis.shape, dim=(1, 2, 3))


def _power(volume: Float[Tensor, "z y x"], axis: ShellAxis) -> Float[Tensor, "shells"]:
    spectrum = torch.fft.rfftn(volume, dim=(0, 1, 2))
    return shell_sums(spectrum, spectrum, axis, "half")[0]


def components(axis: ShellAxis) -> Float[Tensor, "shells"]:
    """The number of Fourier components of the whole transform in each shell, which is the number of
    independent real numbers.
    """
    side = axis.shape[-1]
    weights = torch.full((side // 2 + 1,), 2.0, dtype=torch.float64)
    weights[0] = 1
    if side % 2 == 0:
        weights[-1] = 1
    counts = torch.zeros(axis.count, dtype=torch.float64)
    for shells in axis.shells():
        counts += torch.bincount(
            shells.flatten(), weights.expand(shells.shape).flatten(), axis.count + 1
        )[: axis.count]
    return counts


def inflation(measured: Agreements) -> Inflation:
    """The excess of the claimed FSC over what the raw halves support; the errors follow from the
    noise in all four maps.
    """
    last = _last_known_shell(measured)
    unknown = torch.arange(len(measured.raw)) > last
    first, second = measured.crossed
    supported = first * second / measured.raw
    # Derivatives by FSC(D1, D2), FSC(D1, R2), FSC(D2, R1) and FSC(R1, R2).
    of_supported = torch.stack(
        [
            torch.zeros_like(first),
            second / measured.raw,
            first / measured.raw,
            -supported / measured.raw,
        ]
    )
    of_excess = torch.stack([torch.ones_like(first), *-of_supported[1:]])
    squared = 2 * supported / (1 + measured.denoised)
    return Inflation(
        measured.frequency_per_A,
        measured.denoised,
        _without(unknown, supported),
        _without(unknown, _error(of_supported, measured)),
        _without(unknown, measured.denoised - supported),
        _without(unknown, _error(of_excess, measured)),
        fsc_weight(measured.denoised),
        _without(unknown, squared.clamp(min=0).sqrt()),
        measured.samples,
        last,
    )


def _last_known_shell(measured: Agreements) -> int:
    """The shell before the first in which the FSC of the raw halves is less than three times its
    error.
    """
    error = (1 - measured.raw.square()) / measured.samples.sqrt()
    below = (measured.raw[1:] < _SIGMAS * error[1:]).nonzero()
    return int(below[0]) if len(below) else len(measured.raw) - 1


def _without(unknown: Tensor, curve: Float[Tensor, "shells"]) -> Float[Tensor, "shells"]:
    return curve.masked_fill(unknown, torch.nan)


def _error(gradient: Float[Tensor, "4 shells"], measured: Agreements) -> Float[Tensor, "shells"]:
    """The error of a function of the four agreements, from its derivatives by them.

    Second moments m_ij of n samples of a fixed signal (moments W) and normal noise (covariances V)
    have themselves the covariances (V_ik V_jl + V_il V_jk + W_ik V_jl + W_il V_jk + V_ik W_jl +
    V_il W_jk) / n, so that Σ G_ij m_ij with a symmetric G has the variance 2 (tr GVGV + 2 tr GWGV)
    / n. A correlation r_ij changes by dm_ij - r_ij (dm_ii + dm_jj) / 2 where all m_ii are 1.
    """
    signal, noise = _moments(measured)
    correlation = signal + noise
    linear = torch.zeros_like(signal)
    for (i, j), slope in zip(_PAIRS, gradient, strict=True):
        linear[:, i, j] += slope / 2
        linear[:, j, i] += slope / 2
        linear[:, i, i] -= slope * correlation[:, i, j] / 2
        linear[:, j, j] -= slope * correlation[:, i, j] / 2
    by_noise = linear @ noise
    variance = 2 * (by_noise + 2 * linear @ signal) @ by_noise / measured.samples[:, None, None]
    return variance.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(min=0).sqrt()


def _moments(
    measured: Agreements,
) -> tuple[Float[Tensor, "shells 4 4"], Float[Tensor, "shells 4 4"]]:
    """The moments of signal and of noise of D1, D2, R1 and R2, in units of each map's power; they
    are the same for both halves.
    """
    denoised, raw = measured.denoised.clamp(0, 1), measured.raw.clamp(0, 1)
    most = (denoised * raw).sqrt()
    crossed = measured.crossed.mean(dim=0).clamp(-most, most)
    most = ((1 - denoised) * (1 - raw)).sqrt()
    same_half = (measured.same_half.mean(dim=0) - crossed).clamp(-most, most)
    signal, noise = (torch.zeros(len(raw), 4, 4, dtype=torch.float64) for _ in range(2))
    signal[:, :2, :2] = denoised[:, None, None]
    signal[:, 2:, 2:] = raw[:, None, None]
    signal[:, :2, 2:] = signal[:, 2:, :2] = crossed[:, None, None]
    for half in (0, 1):
        noise[:, half, half] = 1 - denoised
        noise[:, half + 2, half + 2] = 1 - raw
        noise[:, half, half + 2] = noise[:, half + 2, half] = same_half
    return signal, noise
