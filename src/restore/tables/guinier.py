"""Amplitudes, their Guinier fit and a sharpening as STAR files under RELION's names, where RELION
has any.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from restore.io.star import StarFile
from restore.maps.guinier import AmplitudeSpectrum, GuinierFit
from restore.maps.sharpening import Sharpening
from restore.tables.fsc import number, table, values

_NOTHING = -99.0  # what RELION writes for the logarithm of an amplitude that is zero


def amplitudes_star(
    spectra: Mapping[str, AmplitudeSpectrum], fits: Mapping[str, GuinierFit]
) -> StarFile:
    """``data_fits``, a row for each map, and ``data_guinier`` (``data_guinier_2`` … for the second
    map and on).
    """
    numbers = [_fit_numbers(fits.get(name)) for name in spectra]
    columns = {"restoreMapName": list(spectra)} | {
        key: [row[key] for row in numbers] for key in numbers[0]
    }
    blocks = [table("fits", columns)]
    for index, (name, spectrum) in enumerate(spectra.items(), 1):
        curves = {
            "rlnResolution": [number(float(frequency)) for frequency in spectrum.frequency_per_A],
            "rlnResolutionSquared": _squared(spectrum.frequency_per_A),
            "rlnLogAmplitudesOriginal": _logarithms(spectrum),
        }
        if name in fits:
            curves["rlnLogAmplitudesIntercept"] = [number(fits[name].intercept)] * len(
                spectrum.amplitude
            )
        blocks.append(table("guinier" if index == 1 else f"guinier_{index}", curves))
    return StarFile(tuple(blocks))


def with_sharpening(star: StarFile, sharpening: Sharpening) -> StarFile:
    """The STAR file of an FSC with what ``relion_postprocess`` adds to it: the B factor, and
    ``data_guinier``.
    """
    general = star.blocks[0]
    added = {"rlnBfactorUsedForSharpening": number(sharpening.bfactor_A2)}
    fit = sharpening.fit
    if fit is not None:
        added |= {
            "rlnFittedSlopeGuinierPlot": number(fit.slope_A2),
            "rlnFittedInterceptGuinierPlot": number(fit.intercept),
            "rlnCorrelationFitGuinierPlot": number(fit.r_squared),
            "restoreBfactorError": number(fit.bfactor_error_A2),
        }
    old = dict(zip(general.columns, general.rows[0], strict=True))
    curves = {
        "rlnResolutionSquared": _squared(sharpening.original.frequency_per_A),
        "rlnLogAmplitudesOriginal": _logarithms(sharpening.original),
        "rlnLogAmplitudesWeighted": _logarithms(sharpening.weighted),
        "rlnLogAmplitudesSharpened": _logarithms(sharpening.after),
    }
    if fit is not None:
        curves["rlnLogAmplitudesIntercept"] = [number(fit.intercept)] * len(
            sharpening.original.amplitude
        )
    return StarFile((values("general", old | added), *star.blocks[1:], table("guinier", curves)))


def _fit_numbers(fit: GuinierFit | None) -> dict[str, str]:
    """The numbers of a fit by name; zeros, as RELION writes them, where there is none."""
    fitted: Sequence[float] = (0.0,) * 7
    if fit is not None:
        fitted = (
            fit.bfactor_A2,
            fit.bfactor_error_A2,
            fit.slope_A2,
            fit.intercept,
            fit.r_squared,
            fit.from_A,
            fit.to_A,
        )
    names = (
        "restoreBfactor",
        "restoreBfactorError",
        "rlnFittedSlopeGuinierPlot",
        "rlnFittedInterceptGuinierPlot",
        "rlnCorrelationFitGuinierPlot",
        "restoreFitFrom",
        "restoreFitTo",
    )
    return {name: number(value) for name, value in zip(names, fitted, strict=True)}


def _squared(frequency_per_A: Float[Tensor, "shells"]) -> list[str]:
    return [f"{float(frequency) ** 2:.8f}" for frequency in frequency_per_A]


def _logarithms(spectrum: AmplitudeSpectrum) -> list[str]:
    logarithms = spectrum.amplitude.log().tolist()
    return [number(max(logarithm, _NOTHING)) for logarithm in logarithms]
