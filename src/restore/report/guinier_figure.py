"""Figures of rotationally averaged Fourier amplitudes: against resolution, and as a Guinier plot
with the fitted line.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restore.maps.fsc import FSC
from restore.maps.guinier import AmplitudeSpectrum, GuinierFit
from restore.maps.sharpening import Sharpening
from restore.report.axes import TICKS_APART, Axis, resolution_ticks
from restore.report.figures import resolution_axis
from restore.report.fsc_figure import draw_fsc
from restore.report.palette import SERIES

_STEPS = (SERIES[6], SERIES[0], SERIES[1])
_DEEPEST = 1e-5  # share of the largest amplitude: what was filtered away is not drawn


def amplitude_figure(
    spectra: Mapping[str, AmplitudeSpectrum], fits: Mapping[str, GuinierFit], title: str = ""
) -> Figure:
    """Two panels for one or several maps: the amplitudes against resolution, and ln|F| against 1/d²
    with the lines.

    ``fits`` holds the lines of the maps that have one, under the same names.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, (name, spectrum) in enumerate(spectra.items()):
        colour = SERIES[index % len(SERIES)]
        dashes = "-" if index < len(SERIES) else "--"
        frequency, amplitude = (part.numpy()[1:] for part in spectrum)
        seen = amplitude > amplitude.max() * _DEEPEST
        left.semilogy(
            frequency[seen],
            amplitude[seen],
            color=colour,
            linestyle=dashes,
            linewidth=1.6,
            label=name,
        )
        label = _with_bfactor(name, fits[name]) if name in fits else name
        right.plot(
            frequency[seen] ** 2,
            np.log(amplitude[seen]),
            dashes,
            color=colour,
            linewidth=1.2,
            label=label,
        )
        if name in fits:
            _draw_line(right, fits[name], colour)
    end = max(float(spectrum.frequency_per_A[-1]) for spectrum in spectra.values())
    _dress_by_frequency(left, end)
    left.set_ylabel("mean Fourier amplitude")
    _dress_by_square(right, end)
    figure.suptitle(title, fontsize=10)
    return figure


def sharpening_figure(sharpening: Sharpening, fsc: FSC, title: str) -> Figure:
    """The FSC used for weighting, and the Guinier plot before weighting, after weighting, and after
    the B factor, with the fitted line.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_fsc(left, fsc)
    curves = {
        "mean of the halves": sharpening.original,
        "times the FSC weight": sharpening.weighted,
    }
    after = f"after B = {sharpening.bfactor_A2:.0f} Å²".replace("-", "−")
    for colour, (name, spectrum) in zip(
        _STEPS, (curves | {after: sharpening.after}).items(), strict=True
    ):
        frequency, amplitude = (part.numpy()[1:] for part in spectrum)
        seen = amplitude > amplitude.max() * _DEEPEST
        right.plot(
            frequency[seen] ** 2, np.log(amplitude[seen]), color=colour, linewidth=1.5, label=name
        )
    if sharpening.fit is not None:
        _draw_line(right, sharpening.fit, _STEPS[1])
        right.plot(
            [],
            [],
            "o:",
            color=_STEPS[1],
            label=_with_bfactor("line", sharpening.fit).replace("\n", ", "),
        )
    _dress_by_square(right, float(fsc.frequency_per_A[-1]))
    figure.suptitle(title, fontsize=10)
    return figure


def _with_bfactor(name: str, fit: GuinierFit) -> str:
    return f"{name}\nB = {fit.bfactor_A2:.0f} ± {fit.bfactor_error_A2:.0f} Å²".replace("-", "−")


def _draw_line(axes: Axes, fit: GuinierFit, colour: str) -> None:
    """Draw the fitted line over the shells that it was fitted to, and its ends."""
    ends = np.array([1 / fit.from_A**2, 1 / fit.to_A**2])
    axes.plot(
        ends, fit.intercept + fit.slope_A2 * ends, "o:", color=colour, linewidth=1.8, markersize=4
    )


def _dress_by_frequency(axes: Axes, end_per_A: float) -> None:
    resolution_axis(axes, end_per_A)
    _dress(axes)


def _dress_by_square(axes: Axes, end_per_A: float) -> None:
    """Make an axis of 1/d² with ticks labelled in Å."""
    ticks = [(place**2, name) for place, name in resolution_ticks(Axis(0, end_per_A), 0.01)]
    kept: list[tuple[float, str]] = []
    for place, name in reversed(ticks):
        if not kept or place - kept[-1][0] >= TICKS_APART * end_per_A**2:
            kept.append((place, name))
    axes.set_xticks([place for place, _ in kept], [name for _, name in kept])
    axes.set_xlim(0, end_per_A**2)
    axes.set_ylabel("ln |F|")
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.set_xlabel(
        "resolution, Å" if axes.get_yscale() == "log" else "resolution, Å (evenly in 1/d²)"
    )
    axes.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
