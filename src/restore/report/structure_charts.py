"""The charts of a comparison of structures: their curves and their texts, which are the rows of
Figure S2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from restore.quantities import Curve, Values
from restore.report.charts import Chart, Level, Line
from restore.structure.records import Bias, Correlation, Reconstruction, ResLog, Structure

LABELS = {
    "raw_by_raw": "raw images, orientations refined on raw",
    "denoised_by_raw": "denoised images, orientations refined on raw",
    "denoised_by_denoised": "denoised images, orientations refined on denoised",
    "raw_by_denoised": "raw images, orientations refined on denoised",
}
_FSC_LIMITS = (-0.2, 1.05)
_SHORT = {"raw": "raw images", "denoised": "denoised images"}
_HALF_MAPS = (
    ("raw", "A", "Orientations refined on raw images", ("raw_by_raw", "denoised_by_raw")),
    (
        "denoised",
        "B",
        "Orientations refined on denoised images",
        ("denoised_by_denoised", "raw_by_denoised"),
    ),
)


@dataclass(frozen=True)
class Row:
    """One row of Figure S2 on the page; ``key`` names its command, ``caution`` says whether the
    caution is shown with it.
    """

    key: str
    letters: str
    title: str
    words: str
    charts: tuple[Chart, ...]
    caution: bool = False


def rows_of(structure: Structure) -> tuple[list[Row], list[Row]]:
    """The rows whose charts have curves: those before the pictures of the maps, and those after
    them.
    """
    before = [_half_maps(structure), _bias_row(structure), _truth_row(structure)]
    after = [_amplitudes(structure), _model_row(structure), _reslog_row(structure)]
    return [row for row in before if row.charts], [row for row in after if row.charts]


def _half_maps(structure: Structure) -> Row:
    charts: list[Chart] = []
    for _, letter, words, names in _HALF_MAPS:
        lines = [
            _line(name, _SHORT[reconstruction.images], reconstruction.fsc.judged)
            for name, reconstruction in _those(structure, names)
        ]
        charts += _chart(
            structure, f"{letter} · {words}", _crossing_words(structure, names), lines, (0.143, 0.5)
        )
    words = (
        "Fourier shell correlation of half maps. The line of raw images can be compared between "
        "the two charts, and shows which orientations are better. The line of denoised images "
        "cannot be compared with that of raw images. Before masking, the denoised maps are given "
        "the amplitudes of the raw maps: their own amplitudes fall so steeply that the mask would "
        "mix their shells."
    )
    return Row("fsc", "A, B", "Half maps", words, tuple(charts), caution=True)


def _crossing_words(structure: Structure, names: tuple[str, ...]) -> str:
    crossings = [
        f"{_SHORT[reconstruction.images]} {reconstruction.fsc.crossings['0.143'].words}"
        for _, reconstruction in _those(structure, names)
    ]
    return f"Falls below 0.143: {', '.join(crossings)}." if crossings else ""


def _bias_row(structure: Structure) -> Row:
    charts: list[Chart] = []
    for orientations, _, words, _ in _HALF_MAPS:
        if orientations in structure.bias:
            charts += _bias_chart(structure, words, structure.bias[orientations])
    words = (
        "Half 1 of the denoised map against half 2 of the raw one, and the other way round. The "
        "noise of one half is not in the other, and what the network hallucinated is not in the "
        "raw half. These two curves and the FSC of the raw halves therefore give the FSC that the "
        "denoised halves would have if bias were noise. The gap between the lines is what both "
        "denoised halves share and the raw halves do not contain."
    )
    return Row("bias", "", "What the raw halves support", words, tuple(charts), caution=True)


def _bias_chart(structure: Structure, title: str, bias: Bias) -> list[Chart]:
    ends = zip(bias.supported, bias.supported_error, strict=True)
    between = [
        None if value is None or error is None else (value - error, value + error)
        for value, error in ends
    ]
    supported = Curve(
        bias.supported, *(tuple(pair and pair[end] for pair in between) for end in (0, 1))
    )
    lines = [
        Line("claimed by the denoised halves", "claimed", Curve(bias.claimed)),
        Line("supported by the raw halves", "supported", supported),
    ]
    end = (
        (f" Beyond {bias.known_to_A:.3g} Å the raw halves give no information.")
        if bias.known_to_A
        else ""
    )
    words = (
        f"Falls below 0.143: claimed {bias.claimed_crossing.words}, supported "
        f"{bias.supported_crossing.words}."
        f" The band is one standard error.{end}"
    )
    return _chart(structure, title, words, lines, (0.143, 0.5))


def _truth_row(structure: Structure) -> Row:
    words = (
        "Correlation of each map with the noise-free one (solid), and C_ref = √(2 FSC / (1 + "
        "FSC)), which is what the FSC of its half maps predicts (dashed). Where the dashed line "
        "lies above the solid one, the half maps agree on something that is not real."
    )
    charts = _against(
        structure,
        {name: reconstruction.truth for name, reconstruction in structure.reconstructions.items()},
        "truth",
    )
    return Row("truth", "", "Against the truth", words, charts)


def _model_row(structure: Structure) -> Row:
    words = (
        "Correlation of each map with the density of the atomic model (solid), and C_ref, which "
        "is what the FSC of its half maps predicts for the correlation with the truth (dashed). "
        "This is evidence only if neither the network nor the refinement has seen the model; a "
        "model that was built into one of the maps favours that map."
    )
    charts = _against(
        structure,
        {name: reconstruction.model for name, reconstruction in structure.reconstructions.items()},
        "model",
    )
    return Row("model", "F", "Against the model", words, charts)


def _against(
    structure: Structure, correlations: Mapping[str, Correlation | None], what: str
) -> tuple[Chart, ...]:
    """The measured and the predicted correlation of each map, with a chart for each set of
    orientations.
    """
    charts: list[Chart] = []
    for _, _, title, names in _HALF_MAPS:
        lines: list[Line] = []
        crossings: list[str] = []
        for name, reconstruction in _those(structure, names):
            correlation = correlations.get(name)
            if correlation is not None:
                lines.append(
                    _line(
                        name,
                        f"{_SHORT[reconstruction.images]}, with the {what}",
                        correlation.judged,
                    )
                )
                lines.append(
                    _line(
                        f"{name} predicted",
                        f"{_SHORT[reconstruction.images]}, C_ref",
                        reconstruction.reference,
                    )
                )
                crossings.append(
                    f"{_SHORT[reconstruction.images]} {correlation.crossings['0.5'].words}"
                )
        words = f"Falls below 0.5: {', '.join(crossings)}."
        charts += _chart(structure, title, words, lines, (0.5,))
    return tuple(charts)


def _amplitudes(structure: Structure) -> Row:
    lines = [
        _line(name, LABELS[name], reconstruction.amplitude)
        for name, reconstruction in structure.reconstructions.items()
    ]
    title = "Mean amplitude in each shell, relative to the first shell of the raw map"
    words = (
        "How fast the Fourier amplitudes of the maps fall. Those of a denoised map fall faster "
        "where the network removed signal with the noise, and those of a raw map level off where "
        "only noise is left."
    )
    chart = Chart(title, "", structure.frequency_per_A, _there(lines), logarithmic=True)
    return Row("amplitudes", "E", "Fourier amplitudes", words, (chart,) if chart.lines else ())


def _reslog_row(structure: Structure) -> Row:
    words = (
        "Resolution of maps from random subsets of the particles, against the number of particles "
        "(Stagg et al. 2014). A line that is higher or steeper needs fewer particles. The FSC is "
        "that of half maps without a mask."
    )
    known = {name: curve for name, curve in structure.reslog.items() if name in LABELS}
    if not known:
        return Row("reslog", "G", "ResLog", words, ())
    lines: list[Line] = []
    for name, curve in known.items():
        lines.append(Line(LABELS[name], name, curve.points, dots=True))
        lines.append(Line(f"fit, {LABELS[name].partition(',')[0]}", name, curve.line))
    sentences = " ".join(
        f"{_SHORT[name.partition('_')[0]].capitalize()}: {curve.words}"
        for name, curve in known.items()
    )
    first: ResLog = next(iter(known.values()))
    chart = Chart(
        "1 / resolution, 1/Å", sentences, first.sizes, tuple(lines),
        x_label="particles", x_logarithmic=True, x_reading="# particles",
    )  # fmt: skip
    return Row("reslog", "G", "ResLog", words, (chart,), caution=True)


def _those(structure: Structure, names: tuple[str, ...]) -> list[tuple[str, Reconstruction]]:
    return [
        (name, structure.reconstructions[name])
        for name in names
        if name in structure.reconstructions
    ]


def _chart(
    structure: Structure, title: str, words: str, lines: list[Line], levels: tuple[float, ...]
) -> list[Chart]:
    """A chart of correlations; None if there are no lines."""
    drawn = _there(lines)
    if not drawn:
        return []
    marked = tuple(Level(value) for value in levels)
    return [
        Chart(title, words, structure.frequency_per_A, drawn, limits=_FSC_LIMITS, levels=marked)
    ]


def _there(lines: list[Line]) -> tuple[Line, ...]:
    return tuple(line for line in lines if any(value is not None for value in line.curve.value))


def _line(look: str, label: str, values: Values) -> Line:
    return Line(label, look, Curve(values))
