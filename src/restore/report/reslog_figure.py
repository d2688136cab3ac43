"""ResLog plots: resolution against the number of particles."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restore.maps.reslog import ResLogCurve, ResLogFit
from restore.report.palette import SERIES

_MARKERS = "osD^v"
_STEPS_A = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def reslog_figure(curves: Mapping[str, tuple[ResLogCurve, ResLogFit | None]], title: str) -> Figure:
    """Every subset of each curve as a mark (hollow if it is not fitted), with the line and the band
    of its interval.

    The axis is linear in 1/Å, so that the lines are straight, and labelled in Å on the left. Points
    whose FSC never falls under 0.143 are drawn at the Nyquist frequency, and those whose FSC is
    under it in the first shell on the lower edge.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    _dress(axes, [curve for curve, _ in curves.values()], title)
    for number, (label, (curve, fit)) in enumerate(curves.items()):
        colour, marker = SERIES[number % len(SERIES)], _MARKERS[number % len(_MARKERS)]
        _draw_points(axes, curve, colour, marker, label)
        if fit is not None:
            _draw_line(axes, curve, fit, colour)
    axes.legend(frameon=False, loc="best")
    return figure


def _draw_points(axes: Axes, curve: ResLogCurve, colour: str, marker: str, label: str) -> None:
    particles = np.broadcast_to(curve.particles, curve.fitted.shape)
    height = np.clip(curve.frequency_per_A, axes.get_ylim()[0], curve.nyquist_per_A)
    left_out = curve.at_nyquist | curve.at_once
    axes.plot(
        particles[curve.fitted],
        height[curve.fitted],
        marker,
        color=colour,
        markersize=4,
        alpha=0.7,
        label=label,
    )
    if left_out.any():
        words = f"{label}, {left_out.sum()} not fitted"
        drawn = axes.plot(
            particles[left_out], height[left_out], marker, color=colour, markersize=5, label=words
        )
        drawn[0].set(markerfacecolor="none", clip_on=False)


def _draw_line(axes: Axes, curve: ResLogCurve, fit: ResLogFit, colour: str) -> None:
    particles = np.geomspace(curve.particles.min(), curve.particles.max(), 50)
    value, low, high = fit.at(particles)
    axes.plot(particles, value, color=colour, linewidth=1.5)
    axes.fill_between(particles, low, high, color=colour, alpha=0.15, linewidth=0)


def _dress(axes: Axes, curves: list[ResLogCurve], title: str) -> None:
    known = [
        np.minimum(curve.frequency_per_A, curve.nyquist_per_A)[~curve.at_once] for curve in curves
    ]
    heights = np.concatenate(
        [*known, [curves[0].nyquist_per_A / 2]] if not sum(map(len, known)) else known
    )
    margin = 0.08 * float(np.ptp(heights)) or 0.1 * float(heights.max())
    low, high = float(heights.min()) - margin, float(heights.max()) + margin
    axes.set_ylim(low, high)
    ticks = _resolutions(low, high)
    axes.set_yticks([1 / length_A for length_A in ticks], [f"{length_A:g}" for length_A in ticks])
    axes.set_ylabel("resolution at FSC 0.143, Å")
    inverse = axes.secondary_yaxis("right")
    inverse.set_ylabel("1/resolution, 1/Å")
    _name_particles(axes, np.unique(np.concatenate([curve.particles for curve in curves])))
    axes.set_title(title, fontsize=10)
    axes.spines["top"].set_visible(False)


def _resolutions(low_per_A: float, high_per_A: float) -> list[float]:
    """Round resolutions (Å) between two frequencies, from the finest on, with room between them:
    four or more.
    """
    resolutions_A: list[float] = []
    for step_A in _STEPS_A:
        resolutions_A = []
        last = 1 / low_per_A if low_per_A > 0 else 50 / high_per_A
        for length_A in (
            np.arange(np.ceil(1 / high_per_A / step_A), np.floor(last / step_A) + 1) * step_A
        ):
            if not resolutions_A or 1 / resolutions_A[-1] - 1 / length_A >= 0.07 * (
                high_per_A - low_per_A
            ):
                resolutions_A.append(round(float(length_A), 3))
        if len(resolutions_A) >= 5:
            break
    return resolutions_A


def _name_particles(axes: Axes, particles: np.ndarray) -> None:
    """Label the sizes themselves, from the largest down, as far as there is room."""
    span = np.log(particles[-1] / particles[0])
    kept: list[int] = []
    for size in particles[::-1].tolist():
        if not kept or np.log(kept[-1] / size) >= 0.09 * span:
            kept.append(size)
    axes.set_xticks(kept, [f"{size:,}".replace(",", "\u202f") for size in kept])
    axes.minorticks_off()
    axes.set_xlabel("particles (both halves together, logarithmic)")
