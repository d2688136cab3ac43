"""Atomic models: PDB and mmCIF files, gzipped or not."""

import math
from pathlib import Path

import gemmi
import numpy as np

from restore.atoms import Atoms
from restore.errors import UserError

MODEL_ENDINGS = (".pdb", ".ent", ".cif", ".mmcif")


def is_model(path: Path) -> bool:
    """Whether the name is that of an atomic model.

    >>> is_model(Path("3j9i.pdb.gz")), is_model(Path("map.mrc"))
    (True, False)
    """
    return path.name.lower().removesuffix(".gz").endswith(MODEL_ENDINGS)


def read_atoms(path: Path) -> Atoms:
    """The atoms of the first model of a PDB or mmCIF file, as they stand there, without waters.

    Of alternatives the first is taken, and counts whole. Hydrogens are there where the file has
    them; their place is not made up where it has not.

    Raises
    ------
    UserError
        There is no such file, it cannot be read as a model, it holds no atoms, or places that are
        no numbers.
    """
    structure = read_structure(path)  # gemmi's atoms live as long as it does
    atoms = [each.atom for each in structure[0].all()]
    position_A = np.array([atom.pos.tolist() for atom in atoms])
    bfactor_A2 = np.nan_to_num(np.array([atom.b_iso for atom in atoms]))
    return Atoms(
        tuple(atom.element.name for atom in atoms),
        position_A,
        bfactor_A2,
        np.array([atom.occ for atom in atoms]),
    )


def read_structure(path: Path) -> gemmi.Structure:
    """The file as gemmi reads it, without waters and all alternatives but the first; raises what
    ``read_atoms`` does.
    """
    if not path.is_file():
        raise UserError(
            "there is no such file",
            where=path,
            wanted="an atomic model (PDB or mmCIF) was asked for",
        )
    try:
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"this cannot be read as an atomic model ({error})",
            where=path,
            wanted="a PDB or mmCIF file",
        ) from error
    _thin_out(structure)
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise UserError(
            "there are no atoms in it",
            where=path,
            wanted="a PDB or mmCIF file with coordinates is needed",
        )
    if not all(math.isfinite(sum(each.atom.pos.tolist())) for each in structure[0].all()):
        raise UserError(
            "some of its atoms have no place",
            where=path,
            wanted="Every coordinate must be a number",
        )
    return structure


def _thin_out(structure: gemmi.Structure) -> None:
    """Take off waters and all alternatives but the first, which counts whole."""
    if len(structure) == 0:
        return
    structure.remove_waters()
    for each in structure[0].all():
        if each.atom.altloc != "\0":
            each.atom.occ = 1.0
    structure.remove_alternative_conformations()
