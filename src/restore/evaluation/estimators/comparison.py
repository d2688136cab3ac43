"""Comparison of a denoiser with what needs no network: the raw image, the best plain low-pass, and
the Wiener filter of the same halves.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from restore.evaluation.estimators.baselines import lowpass_filter, wiener_filter
from restore.evaluation.estimators.decomposition import (
    PAIRS,
    Numbers,
    Table,
    decompose,
    filtered,
    overall,
)

Stack = Float[Tensor, "*batch stack rings"]
"""The tables of the denoiser, the Wiener filter and the low-pass, stacked in this order."""

_SHARED = (
    "signal_to_error_denoised",
    "correlation_denoised",
    "var_noise_denoised",
    "bias_share",
    "gain",
    "noise_share",
    "hallucinated_share",
    "invented_share",
)


def with_baselines(
    units: Float[Tensor, "units pairs rings"], whole: Float[Tensor, "pairs rings"]
) -> Float[Tensor, "units stack rings"]:
    """The tables of parts of one micrograph, and those of either filter, derived from the ``whole``
    and applied to each part.
    """
    wiener = wiener_filter(decompose(whole)["frc_raw"])
    _, lowpass = lowpass_filter(whole)
    return torch.cat([units, filtered(units, wiener), filtered(units, lowpass)], dim=-2)


def _split(stack: Stack) -> tuple[Table, Table, Table]:
    denoised, wiener, lowpass = stack.split(len(PAIRS), dim=-2)
    return denoised, wiener, lowpass


def ring_numbers(stack: Stack) -> Numbers:
    """Every quantity in every ring, the denoiser's and (named ``…_wiener``) the Wiener filter's;
    ``advantage_over_wiener`` as in `whole_numbers`.
    """
    denoised, wiener, _ = _split(stack)
    numbers = decompose(denoised)
    numbers["wiener_filter"] = wiener_filter(numbers["frc_raw"])
    numbers |= _renamed(decompose(wiener), "wiener")
    ratio = numbers["signal_to_error_denoised"] / numbers["signal_to_error_wiener"]
    return numbers | {"advantage_over_wiener": ratio}


def whole_numbers(stack: Stack, frequency_per_A: Float[Tensor, "rings"]) -> Numbers:
    """Every quantity of the whole image, for the denoiser and the two filters, and the resolution
    of the low-pass.

    ``advantage_over_wiener`` is the ratio of the two signal-to-error ratios: above one, the
    denoiser is closer to the signal.
    """
    denoised, wiener, lowpass = _split(stack)
    last, _ = lowpass_filter(denoised)
    numbers = (
        overall(denoised)
        | _renamed(overall(wiener), "wiener")
        | _renamed(overall(lowpass), "lowpass")
    )
    ratio = numbers["signal_to_error_denoised"] / numbers["signal_to_error_wiener"]
    return numbers | {
        "advantage_over_wiener": ratio,
        "lowpass_A": (1 / frequency_per_A[last]).to(stack.dtype),
    }


def _renamed(numbers: Numbers, method: str) -> Numbers:
    return {
        name.replace("denoised", "").rstrip("_") + f"_{method}": numbers[name] for name in _SHARED
    }
