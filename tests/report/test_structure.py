"""The page of a structure: what it holds, whatever the result lacks, and in a browser without
complaint.
"""

import json

import pytest
import structure_example as example
from html_reader import Reader

from restore.errors import UserError
from restore.report.structure_page import structure_page
from restore.structure.records import read_structure, structure_from


@pytest.fixture
def made(tmp_path):
    """A function that makes the page of a result's JSON."""

    def make(card):
        example.write_pictures(tmp_path)
        return structure_page(structure_from(card), tmp_path)

    return make


def test_every_row_of_the_figure_is_there_with_its_letter(made):
    page = Reader(made(example.structure()))
    for words in (
        "A, B · Half maps",
        "C, D · Views",
        "E · Fourier amplitudes",
        "F · Against the model",
        "G · ResLog",
    ):
        assert words in page.text
    for words in (
        "H, I · Details",
        "S2.5 · Orientations",
        "Against the truth",
        "What the raw halves support",
    ):
        assert words in page.text
    assert "Raw images give the better map" in page.text and "4.14 Å" in page.text
    assert len(page.of("img")) == 3 and all(
        image["src"].startswith("data:image/png") for image in page.of("img")
    )


def test_the_caution_stands_beside_every_fsc_of_denoised_half_maps(made):
    html = made(example.structure())
    sections = {part.split('"')[0]: part for part in html.split('<section id="')[1:]}
    assert example.CAUTION in sections["summary"]
    for key in ("fsc", "bias", "reslog"):
        assert "is no evidence of resolution" in sections[key]
    assert "no evidence" not in sections["amplitudes"]


@pytest.mark.parametrize(
    "missing",
    [
        "bias",
        "reslog",
        "angles",
        "views",
        "regions",
        "commands",
        "cautions",
        "summary",
        "provenance",
    ],
)
def test_a_result_that_lacks_a_part_has_a_page_without_it(made, missing):
    card = example.structure()
    del card[missing]
    assert "A, B · Half maps" in Reader(made(card)).text


def test_without_truth_model_and_second_refinement_their_rows_are_left_out(made):
    card = example.structure()
    for name in ("denoised_by_denoised", "raw_by_denoised"):
        del card["reconstructions"][name]
    del card["bias"]["denoised"]
    for each in card["reconstructions"].values():
        each["model"] = each["truth"] = None
    text = Reader(made(card)).text
    assert "A · Orientations refined on raw" in text and "B · Orientations" not in text
    assert "Against the" not in text and "truth, 0.5" not in text


def test_curves_with_gaps_are_drawn_as_far_as_they_go(made):
    card = example.structure()
    card["reconstructions"]["raw_by_raw"]["fsc"]["curves"]["unmasked"][20:] = [None] * (
        example.SHELLS - 20
    )
    drawn = [
        path["d"]
        for path in Reader(made(card)).of("path")
        if path["class"].startswith("line raw_by_raw")
    ]
    assert drawn and not any("n" in each for each in drawn)


def test_what_the_result_says_cannot_become_html(made):
    card = example.structure()
    card["summary"] = card["cautions"] = ["<script>alert(1)</script>"]
    card["commands"]["fsc"] = card["provenance"]["command"] = card["views"][0]["title"] = (
        '<b onclick="x">'
    )
    page = Reader(made(card))
    assert len(page.of("script")) == 3 and not page.of("b")


def test_pictures_outside_the_folder_stay_outside_the_page(made):
    card = example.structure()
    card["views"][0]["path"] = "../../../etc/hostname"
    assert len(Reader(made(card)).of("img")) == 2


def test_a_result_is_read_from_its_folder(tmp_path):
    (tmp_path / "structure.json").write_text(json.dumps(example.structure()), encoding="utf-8")
    found = read_structure(tmp_path)
    assert found == structure_from(example.structure())
    assert list(found.reconstructions) == [
        "raw_by_raw",
        "denoised_by_raw",
        "denoised_by_denoised",
        "raw_by_denoised",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        ("{", "a damaged file"),
        ("{}", "a damaged file"),
        ('{"format_version": 2}', "format version 2"),
        ('{"format_version": 1, "frequency_per_A": [0, 1]}', "a damaged file"),
    ],
)
def test_a_folder_without_a_good_result_says_what_is_wrong(tmp_path, content, words):
    if content:
        (tmp_path / "structure.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_structure(tmp_path)


def test_a_curve_of_another_length_is_damage():
    card = example.structure()
    card["bias"]["raw"]["claimed"] = [1.0]
    with pytest.raises(UserError, match="1 values where there should be 49"):
        structure_from(card)
