"""Atomic models: PDB and mmCIF files, gzipped or not."""

from pathlib import Path

import gemmi
import numpy as np

from restore.atoms import Atoms
from restore.errors import UserError
from restore.io.images.byte_stream import open_bytes
from restore.io.reading import reading

_LARGEST_BYTES = 1 << 29

MODEL_ENDINGS = (".pdb", ".ent", ".cif", ".mmcif")


def is_model(path: Path) -> bool:
    """Whether the file name is one of an atomic model.

    >>> is_model(Path("3j9i.pdb.gz")), is_model(Path("map.mrc"))
    (True, False)
    """
    return path.name.lower().removesuffix(".gz").endswith(MODEL_ENDINGS)


def read_atoms(path: Path) -> Atoms:
    """The atoms of the first model of a PDB or mmCIF file, in the file's order and without waters.

    Of alternate conformations the first is taken, with full occupancy. Hydrogens are included if
    the file has them; missing ones are not added.

    Raises
    ------
    UserError
        There is no such file, it cannot be read as a model, it holds no atoms, or coordinates are
        not numbers.
    """
    structure = read_structure(path)  # gemmi's atoms live only as long as the structure
    atoms = [site.atom for site in structure[0].all()]
    position_A = np.array([atom.pos.tolist() for atom in atoms])
    bfactor_A2 = np.nan_to_num(np.array([atom.b_iso for atom in atoms]))
    return Atoms(
        tuple(atom.element.name for atom in atoms),
        position_A,
        bfactor_A2,
        np.array([atom.occ for atom in atoms]),
    )


def read_structure(path: Path) -> gemmi.Structure:
    """The file as gemmi reads it, without waters and with the first alternate conformation only.
    Raises as ``read_atoms``.
    """
    if not path.is_file():
        raise UserError(
            "there is no such file",
            where=path,
            wanted="A PDB or mmCIF file is needed",
        )
    _require_coordinates(path)
    with reading(path, "A PDB or mmCIF file is needed", "this cannot be read as an atomic model"):
        structure = gemmi.read_structure(str(path))
        _refuse_one_place(structure, path)
        _thin_out(structure)
        _require_text(structure)
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise UserError(
            "there are no atoms in it",
            where=path,
            wanted="A PDB or mmCIF file with coordinates is needed",
        )
    position_A = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    if not np.isfinite(position_A).all():
        raise UserError(
            "some of its atoms have no place",
            where=path,
            wanted="Every coordinate must be a number",
        )
    return structure


def _require_coordinates(path: Path) -> None:
    """Raise UserError if an atom of a PDB file lacks three numbers in the columns of coordinates
    (gemmi would read zeros), or if a packed file holds more than any model.
    """
    with open_bytes(path, "A PDB or mmCIF file is needed") as file:
        content = file.stream.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        problem = f"it holds more than {_LARGEST_BYTES >> 20} MiB of text"
        raise UserError(problem, where=path, wanted="No atomic model is so large")
    if not path.name.lower().removesuffix(".gz").endswith((".pdb", ".ent")):
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line[:6] in (b"ATOM  ", b"HETATM"):
            try:
                [float(line[start : start + 8]) for start in (30, 38, 46)]
            except ValueError:
                words = line[30:54].decode("ascii", "replace").strip()
                raise UserError(
                    f'the coordinates are "{words}"',
                    where=f"{path}, line {number}",
                    wanted="Three numbers in columns 31 to 54 are needed",
                    do="write the model again",
                ) from None


def _refuse_one_place(structure: gemmi.Structure, path: Path) -> None:
    """Raise UserError if all of several atoms are at the same position: the same line again and
    again.
    """
    if len(structure) == 0:
        return
    position_A = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    if len(position_A) > 1 and (position_A == position_A[0]).all():
        x, y, z = position_A[0]
        raise UserError(
            f"all of its {len(position_A)} atoms are at {x:g}, {y:g}, {z:g} Å",
            where=path,
            wanted="An atomic model is needed",
            do="check that it is the right file",
        )


def _require_text(structure: gemmi.Structure) -> None:
    """Raise ValueError if a name is not UTF-8, which gemmi notices only when asked for the name."""
    for model in structure:
        for chain in model:
            _ = chain.name
            for residue in chain:
                _ = residue.name
                for atom in residue:
                    _ = atom.name


def _thin_out(structure: gemmi.Structure) -> None:
    """Remove waters and all alternate conformations but the first, which gets full occupancy."""
    if len(structure) == 0:
        return
    structure.remove_waters()
    for site in structure[0].all():
        if site.atom.altloc != "\0":
            site.atom.occ = 1.0
    structure.remove_alternative_conformations()
