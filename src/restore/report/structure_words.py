"""Sentences about a comparison of structures. They say that denoising helped only if raw images,
the truth or a model support it.
"""

from collections.abc import Iterator, Sequence

from restore.quantities import Number
from restore.structure.records import Angles, Comparison, Correlation, Reconstruction, Structure

CAUTION = (
    "The half maps of denoised images can agree on what the network hallucinated: the same "
    "network produced both, so that their FSC can be too high. This FSC is no evidence of "
    "resolution. The FSC of raw images is evidence, with either set of orientations, and so is "
    "agreement with a truth or a model that the network has not seen."
)

_SUSPICIOUS = 0.5  # share of the median distance between random orientations
_COMPARED = {
    "better": "better than",
    "worse": "worse than",
    "alike": "neither better nor worse than",
}
_IS = {"better": "better", "worse": "worse", "alike": "neither better nor worse"}
_MAPS = {
    "denoised_by_raw": "denoised images with these orientations",
    "denoised_by_denoised": "denoised images with orientations refined on denoised images",
    "raw_by_denoised": "raw images with orientations refined on denoised images",
}
_REFERENCES = {
    "truth": ("The true map", ""),
    "model": (
        "The model",
        " This counts if neither the network nor the refinements have seen the model.",
    ),
}
_MISPLACED = {
    "model": (
        "The model hardly agrees with the map, even at low resolution where the half maps agree: "
        "has it been fitted into a map of this refinement?"
    ),
    "truth": (
        "The true map hardly agrees with the reconstruction, even at low resolution: is it "
        "rotated, mirrored or shifted relative to it?"
    ),
}


def summary(structure: Structure) -> list[str]:
    """The sentences, with the fair comparison first, based on the structure's ``differences``."""
    sentences = [_orientations(structure), *_references(structure)]
    return [*sentences, *_angles(structure.angles), *_half_maps(structure)]


def warnings(angles: Sequence[Angles], raw: Reconstruction) -> Iterator[str]:
    """Warnings about results that would change the meaning of the comparison."""
    for distances in angles:
        if distances.median_deg > _SUSPICIOUS * distances.chance_median_deg:
            yield (
                f"{distances.title}: the orientations hardly agree (median "
                f"{distances.median_deg:.1f}°, by chance {distances.chance_median_deg:.0f}°). "
                "Check the symmetry, and that both refinements started from the same reference."
            )
    for key, words in _MISPLACED.items():
        correlation: Correlation | None = getattr(raw, key)
        if correlation is not None and correlation.is_doubtful:
            yield words


def _orientations(structure: Structure) -> str:
    """A sentence on which orientations are better for raw images."""
    maps = structure.reconstructions
    apart = structure.differences.get("raw_images")
    if "raw_by_denoised" not in maps or apart is None:
        return (
            "There is only one refinement, so the effect of denoising on the orientations is not "
            "known. To measure it, refine the denoised images too."
        )
    ends = [_at(maps[name].fsc, "0.143") for name in ("raw_by_denoised", "raw_by_raw")]
    resolutions = f"both {ends[0]}" if ends[0] == ends[1] else f"{ends[0]} against {ends[1]}"
    words = (
        "For raw images, the orientations refined on denoised images are "
        f"{_COMPARED[apart.verdict]} those refined on raw images: {resolutions} at FSC = 0.143, "
        f"{_more(apart)}."
    )
    helped = {
        "better": " Denoising helped the refinement.",
        "worse": " Denoising harmed the refinement.",
    }
    return words + helped.get(apart.verdict, "")


def _references(structure: Structure) -> list[str]:
    """Sentences on how well each map agrees with the truth and with the model, compared with the
    map of raw images in raw orientations.
    """
    sentences: list[str] = []
    maps = structure.reconstructions
    for key, (words, proviso) in _REFERENCES.items():
        first: Correlation | None = getattr(maps["raw_by_raw"], key)
        if first is None:
            continue
        parts: list[str] = []
        for name, images in _MAPS.items():
            apart = structure.differences.get(f"{key}_{name}")
            if name in maps and apart is not None:
                parts.append(
                    f"that of {images} is {_IS[apart.verdict]}: "
                    f"{_at(getattr(maps[name], key), '0.5')}, {_more(apart)}"
                )
        sentences.append(
            f"{words} agrees with the map of raw images with their own orientations to "
            f"{_at(first, '0.5')} (correlation 0.5); compared with this, {'; '.join(parts)}."
            f"{proviso}"
        )
    return sentences


def _angles(angles: Sequence[Angles]) -> list[str]:
    """A sentence on the distance of the orientations from the true ones."""
    errors = {distances.compared: distances.median_deg for distances in angles}
    if not {"raw", "denoised"} <= set(errors):
        return []
    return [
        "The median angular distance from the true orientations is "
        f"{errors['denoised']:.2f}° for those refined on denoised images, and "
        f"{errors['raw']:.2f}° for those refined on raw images."
    ]


def _half_maps(structure: Structure) -> list[str]:
    """Sentences on what the denoised half maps claim, and how much of it the raw ones support."""
    sentences: list[str] = []
    for name, bias in structure.bias.items():
        raw = structure.reconstructions[f"raw_by_{name}"].fsc
        words = (
            f"With the orientations refined on {name} images, the half maps of denoised images "
            f"agree to {bias.claimed_crossing.words}, those of raw images to {_at(raw, '0.143')}."
        )
        if bias.known_to_A is None and bias.mean_excess.value is None:
            rest = "The raw half maps agree too poorly to tell how much of this is real."
        elif bias.is_found and bias.band is not None:
            rest = (
                "Part of this is bias that both denoised halves share: from "
                f"{bias.band.from_A:.1f} to {bias.band.to_A:.1f} Å their FSC is "
                f"{bias.band.mean_excess:.3f} higher than the raw halves support, which support "
                f"{bias.supported_crossing.words}."
            )
        else:
            rest = (
                "No bias that both denoised halves share was found (mean FSC "
                f"{_with_error(bias.mean_excess)} too high)."
            )
        sentences.append(f"{words} {rest}")
    return sentences


def _at(correlation: Correlation, threshold: str) -> str:
    return correlation.crossings[threshold].words


def _more(apart: Comparison) -> str:
    sign = "higher" if apart.mean >= 0 else "lower"
    error = "unknown" if apart.error is None else f"{apart.error:.3f}"
    return f"the mean correlation {sign} by {abs(apart.mean):.3f} ± {error}"


def _with_error(number: Number) -> str:
    if number.value is None or number.high is None:
        return "–"
    return f"{number.value:.3f} ± {number.high - number.value:.3f}".replace("-", "−")
