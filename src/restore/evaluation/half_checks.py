"""Checks, before anything is measured, for halves on which no evaluation can be based."""

import logging

import torch

from restore.errors import UserError
from restore.evaluation.estimators.half_identity import half_identity
from restore.evaluation.estimators.half_pairs import WHAT_IS_WRONG, finding_of
from restore.evaluation.views import Views, as_remark

log = logging.getLogger(__name__)


def require_pair(views: Views, name: str) -> list[str]:
    """Raise UserError if the raw halves are identical, inverted, shifted or flipped: what they have
    in common is then not the signal, and all numbers would be meaningless.

    For halves without any common signal, as of an empty micrograph, a warning is logged and
    returned as a remark.
    """
    finding = finding_of(torch.stack(list(views.raw)), views.blank)
    if finding not in WHAT_IS_WRONG:
        return []
    words, do = WHAT_IS_WRONG[finding]
    if finding != "unrelated":
        raise UserError(words.format(name=name), do=do)
    log.warning("%s; %s", words.format(name=name), do)
    return [f"The raw halves look unrelated: {do}."]


_WRONG_HALVES = {
    "exchanged": (
        "each denoised half has the noise of the other raw half: are the even and the odd half "
        "exchanged"
    ),
    "made from one image": (
        "the noise in which the raw halves differ is not in them: were both made from the same "
        "image, or from another micrograph"
    ),
    "inverted": "their contrast is opposite to that of the raw halves",
}
_UNKNOWN_ORIGIN = (
    "too little is left of the noise to tell whether the denoised halves were made from these raw "
    "halves, one from each; check their names"
)


def require_own_halves(views: Views, name: str = "the micrograph") -> list[str]:
    """Raise UserError if the denoised halves were not made from these raw ones, one from each: all
    numbers would be meaningless. If too little noise is left in them to decide, a warning is logged
    and returned as a remark.

    Call this before `fitted`, which turns inverted halves around.
    """
    identity = half_identity(views.raw, views.denoised, views.blank)
    if identity.verdict == "unknown":
        log.warning("%s: %s", name, _UNKNOWN_ORIGIN)
        return [as_remark(_UNKNOWN_ORIGIN)]
    reason = _WRONG_HALVES.get(identity.verdict)
    if reason is not None:
        raise UserError(
            f"the denoised halves look {identity.verdict}: {reason} (correlation of the halves' "
            f"differences {identity.difference:.2g}, of their sums {identity.total:.2g})",
            wanted=(
                "an evaluation needs each half denoised separately, with the contrast of the raw "
                "half"
            ),
        )
    return []
