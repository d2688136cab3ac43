"""A check, before training, that the two halves of each micrograph can be learned from."""

import logging
from typing import get_args

import torch

from restore.errors import UserError
from restore.evaluation.estimators.half_pairs import WHAT_IS_WRONG, Finding, finding_of
from restore.training.patches import PatchFile
from restore.training.valid_windows import blank_pixels_of

log = logging.getLogger(__name__)

MOST_PAIRS = 16
"""The number of micrographs, spread over the set, that are checked."""


def check_halves(data: PatchFile) -> None:
    """Check some of the pairs, and warn of those that cannot be learned from.

    Raises
    ------
    UserError
        At least half of the checked micrographs have the same problem.
    """
    count = len(data.pairs)
    indices = range(0, count, -(-count // MOST_PAIRS))
    findings: dict[int, Finding] = {
        index: finding_of(torch.from_numpy(data.halves(index)), blank_pixels_of(data, index))
        for index in indices
    }
    for problem in get_args(Finding):
        wrong = [index for index, finding in findings.items() if finding == problem]
        if not wrong or problem not in WHAT_IS_WRONG:
            continue
        words, do = WHAT_IS_WRONG[problem]
        words = words.format(name=data.pairs[wrong[0]].name)
        if 2 * len(wrong) >= len(findings):
            raise UserError(words, where=data.path, wanted=_how_many(wrong, len(findings)), do=do)
        log.warning("%s. %s", words[0].upper() + words[1:], _how_many(wrong, len(findings)))


def _how_many(wrong: list[int], count: int) -> str:
    return f"This is so for {len(wrong)} of the {count} micrographs that were checked"
