"""The correlation of images, and of the best plain low-pass, with a known truth."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from restore.evaluation.estimators.spectra import ring_covariances


@dataclass(frozen=True)
class TruthScore:
    """Correlations with the truth of a raw image, of that image after its best low-pass, and of the
    denoised one.

    ``lowpass_A`` is the resolution of that best low-pass, chosen with knowledge of the truth: no
    user could do better.
    """

    raw: float
    lowpass: float
    lowpass_A: float
    denoised: float


def score(
    truth: Float[Tensor, "y x"],
    raw: Float[Tensor, "y x"],
    denoised: Float[Tensor, "y x"],
    pixel_size_yx_A: tuple[float, float],
) -> TruthScore:
    """Score a raw and a denoised image; both and the truth are on the same grid and after the same
    band-pass.
    """
    rings = ring_covariances(torch.stack([truth, raw, denoised]), pixel_size_yx_A)
    table = rings.covariance[..., 1:]
    whole = table.sum(dim=-1)
    kept_signal, kept_power = table[0, 1].cumsum(-1), table[1, 1].cumsum(-1)
    lowpassed = kept_signal / (kept_power * whole[0, 0]).sqrt()
    best = int(lowpassed.argmax())
    return TruthScore(
        raw=float(whole[0, 1] / (whole[0, 0] * whole[1, 1]).sqrt()),
        lowpass=float(lowpassed[best]),
        lowpass_A=float(1 / rings.frequency_per_A[best + 1]),
        denoised=float(whole[0, 2] / (whole[0, 0] * whole[2, 2]).sqrt()),
    )
