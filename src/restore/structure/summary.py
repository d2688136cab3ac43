"""What the comparison says, in words: denoising helped where raw images, the truth or a model say
so, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from restore.maps.fsc import ShellAxis
from restore.maps.fsc_inflation import components
from restore.structure.evidence import Difference, difference

CAUTION = (
    "The half maps of denoised images can agree on what the network made up: one network drew in "
    "both, so that their FSC"
    " can be too high. It is no evidence of resolution. Evidence is the FSC of raw images, with "
    "whichever orientations,"
    " and agreement with a truth or a model that the network has not seen."
)

_FOUND = {"better": "better than", "worse": "worse than", "alike": "neither better nor worse than"}
_IS = {"better": "better", "worse": "worse", "alike": "neither better nor worse"}
_MAPS = {
    "denoised_by_raw": "denoised images with these orientations",
    "denoised_by_denoised": "denoised images with orientations refined on denoised images",
    "raw_by_denoised": "raw images with orientations refined on denoised images",
}
_YARDSTICKS = {
    "truth": ("The true map", ""),
    "model": (
        "The model",
        " This counts if neither the network nor the refinements have seen the model.",
    ),
}


@dataclass(frozen=True)
class Sampled:
    """How curves are compared: ``samples`` are the independent numbers in each shell."""

    samples: torch.Tensor

    @classmethod
    def of(cls, side: int, voxel_A: float, symmetry_order: int, kept: float) -> "Sampled":
        """Those of a cubic map of this symmetry, of which a mask leaves the share ``kept``."""
        axis = ShellAxis((side, side, side), (voxel_A, voxel_A, voxel_A))
        return cls((components(axis) * kept / symmetry_order).clamp(min=1))

    def compare(
        self, first: Mapping[str, Any], second: Mapping[str, Any], threshold: float
    ) -> Difference:
        """How much higher the second correlation's best curve is."""
        curves = [
            torch.tensor([each or 0.0 for each in card["curves"][card["best"]]])
            for card in (first, second)
        ]
        return difference(curves[0].double(), curves[1].double(), self.samples, threshold)


def summary(card: Mapping[str, Any], sampled: Sampled) -> tuple[list[str], dict[str, Any]]:
    """The sentences, the honest comparison first, and the differences that they rest on, by
    name.
    """
    found: dict[str, Difference] = {}
    said = [_orientations(card, sampled, found), *_against(card, sampled, found)]
    said += [*_angles(card), *_half_maps(card)]
    numbers = {
        name: {
            "mean": each.mean,
            "error": each.error,
            "shells": each.shells,
            "verdict": each.verdict,
        }
        for name, each in found.items()
    }
    return [sentence for sentence in said if sentence], numbers


def _orientations(card: Mapping[str, Any], sampled: Sampled, found: dict[str, Difference]) -> str:
    """Which orientations are better for raw images."""
    maps = card["reconstructions"]
    if "raw_by_denoised" not in maps:
        return (
            "There is one refinement, so that nothing can be said of what denoising does to "
            "orientations: for that, refine"
            " the denoised images too."
        )
    first, second = maps["raw_by_raw"]["fsc"], maps["raw_by_denoised"]["fsc"]
    apart = found["raw_images"] = sampled.compare(first, second, 0.143)
    words = (
        f"For raw images, the orientations refined on denoised images are {_FOUND[apart.verdict]} "
        "those refined on raw"
        f" images: {_against_each_other(second, first)} at FSC = 0.143, {_more(apart)}."
    )
    helped = {
        "better": " Denoising helped the refinement.",
        "worse": " Denoising harmed the refinement.",
    }
    return words + helped.get(apart.verdict, "")


def _against(card: Mapping[str, Any], sampled: Sampled, found: dict[str, Difference]) -> list[str]:
    """What the truth and the model say of each map, compared with that of raw images by raw
    orientations.
    """
    said: list[str] = []
    maps = card["reconstructions"]
    for key, (words, proviso) in _YARDSTICKS.items():
        first = maps["raw_by_raw"].get(key)
        if not first:
            continue
        parts: list[str] = []
        for name, called in _MAPS.items():
            if name in maps and maps[name].get(key):
                apart = found[f"{key}_{name}"] = sampled.compare(first, maps[name][key], 0.5)
                parts.append(
                    f"that of {called} is {_IS[apart.verdict]}: {_at(maps[name][key], '0.5')}, "
                    f"{_more(apart)}"
                )
        said.append(
            f"{words} agrees with that of raw images with their own orientations to "
            f"{_at(first, '0.5')} (correlation 0.5);"
            f" compared with this, {'; '.join(parts)}.{proviso}"
        )
    return said


def _angles(card: Mapping[str, Any]) -> list[str]:
    """How far the orientations are from the true ones."""
    errors = {each["compared"]: each for each in card["angles"]}
    if not {"raw", "denoised"} <= set(errors):
        return []
    raw, denoised = (errors[name]["median_deg"] for name in ("raw", "denoised"))
    return [
        f"The orientations refined on denoised images are {denoised:.2f}° from the true ones in "
        "the median, those"
        f" refined on raw images {raw:.2f}°."
    ]


def _half_maps(card: Mapping[str, Any]) -> list[str]:
    """What the denoised half maps claim, and what of it the raw ones support."""
    said: list[str] = []
    for name, each in card["bias"].items():
        raw = card["reconstructions"][f"raw_by_{name}"]["fsc"]
        excess = each["mean_excess"]
        which = f"with the orientations refined on {name} images"
        words = (
            f"The half maps of denoised images agree to {each['claimed_crossing']['words']} "
            f"{which}, those of raw"
            f" images to {_at(raw, '0.143')}."
        )
        if each["known_to_A"] is None and excess["value"] is None:
            said.append(f"{words} The raw half maps agree too little to tell how much of it is so.")
        elif each["is_found"]:
            band = each["band"]
            said.append(
                f"{words} A part of this is bias that both denoised halves share: from "
                f"{band['from_A']:.1f} to"
                f" {band['to_A']:.1f} Å their FSC is {band['mean_excess']:.3f} higher than the "
                "raw halves support, which"
                f" support {each['supported_crossing']['words']}."
            )
        else:
            said.append(
                f"{words} No bias that both denoised halves share was found (mean FSC "
                f"{_number(excess)} too high)."
            )
    return said


def _against_each_other(second: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    ends = [_at(each, "0.143") for each in (second, first)]
    return f"both {ends[0]}" if ends[0] == ends[1] else f"{ends[0]} against {ends[1]}"


def _at(correlation: Mapping[str, Any], threshold: str) -> str:
    return correlation["crossings"][threshold]["words"]


def _more(apart: Difference) -> str:
    sign = "higher" if apart.mean >= 0 else "lower"
    return f"the mean correlation {sign} by {abs(apart.mean):.3f} ± {apart.error:.3f}"


def _number(card: Mapping[str, Any]) -> str:
    value, high = card["value"], card["high"]
    return f"{value:.3f} ± {high - value:.3f}".replace("-", "−")
