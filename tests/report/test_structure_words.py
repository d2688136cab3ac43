"""What the summary says: that denoising helped only where raw images say so, and what half maps
claim as a claim.
"""

from dataclasses import replace

import numpy as np
import pytest
import structure_example as example
import torch

from restore.maps.fsc_inflation import agreements, inflation
from restore.report.structure_words import CAUTION, summary, warnings
from restore.structure import curves
from restore.structure.evidence import differences, independent_samples
from restore.structure.records import structure_from

SAMPLES = independent_samples(example.BOX, example.VOXEL_A, 14, 1.0)


def said_of(card):
    structure = structure_from(card)
    compared = differences(structure.reconstructions, SAMPLES)
    return " ".join(summary(replace(structure, differences=compared))), compared


def card_with(raw_A, crossed_A, angles=()):
    """A result in which raw images reach these resolutions by raw and by denoised orientations."""
    card = example.structure()
    card["frequency_per_A"] = example.FREQUENCY
    card["reconstructions"]["raw_by_raw"]["fsc"] = example.correlation(raw_A)
    card["reconstructions"]["raw_by_denoised"]["fsc"] = example.correlation(crossed_A)
    first = card["angles"][0]
    card["angles"] = [
        first | {"compared": name, "median_deg": median_deg} for name, median_deg in angles
    ]
    return card


@pytest.mark.parametrize(
    ("raw_A", "crossed_A", "verdict", "words"),
    [
        (6.0, 4.0, "better", "Denoising helped the refinement."),
        (4.0, 6.0, "worse", "Denoising harmed the refinement."),
        (4.5, 4.5, "alike", "neither better nor worse"),
    ],
)
def test_raw_images_decide_whether_denoising_helped(raw_A, crossed_A, verdict, words):
    text, numbers = said_of(card_with(raw_A, crossed_A))
    assert numbers["raw_images"].verdict == verdict and words in text
    assert ("helped" in text) == (verdict == "better") and ("harmed" in text) == (
        verdict == "worse"
    )


def test_half_maps_of_denoised_images_never_count_as_help():
    """The denoised half maps' FSC is far above the raw ones', which are alike: nothing is said to
    have helped.
    """
    card = card_with(4.5, 4.5)
    for name in ("denoised_by_raw", "denoised_by_denoised"):
        card["reconstructions"][name]["fsc"] = example.correlation(3.3)
    text, _ = said_of(card)
    assert "helped" not in text and "bias that both denoised halves share" in text


def test_truth_and_model_are_compared_with_the_raw_map():
    card = card_with(4.5, 4.5)
    for name in card["reconstructions"]:
        card["reconstructions"][name]["truth"] = example.correlation(
            4.0 if name == "denoised_by_raw" else 6.0
        )
    text, numbers = said_of(card)
    assert numbers["truth_denoised_by_raw"].verdict == "better"
    assert "that of denoised images with these orientations is better: 4.00 Å" in text
    assert "This counts if neither the network nor the refinements have seen the model." in text


def test_errors_of_orientations_are_said_where_both_are_known():
    text, _ = said_of(card_with(4.5, 4.5, [("refinements", 2.0), ("raw", 3.0), ("denoised", 1.25)]))
    assert (
        "from the true orientations is 1.25° for those refined on denoised images, and 3.00° for "
        "those refined on raw images" in text
    )
    assert (
        "from the true orientations"
        not in said_of(card_with(4.5, 4.5, [("refinements", 2.0), ("raw", 3.0)]))[0]
    )


def test_without_bias_none_is_said():
    card = card_with(4.5, 4.5)
    for bias in card["bias"].values():
        bias |= {"is_found": False, "mean_excess": {"value": 0.001, "low": -0.001, "high": 0.003}}
    text, _ = said_of(card)
    assert (
        "No bias that both denoised halves share was found" in text and "Part of this" not in text
    )


def test_where_raw_halves_do_not_agree_at_all_nothing_is_said_of_bias():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn((2, 16, 16, 16), generator=generator)
    raw[1] = -raw[0]
    nothing = curves.bias(
        inflation(agreements(raw, raw[:1].expand(2, -1, -1, -1), (2.0, 2.0, 2.0)))
    )
    assert nothing.mean_excess.value is None and nothing.known_to_A is None
    structure = structure_from(card_with(4.5, 4.5))
    unknown = replace(
        structure.bias["raw"],
        is_found=nothing.is_found,
        mean_excess=nothing.mean_excess,
        known_to_A=nothing.known_to_A,
    )
    sentence = summary(replace(structure, bias={"raw": unknown}))[-1]
    assert sentence.endswith("The raw half maps agree too poorly to tell how much of this is real.")


def test_symmetry_and_mask_leave_fewer_samples():
    whole, less = independent_samples(32, 2.0, 1, 1.0), independent_samples(32, 2.0, 7, 0.5)
    np.testing.assert_allclose(less[4:], whole[4:] / 14)


def test_the_caution_names_what_is_evidence_and_what_is_not():
    assert (
        "no evidence of resolution" in CAUTION
        and "raw images" in CAUTION
        and "has not seen" in CAUTION
    )


def test_orientations_as_far_apart_as_chance_and_a_model_that_lies_elsewhere_are_warned_of():
    card = example.structure()
    card["angles"][0] |= {"title": "Refined", "median_deg": 30.0, "chance_median_deg": 40.0}
    raw = card["reconstructions"]["raw_by_raw"]
    raw["model"]["is_doubtful"], raw["truth"]["is_doubtful"] = True, False
    structure = structure_from(card)
    messages = list(warnings(structure.angles, structure.reconstructions["raw_by_raw"]))
    assert "hardly agree (median 30.0°" in messages[0] and "been fitted" in messages[1]
    assert len(messages) == 2
