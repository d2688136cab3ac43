"""Stretches of residues: what a person types, what the model's own records say, and what is
refused.
"""

import gemmi
import numpy as np
import pytest
from small_model import write_model

from restore.errors import UserError
from restore.io.residues import Stretch, read_residues, stretch_from


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model.pdb")


@pytest.mark.parametrize(
    ("words", "stretch"),
    [
        ("A/45-60", Stretch("A", 45, 60)),
        ("A:45–60", Stretch("A", 45, 60)),
        ("b2/7", Stretch("b2", 7, 7)),
        ("A/-3--1", Stretch("A", -3, -1)),
        ("A/-3-5", Stretch("A", -3, 5)),
    ],
)
def test_what_is_typed_is_understood_and_said_again(words, stretch):
    assert stretch_from(words) == stretch == stretch_from(str(stretch))


@pytest.mark.parametrize("words", ["A", "A/", "45-60", "A/60-45", "A/4-x", "/4-6", "A/4-6-8", ""])
def test_what_names_no_residues_is_refused(words):
    with pytest.raises(UserError, match="such as A/45-60"):
        stretch_from(words)


def test_atoms_are_those_of_the_lines_of_the_file(model):
    (stretch,) = read_residues(model, [Stretch("A", 5, 9)])
    lines = [
        line
        for line in model.read_text().splitlines()
        if line.startswith("ATOM") and line[21] == "A"
    ]
    lines = [line for line in lines if 5 <= int(line[22:26]) <= 9]
    assert stretch.atom_names == tuple(line[12:16].strip() for line in lines) and len(lines) == 25
    assert stretch.numbers == tuple(int(line[22:26]) for line in lines)
    np.testing.assert_allclose(
        stretch.position_A, [[float(line[at : at + 8]) for at in (30, 38, 46)] for line in lines]
    )
    assert stretch.elements == tuple(line[77] for line in lines) and set(stretch.residue_names) == {
        "ALA"
    }


def test_the_atoms_around_are_the_others_within_8_A(model):
    (stretch,) = read_residues(model, [Stretch("A", 5, 9)])
    everything_A = np.array(
        [site.atom.pos.tolist() for site in gemmi.read_structure(str(model))[0].all()]
    )
    away_A = np.linalg.norm(everything_A[:, None] - stretch.position_A, axis=-1).min(1)
    expected = everything_A[(away_A > 0) & (away_A < 8)]
    np.testing.assert_allclose(stretch.around_A, expected)
    assert len(expected) > 20


def test_where_none_is_named_it_is_the_middle_of_the_longest_helix_and_strand(model):
    assert [str(stretch.stretch) for stretch in read_residues(model)] == ["A/4-17", "B/1-8"]


def test_hydrogens_and_waters_are_left_out(tmp_path, model):
    text = model.read_text().replace("END\n", "")
    text += "ATOM    900  HA  ALA A   5      10.000  10.000  10.000  1.00 20.00           H\n"
    text += "HETATM  901  O   HOH A   5      10.000  10.000  10.000  1.00 20.00           O\n"
    (tmp_path / "wet.pdb").write_text(text)
    assert len(read_residues(tmp_path / "wet.pdb", [Stretch("A", 5, 5)])[0].elements) == 5


def test_mmcif_says_the_same(tmp_path, model):
    structure = gemmi.read_structure(str(model))
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    (plain,), (cif,) = (
        read_residues(path, [Stretch("B", 2, 4)]) for path in (model, tmp_path / "model.cif")
    )
    assert plain.atom_names == cif.atom_names
    np.testing.assert_allclose(plain.position_A, cif.position_A)
    assert str(read_residues(tmp_path / "model.cif")[0].stretch) == "A/4-17"


def test_a_chain_that_is_not_there_is_refused_with_those_that_are(model):
    with pytest.raises(UserError, match=r'it has no chain "Q". Its chains are A, B'):
        read_residues(model, [Stretch("Q", 1, 5)])


def test_residues_that_are_not_there_are_refused_with_the_numbers_that_are(model):
    with pytest.raises(
        UserError,
        match=r"chain A has no residue from 40 to 50. Its residues have numbers from 1 to 35",
    ):
        read_residues(model, [Stretch("A", 40, 50)])


def test_a_model_without_records_needs_a_region(tmp_path):
    with pytest.raises(
        UserError, match=r"no records of helices or strands to choose from.*`region`"
    ):
        read_residues(write_model(tmp_path / "bare.pdb", records=False))
