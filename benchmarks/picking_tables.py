"""What was measured, as tables, as curves, and as JSON and back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from picking_figure import Line
from picking_images import LOWPASS_A, lowpass_name
from picking_metrics import (
    Verdict,
    average_precision,
    curve_of,
    precision_at,
    recall_at,
    recall_error,
    together,
)

PRECISION = 0.9
BEST_LOWPASS = "best low-pass"
Group = tuple[str, str]


@dataclass(frozen=True)
class Result:
    """The verdicts on one picker with one kind of image, by specimen and condition, one for each
    micrograph; or why there are none. ``chosen`` is the cut-off that was best in each group.
    """

    picker: str
    image: str
    verdicts: Mapping[Group, Sequence[Verdict]]
    not_run: str = ""
    chosen: Mapping[Group, str] | None = None

    def average_precision(self, group: Group) -> float:
        """Of the micrographs of one group together."""
        return average_precision(curve_of(together(self.verdicts[group])))

    def recall(self, group: Group) -> float:
        """The recall of one group at 90 % precision."""
        return recall_at(curve_of(together(self.verdicts[group])), PRECISION)


def with_best_lowpass(results: Sequence[Result]) -> list[Result]:
    """The results of one picker, and after the low-passes the best of them: in every group the
    cut-off with the highest average precision, which only the truth can tell.
    """
    names = [lowpass_name(cutoff) for cutoff in LOWPASS_A]
    low = [result for result in results if result.image in names]
    failed = [result for result in low if result.not_run]
    if not low or failed:
        return list(results)
    best = {
        group: max(low, key=lambda result, group=group: result.average_precision(group))
        for group in low[0].verdicts
    }
    merged = Result(
        low[0].picker,
        BEST_LOWPASS,
        {group: result.verdicts[group] for group, result in best.items()},
        chosen={group: result.image for group, result in best.items()},
    )
    after = results.index(low[-1]) + 1
    return [*results[:after], merged, *results[after:]]


def table(results: Sequence[Result]) -> list[str]:
    """A Markdown table of one picker: for each kind of image the recall at 90 % precision, by
    specimen, by condition and over all, and the average precision over all.
    """
    groups = next((list(result.verdicts) for result in results if not result.not_run), [])
    names = [*dict.fromkeys(s for s, _ in groups), *dict.fromkeys(c for _, c in groups)]
    head = ["image", *names, "all", "average precision"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in results:
        if result.not_run:
            lines.append(f"| {result.image} | not run: {result.not_run} |" + " |" * (len(head) - 2))
            continue
        cells = [
            percent(fmean(result.recall(group) for group in groups if name in group))
            for name in names
        ]
        error = recall_error(list(result.verdicts.values()), PRECISION)
        whole = percent(fmean(result.recall(group) for group in groups))
        cells += [
            whole if math.isnan(error) else f"{whole} ± {100 * error:.0f}",
            f"{fmean(result.average_precision(group) for group in groups):.3f}",
        ]
        lines.append(f"| {result.image} | {' | '.join(cells)} |")
    return lines


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f} %"


def line_of(result: Result) -> Line:
    """The mean over all groups of the precision that each recall costs."""
    curves = [curve_of(together(verdicts)) for verdicts in result.verdicts.values()]
    recalls = [n / 100 for n in range(1, 101)]
    means = [fmean(precision_at(curve, recall) for curve in curves) for recall in recalls]
    return Line(result.image, recalls, means)


def as_json(result: Result) -> dict[str, object]:
    """Everything that was measured."""
    return {
        "picker": result.picker,
        "image": result.image,
        "not_run": result.not_run,
        "groups": [
            {
                "specimen": specimen,
                "condition": condition,
                "chosen": (result.chosen or {}).get((specimen, condition)),
                "micrographs": [
                    {
                        "particles": verdict.particles,
                        "figure_of_merit": verdict.figure_of_merit.tolist(),
                        "is_true": verdict.is_true.tolist(),
                    }
                    for verdict in verdicts
                ],
            }
            for (specimen, condition), verdicts in result.verdicts.items()
        ],
    }


def from_json(record: Mapping[str, Any]) -> Result:
    """What `as_json` wrote."""
    verdicts = {
        (group["specimen"], group["condition"]): [
            Verdict(
                np.array(micrograph["figure_of_merit"], dtype=float),
                np.array(micrograph["is_true"], dtype=bool),
                micrograph["particles"],
            )
            for micrograph in group["micrographs"]
        ]
        for group in record["groups"]
    }
    return Result(record["picker"], record["image"], verdicts, record["not_run"])
