"""The weights of the denoised and the raw image for which their sum is closest to the truth in each
ring, from halves alone.

In a ring, |a·D + b·M − S|² is least where a·var D + b·cov(D, M) = cov(D, S) and a·cov(D, M) + b·var
M = cov(M, S). The noise of the other half is independent of D and M, so cov(D1, S) = cov(D1, M2)
and cov(M1, S) = cov(M1, M2), and no truth is needed. If a = 0, b is the Wiener filter, cov(M1, M2)
/ var M.

The covariances come from a set of micrographs, or from the micrograph itself. In the latter case
neighbouring rings are combined, and a prior supplies what the few Fourier components of one image
do not determine.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool1d

SMOOTHED_RINGS = 11
"""The number of neighbouring rings of 1/600 Å that are combined if the covariances are those of
other micrographs, whose CTFs have their zeros elsewhere.
"""

OWN_RINGS = 3
"""The number of rings that are combined if the covariances are the micrograph's own."""

PRIOR_PIXELS = 1e5
"""The weight of a model's prior, as a number of pixels of the micrograph."""

TRUST_PIXELS = 1e5
"""The weight, in pixels, of the prior used if nothing was measured: that the network is right."""

CTF_WINDOW = 0.2
"""The range over which the CTF is followed, to either side, as a share of the frequency."""

CTF_FROM_PER_A = 1 / 60
"""The frequency below which rings have enough signal to be used alone."""

CTF_MISFIT = 1 / 30
"""The relative variance of the true covariances about the curve that follows the CTF."""

LARGEST_SLOPE = 1.5


