"""Atomic models: what is read of them, and what is refused."""

import gzip

import gemmi
import numpy as np
import pytest

from restore.errors import UserError
from restore.io.atomic_models import read_atoms

LINES = """\
ATOM      1  N   ALA A   1      11.000   2.000   3.000  1.00 10.00           N
ATOM      2  CA AALA A   1       5.000   2.000   0.000  0.60 20.00           C
ATOM      3  CA BALA A   1       6.000   2.000   0.000  0.40 30.00           C
ATOM      4  CB BALA A   1       8.000   2.000   0.000  0.50 40.00           C
ATOM      5  CB CALA A   1       9.000   2.000   0.000  0.50 50.00           C
ATOM      6  H   ALA A   1      10.000   2.000   3.000  0.25 60.00           H
HETATM    7  O   HOH A   2      20.000   2.000   3.000  1.00 10.00           O
END
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.pdb").write_text(LINES)
    return tmp_path / "model.pdb"


def test_waters_go_and_the_first_of_alternatives_stays_whole(model):
    atoms = read_atoms(model)
    assert atoms.elements == ("N", "C", "C", "H")
    assert atoms.position_A[:, 0].tolist() == [11, 5, 8, 10]
    assert atoms.bfactor_A2.tolist() == [10, 20, 40, 60] and atoms.occupancy.tolist() == [
        1,
        1,
        1,
        0.25,
    ]


def test_mmcif_and_packed_files_say_the_same(model):
    structure = gemmi.read_structure(str(model))
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(model.with_suffix(".cif")))
    (model.parent / "model.pdb.gz").write_bytes(gzip.compress(LINES.encode()))
    for name in ("model.cif", "model.pdb.gz"):
        other, atoms = read_atoms(model.parent / name), read_atoms(model)
        assert other.elements == atoms.elements
        for field in ("position_A", "bfactor_A2", "occupancy"):
            np.testing.assert_allclose(getattr(other, field), getattr(atoms, field), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("none.pdb", None, "there is no such file"),
     ("empty.pdb", "END\n", "there are no atoms in it"),
     ("water.pdb", LINES.splitlines()[6] + "\nEND\n", "there are no atoms in it"),
     ("broken.cif", "data_x\nloop_\n", "this cannot be read as an atomic model"),
     ("text.cif", "no model", "this cannot be read as an atomic model")],
)  # fmt: skip
def test_what_is_no_model_is_refused_with_what_is_wrong(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        read_atoms(tmp_path / name)
