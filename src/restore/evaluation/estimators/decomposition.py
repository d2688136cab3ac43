"""Signal, noise and false signal of denoised halves, from covariances alone (Palovcak 2020, S2.2,
eqs. 9–24).

M1 and M2 are the two raw halves, D1 and D2 the denoised ones: M = S + N, D = S + N_den + B, with
the signal S and the bias B common to both halves and the noises independent. **Erratum:** eq. 18 is
printed with √(cov(M1,M1) cov(M2,M2)) instead of cov(M1,M2), which would give var(B) + var(N_raw);
eqs. 9–13 lead to the form used here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

IMAGES: tuple[str, ...] = ("M1", "M2", "D1", "D2", "X", "F", "M2'", "D2'")
"""The halves; X = (M1 − M2)/√2, in which the signal cancels, and F, the denoised X; then the second
half of an unrelated micrograph, raw and denoised, in the scale of this one.
"""

PAIRS: tuple[tuple[str, str], ...] = (
    ("M1", "M1"), ("M2", "M2"), ("M1", "M2"), ("D1", "D1"), ("D2", "D2"), ("D1", "D2"),
    ("M1", "D2"), ("M2", "D1"),
    ("X", "X"), ("F", "F"), ("M1", "M2'"), ("D1", "D2'"), ("M2'", "M2'"), ("D2'", "D2'"),
)  # fmt: skip
"""The covariances that are kept, in this order; NaN where an image does not exist."""

Table = Float[Tensor, "*batch pairs rings"]
Numbers = dict[str, Tensor]


def covariance(table: Table, first: str, second: str) -> Float[Tensor, "*batch rings"]:
    """One of the `PAIRS` of a table."""
    return table[..., PAIRS.index((first, second)), :]


def filtered(table: Table, transfer: Float[Tensor, "*#batch rings"]) -> Table:
    """The table for a linear, isotropic filter instead of the denoiser: D = filter · M, ring by
    ring.
    """
    denoised = {
        ("D1", "D1"): transfer.square() * covariance(table, "M1", "M1"),
        ("D2", "D2"): transfer.square() * covariance(table, "M2", "M2"),
        ("D1", "D2"): transfer.square() * covariance(table, "M1", "M2"),
        ("M1", "D2"): transfer * covariance(table, "M1", "M2"),
        ("M2", "D1"): transfer * covariance(table, "M1", "M2"),
        ("F", "F"): transfer.square() * covariance(table, "X", "X"),
        ("D1", "D2'"): transfer.square() * covariance(table, "M1", "M2'"),
        ("D2'", "D2'"): transfer.square() * covariance(table, "M2'", "M2'"),
    }
    return torch.stack([denoised.get(pair, covariance(table, *pair)) for pair in PAIRS], dim=-2)


def decompose(table: Table) -> Numbers:
    """Every quantity in every ring, by name; a table summed over rings gives the quantities of the
    whole image.

    ``gain`` is the share of the signal's amplitude that is kept: D = gain · S + a rest that is
    uncorrelated with S. ``var_invented`` is the part of var(B) that is not merely lost signal:
    var(B) = (1 − gain)² var(S) + var_invented; ``hallucinated_share`` is its share of var(S).
    ``noise_share`` is var(N_den)/var(N_raw). ``signal_to_error_denoised`` = var(S) / (var(N_den) +
    var(B)) counts both kinds of error; a Wiener filter maximises it among linear filters.
    ``calibration`` is the slope of the regression of the other raw half on the denoised one, 1 if
    the denoised signal is as strong as the data support. ``correlation_…`` is the estimated
    correlation with the noise-free image. Quantities are signed; ratios of numbers that may be zero
    can be infinite, and are NaN where there is no signal to compare with.
    """
    signal, denoised_common = covariance(table, "M1", "M2"), covariance(table, "D1", "D2")
    power_raw = (covariance(table, "M1", "M1") * covariance(table, "M2", "M2")).sqrt()
    power_denoised = (covariance(table, "D1", "D1") * covariance(table, "D2", "D2")).sqrt()
    across = (covariance(table, "M1", "D2") + covariance(table, "M2", "D1")) / 2
    noise_raw, noise_denoised = power_raw - signal, power_denoised - denoised_common
    bias = denoised_common + signal - 2 * across
    positive = torch.where(signal > 0, signal, torch.nan)
    return {
        "var_signal": signal,
        "var_noise_raw": noise_raw,
        "var_noise_denoised": noise_denoised,
        "var_bias": bias,
        "noise_share": noise_denoised / noise_raw,
        "snr_raw": signal / noise_raw,
        "snr_denoised": signal / noise_denoised,
        "snr_raw_full": 2 * signal / noise_raw,
        "snr_denoised_full": 2 * signal / noise_denoised,
        "bias_share": bias / positive,  # 1/SBR
        "gain": across / positive,
        "calibration": 2 * across / (covariance(table, "D1", "D1") + covariance(table, "D2", "D2")),
        "var_invented": denoised_common - across.square() / positive,
        "hallucinated_share": denoised_common / positive - (across / positive).square(),
        "signal_to_error_raw": signal / noise_raw,
        "signal_to_error_denoised": signal / (noise_denoised + bias),
        "correlation_raw": (positive / power_raw).sqrt(),
        "correlation_denoised": across / (positive * power_denoised).sqrt(),
        "frc_raw": signal / power_raw,
        "frc_denoised": denoised_common / power_denoised,
        "power_raw": power_raw,
        "power_denoised": power_denoised,
        **_drawn_from_nothing(table, power_denoised),
    }


def _drawn_from_nothing(table: Table, power_denoised: Float[Tensor, "*batch rings"]) -> Numbers:
    """The noise-only test: what is hallucinated into EVN − ODD, and the correlations
    of unrelated micrographs.
    """
    return {
        "power_noise_only_raw": covariance(table, "X", "X"),
        "power_noise_only_denoised": covariance(table, "F", "F"),
        "invented_share": covariance(table, "F", "F") / power_denoised,
        "unpaired_raw": _correlation(table, "M1", "M2'"),
        "unpaired_denoised": _correlation(table, "D1", "D2'"),
    }


def _correlation(table: Table, first: str, second: str) -> Float[Tensor, "*batch rings"]:
    power = covariance(table, first, first) * covariance(table, second, second)
    return covariance(table, first, second) / power.sqrt()


def overall(table: Table) -> Numbers:
    """The quantities of the whole image: those of the table summed over all rings.

    ``var_invented`` is summed over rings, so that a filter whose gain varies from ring to ring
    hallucinates nothing; ``hallucinated_share`` is that sum's share of the signal.
    """
    whole = {
        name: value[..., 0] for name, value in decompose(table.sum(dim=-1, keepdim=True)).items()
    }
    invented, signal = _invented(table).sum(dim=-1), whole["var_signal"]
    share = invented / torch.where(signal > 0, signal, torch.nan)
    return whole | {"var_invented": invented, "hallucinated_share": share}


def _invented(table: Table) -> Float[Tensor, "*batch rings"]:
    """The variance common to both halves that no gain could produce from the signal; all of it if
    there is no signal.

    The signal's part of cov(D1, D2) is limited to between zero and all of it, however noisy the
    estimate in a weak ring.
    """
    signal, drawn = covariance(table, "M1", "M2"), covariance(table, "D1", "D2")
    across = (covariance(table, "M1", "D2") + covariance(table, "M2", "D1")) / 2
    explained = torch.where(signal > 0, across.square() / signal, 0.0)
    return drawn - explained.minimum(drawn.clamp(min=0))