@dataclass(frozen=True)
class HalfCovariances:
    """The covariances that determine the weights, in each ring: ``raw`` is var M, ``signal`` is
    cov(M1, M2), ``denoised`` is var D, ``across`` is cov(D1, M2), ``mixed`` is cov(D1, M1).
    """

    raw: Float[Tensor, "rings"]
    signal: Float[Tensor, "rings"]
    denoised: Float[Tensor, "rings"]
    across: Float[Tensor, "rings"]
    mixed: Float[Tensor, "rings"]

    @classmethod
    def of(cls, table: Float[Tensor, "images images rings"]) -> "HalfCovariances":
        """From the covariances of M1, M2, D1 and, if the second half was denoised too, D2."""
        raw = (table[0, 0] + table[1, 1]) / 2
        if len(table) == 3:
            return cls(raw, table[0, 1], table[2, 2], table[1, 2], table[0, 2])
        return cls(
            raw,
            table[0, 1],
            (table[2, 2] + table[3, 3]) / 2,
            (table[0, 3] + table[1, 2]) / 2,
            (table[0, 2] + table[1, 3]) / 2,
        )

    def smoothed(self, window: int) -> "HalfCovariances":
        """The running means over ``window`` rings."""
        return HalfCovariances(*(smoothed_rings(curve, window) for curve in self.curves()))

    def curves(self) -> list[Float[Tensor, "rings"]]:
        """The five curves in their order."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class Weights:
    """The factors of the denoised and of the raw image in each ring."""

    slope: Float[Tensor, "rings"]
    share: Float[Tensor, "rings"]


def least_squares_weights(covariances: HalfCovariances, window: int = SMOOTHED_RINGS) -> Weights:
    """The weights for a half; ``window`` rings are combined.

    No factor is negative: if the unconstrained solution has a negative one, it becomes zero, and
    the other is that for one image alone. A negative estimate of a ring's signal counts as zero.
    """
    return _solved(covariances.smoothed(window))


def weights_for_full_sum(
    half: Weights, covariances: HalfCovariances, window: int = SMOOTHED_RINGS
) -> Weights:
    """The weights for the full sum: those of a half, except for the share where the slope is zero.

    The network's output for the full sum keeps the slope of the halves, because there is no
    independent image with which to measure its own. Where the slope is zero, the share must be the
    full sum's Wiener filter, 2 FRC/(1 + FRC), which is 2/(1 + FRC) times the half's; this factor
    falls to 1 where the slope is 1.
    """
    smooth = covariances.smoothed(window)
    frc = (smooth.signal.clamp(min=0) / smooth.raw).nan_to_num(0.0)
    more = 2 / (1 + frc.clamp(0, 1)) - 1
    return Weights(half.slope, half.share * (1 + more * (1 - half.slope.clamp(max=1))))


def with_prior(
    own: HalfCovariances, prior: HalfCovariances | None, pixels: float
) -> HalfCovariances:
    """A micrograph's own covariances, over ``pixels`` pixels, combined with a prior worth
    `PRIOR_PIXELS`, which is scaled to the micrograph's power and has the same rings.

    Without a prior, the network is assumed to be optimal, with the weight of `TRUST_PIXELS`: its
    output is then calibrated, cov(D, S) = var D, and cov(M, S) = cov(M, D), because the signal that
    it misses is uncorrelated with M.
    """
    worth = PRIOR_PIXELS if prior else TRUST_PIXELS
    if prior is None:
        prior = HalfCovariances(own.raw, own.mixed, own.denoised, own.denoised, own.mixed)
    count = min(len(own.raw), len(prior.raw))
    scale = float(own.raw[:count].sum() / prior.raw[:count].sum().clamp(min=1e-30))
    weight = scale * worth / pixels
    return HalfCovariances(
        *(
            own_curve[:count] + weight * prior_curve[:count]
            for own_curve, prior_curve in zip(own.curves(), prior.curves(), strict=True)
        )
    )


def following_ctf(
    own: HalfCovariances,
    ctf_square: Float[Tensor, "rings"],
    components: Float[Tensor, "rings"],
    width_per_A: float,
) -> HalfCovariances:
    """A micrograph's own covariances with less noise.

    The power of the signal follows the CTF squared from ring to ring, and everything else changes
    slowly: each covariance is modelled as a linear function of ``ctf_square`` (its mean over the
    ring), with coefficients from the neighbouring rings by weighted least squares. A ring's own
    measurement is kept to the extent that it is more certain than the curve. ``components`` is the
    number of Fourier components of each ring, a pair of conjugates counting as two.
    """
    curves = torch.stack([curve.double() for curve in own.curves()])
    fitted = HalfCovariances(
        *_local_lines(curves, ctf_square.double(), components.double(), width_per_A)
    )
    fitted = replace(fitted, signal=fitted.signal.clamp(min=0))
    evidence = components * own.across.clamp(min=0).square() / (own.denoised * own.raw)
    trust = (evidence / (evidence + 1 / CTF_MISFIT)).nan_to_num(0.0)
    return HalfCovariances(*(trust * curves + (1 - trust) * torch.stack(fitted.curves())))


def _local_lines(
    curves: Float[Tensor, "curves rings"],
    ctf_square: Float[Tensor, "rings"],
    components: Float[Tensor, "rings"],
    width_per_A: float,
) -> Float[Tensor, "curves rings"]:
    """In each ring, the value of the line through the curves of the rings around it, as functions
    of ``ctf_square``, by least squares with the weights of an Epanechnikov kernel.
    """
    index = torch.arange(len(ctf_square), dtype=torch.float64)
    reach = (CTF_WINDOW * (index - CTF_FROM_PER_A / width_per_A)).clamp(min=1) + 1
    kernel = (1 - ((index - index[:, None]) / reach[:, None]).square()).clamp(min=0) * components
    kernel = kernel / kernel.sum(dim=1, keepdim=True).clamp(min=1e-30)
    mean, level = kernel @ ctf_square, curves @ kernel.T
    spread = kernel @ ctf_square.square() - mean.square()
    slope = ((curves * ctf_square) @ kernel.T - level * mean) / (spread + _LEAST_SPREAD)
    return level + slope * (ctf_square - mean)


_LEAST_SPREAD = 1e-3
"""Where the CTF squared varies less than this from ring to ring, the line is a mean."""


def smoothed_rings(
    table: Float[Tensor, "*batch rings"], window: int = SMOOTHED_RINGS
) -> Float[Tensor, "*batch rings"]:
    """The running mean over ``window`` rings (an odd number), over fewer at either end."""
    window = min(window, table.shape[-1] // 2 * 2 - 1)
    if window < 3:
        return table
    flat = table.reshape(-1, 1, table.shape[-1])
    mean = avg_pool1d(flat, window, stride=1, padding=window // 2, count_include_pad=False)
    return mean.reshape(table.shape)


def _solved(covariances: HalfCovariances) -> Weights:
    """The share by least squares, and the matching slope."""
    power, mixed, raw_power = covariances.denoised, covariances.mixed, covariances.raw
    across, signal = covariances.across.clamp(min=0), covariances.signal.clamp(min=0)
    raw_alone = (signal / raw_power).nan_to_num(0.0, 0.0, 0.0)
    share = (power * signal - mixed * across) / (power * raw_power - mixed.square())
    share = share.nan_to_num(0.0, 0.0, 0.0).clamp(min=0).minimum(raw_alone)
    slope = ((across - share * mixed) / power).nan_to_num(0.0, 0.0, 0.0)
    share = torch.where(slope > 0, share, raw_alone)
    return Weights(slope.clamp(0, LARGEST_SLOPE), share.clamp(0, 1))
