"""ResLog curves and their lines as a STAR file."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from restore.io.star import Block, StarFile
from restore.maps.reslog import Estimate, ResLogCurve, ResLogDifference, ResLogFit


def reslog_star(
    curves: Mapping[str, tuple[ResLogCurve, ResLogFit | None]],
    differences: Mapping[str, ResLogDifference | None],
) -> StarFile:
    """``data_points``, a row for each subset; ``data_lines``, one for each curve that has a line;
    ``data_differences``.

    Subset sizes are those of both halves together. A resolution that no particle tells is marked:
    ``nyquist`` where the FSC never falls under 0.143 (then it is the Nyquist frequency's),
    ``at_once`` where it is under it from the first shell on. ``differences`` are those of a curve
    from the first, by its label.
    """
    points = [row for label, (curve, _) in curves.items() for row in _points(label, curve)]
    lines = [_line(label, curve, fit) for label, (curve, fit) in curves.items() if fit is not None]
    apart = [
        _difference(label, difference)
        for label, difference in differences.items()
        if difference is not None
    ]
    named = (("points", points), ("lines", lines), ("differences", apart))
    return StarFile(tuple(_table(name, rows) for name, rows in named if rows))


def _points(label: str, curve: ResLogCurve) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for (repeat, size), value in np.ndenumerate(curve.frequency_per_A):
        state = "at_once" if value == 0 else "nyquist" if math.isinf(value) else "fitted"
        per_A = min(float(value), curve.nyquist_per_A)
        rows.append(
            {
                "restoreCurve": label,
                "restoreRepeat": str(repeat + 1),
                "restoreParticles": str(curve.particles[size]),
                "rlnResolution": f"{per_A:.6f}",
                "rlnAngstromResolution": f"{1 / per_A if per_A else 999:.6f}",
                "restoreState": state,
            }
        )
    return rows


def _line(label: str, curve: ResLogCurve, fit: ResLogFit) -> dict[str, str]:
    estimates = {
        "restoreSlopePerDecade": fit.slope_per_A,
        "restoreIntercept": fit.intercept_per_A,
        "restoreBfactor": fit.bfactor_A2,
    }
    row = {"restoreCurve": label}
    for name, estimate in estimates.items():
        row |= _interval(name, estimate)
    row |= {"restoreConfidence": f"{fit.confidence:g}", "restoreFitted": str(curve.fitted.sum())}
    return row | {
        "restoreAtNyquist": str(curve.at_nyquist.sum()),
        "restoreAtOnce": str(curve.at_once.sum()),
    }


def _difference(label: str, difference: ResLogDifference) -> dict[str, str]:
    row = {"restoreCurve": label, "restorePairs": str(difference.pairs)}
    row |= _interval("restoreResolutionGain", difference.frequency_per_A)
    return row | _interval("restoreParticlesRatio", difference.particles_ratio)


def _interval(name: str, estimate: Estimate) -> dict[str, str]:
    return {
        name: _text(estimate.value),
        f"{name}Low": _text(estimate.low),
        f"{name}High": _text(estimate.high),
    }


def _text(value: float) -> str:
    return f"{value:.6g}"


def _table(name: str, rows: Sequence[Mapping[str, str]]) -> Block:
    return Block(name, tuple(rows[0]), tuple(tuple(row.values()) for row in rows))
