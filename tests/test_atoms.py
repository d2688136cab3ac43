"""The record of atoms."""

import numpy as np
import pytest

from restore.atoms import Atoms


def test_atoms_are_whole_and_sharp_unless_they_say_otherwise():
    atoms = Atoms(("C", "N"), np.zeros((2, 3)))
    assert list(atoms.occupancy) == [1, 1] and list(atoms.bfactor_A2) == [0, 0]
    assert list(Atoms(("C", "N"), np.zeros((2, 3)), np.array([3.0, 4.0])).bfactor_A2) == [3, 4]


def test_a_number_too_few_is_refused():
    with pytest.raises(ValueError, match="2 elements, but occupancy has 1 values"):
        Atoms(("C", "N"), np.zeros((2, 3)), np.zeros(2), np.ones(1))
