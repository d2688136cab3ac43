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
def make_page(tmp_path):
    """A function that makes the page of a result's JSON."""

    def make(card):
        example.write_pictures(tmp_path)
        return structure_page(structure_from(card), tmp_path)

    return make


def test_every_row_of_the_figure_is_there_with_its_letter(make_page):
    page = Reader(make_page(example.structure()))
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
    pictures, figures = page.of("img"), page.of("figure")
    assert len(pictures) == 1
    assert pictures[0]["src"].startswith("data:image/png")
    assert [part["data-row"] for part in figures if "data-row" in part] == ["0", "1"]


def test_the_caution_stands_beside_every_fsc_of_denoised_half_maps(make_page):
    html = make_page(example.structure())
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
def test_a_result_that_lacks_a_part_has_a_page_without_it(make_page, missing):
    card = example.structure()
    del card[missing]
    assert "A, B · Half maps" in Reader(make_page(card)).text


def test_without_truth_model_and_second_refinement_their_rows_are_left_out(make_page):
    card = example.structure()
    for name in ("denoised_by_denoised", "raw_by_denoised"):
        del card["reconstructions"][name]
    del card["bias"]["denoised"]
    for reconstruction in card["reconstructions"].values():
        reconstruction["model"] = reconstruction["truth"] = None
    text = Reader(make_page(card)).text
    assert "A · Orientations refined on raw" in text and "B · Orientations" not in text
    assert "Against the" not in text and "truth, 0.5" not in text


def test_curves_with_gaps_are_drawn_as_far_as_they_go(make_page):
    card = example.structure()
    card["reconstructions"]["raw_by_raw"]["fsc"]["curves"]["unmasked"][20:] = [None] * (
        example.SHELLS - 20
    )
    drawn = [
        path["d"]
        for path in Reader(make_page(card)).of("path")
        if path["class"].startswith("line raw_by_raw")
    ]
    assert drawn and not any("n" in chart for chart in drawn)


def test_what_the_result_says_cannot_become_html(make_page):
    card = example.structure()
    card["summary"] = card["cautions"] = ["<script>alert(1)</script>"]
    card["commands"]["fsc"] = card["provenance"]["command"] = card["views"][0]["title"] = (
        '<b onclick="x">'
    )
    page = Reader(make_page(card))
    assert len(page.of("script")) == 7 and not page.of("b")


def scene_rows_of(html):
    """The rows of scenes in the page's data."""
    return json.loads(html.partition('id="scenes">')[2].partition("</script>")[0])


def test_what_a_file_of_scenes_says_cannot_become_html(make_page, tmp_path):
    evil = "</script><b onclick='x'>"
    make_page(example.structure())
    path = tmp_path / "views.json"
    card = json.loads(path.read_text())
    row = card["rows"][0]
    row["words"] = row["scenes"][0]["title"] = row["scenes"][0]["caption"] = evil
    row["turns"] = {evil: [0, 0, 0, 1]}
    path.write_text(json.dumps(card))
    html = structure_page(structure_from(example.structure()), tmp_path)
    assert not Reader(html).of("b")
    assert scene_rows_of(html)[0]["scenes"][0]["title"] == evil


def test_the_page_holds_the_scenes_of_both_files_and_the_viewer_once(make_page):
    html = make_page(example.structure())
    rows = scene_rows_of(html)
    assert [row["words"] for row in rows] == ["", "residues A/45–46"]
    assert rows[1]["scenes"][0]["atoms"].count("ATOM  ") == 2
    assert html.count('id="scenes"') == html.count("$3Dmol.createViewer") == 1
    assert "3Dmol.js (BSD-3-Clause)" in html


def test_a_page_without_scenes_carries_no_viewer(make_page):
    card = example.structure()
    del card["views"], card["regions"]
    html = make_page(card)
    assert "3Dmol" not in html
    assert len(html) < 300_000


@pytest.mark.parametrize("content", ["{", '{"format_version": 2, "rows": []}', "[1]"])
def test_a_damaged_file_of_scenes_leaves_its_row_out(make_page, tmp_path, content):
    make_page(example.structure())
    (tmp_path / "views.json").write_text(content)
    html = structure_page(structure_from(example.structure()), tmp_path)
    assert "C, D · Views" not in html
    assert len(scene_rows_of(html)) == 1


def test_a_picture_of_an_earlier_result_is_still_shown(make_page, tmp_path):
    card = example.structure()
    card["views"][0]["path"] = "angles.png"
    html = make_page(card)
    assert len(Reader(html).of("img")) == 2
    assert [part["data-row"] for part in Reader(html).of("figure") if "data-row" in part] == ["0"]


@pytest.mark.parametrize("name", ["hostname", "outside.json", "outside.png"])
def test_pictures_outside_the_folder_stay_outside_the_page(tmp_path, name):
    folder = tmp_path / "result"
    example.write_pictures(folder)
    (tmp_path / "outside.json").write_text((folder / "views.json").read_text())
    (tmp_path / "outside.png").write_bytes((folder / "angles.png").read_bytes())
    card = example.structure()
    card["views"][0]["path"] = "../../../etc/hostname" if name == "hostname" else f"../{name}"
    html = structure_page(structure_from(card), folder)
    assert len(Reader(html).of("img")) == 1
    assert len(scene_rows_of(html)) == 1


def test_a_result_is_read_from_its_folder(tmp_path):
    (tmp_path / "structure.json").write_text(json.dumps(example.structure()), encoding="utf-8")
    structure = read_structure(tmp_path)
    assert structure == structure_from(example.structure())
    assert list(structure.reconstructions) == [
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
