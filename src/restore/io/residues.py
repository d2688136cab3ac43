"""Stretches of residues of an atomic model, given by the user or by the model's own records of
helices and strands.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from restore.errors import UserError
from restore.io.atomic_models import read_structure

_WORDS = re.compile(r"([^/:\s]+)[/:](-?\d+)(?:[-–](-?\d+))?")
_AROUND_A = 8.0
_LONGEST = {"helix": 14, "strand": 9}


@dataclass(frozen=True)
class Stretch:
    """The residues ``first`` to ``last`` of a chain, by the numbers in the file."""

    chain: str
    first: int
    last: int

    def __str__(self) -> str:
        """The stretch as it is typed."""
        return f"{self.chain}/{self.first}" + (f"-{self.last}" if self.last != self.first else "")


@dataclass(frozen=True)
class Residues:
    """The n atoms of a stretch, without hydrogens and in the file's order; positions are x, y and z
    in Å.

    ``around_A`` holds the positions of the model's other atoms within 8 Å of these.
    """

    stretch: Stretch
    elements: tuple[str, ...]
    atom_names: tuple[str, ...]
    residue_names: tuple[str, ...]
    numbers: tuple[int, ...]
    position_A: Float[np.ndarray, "n 3"]
    around_A: Float[np.ndarray, "m 3"]


def stretch_from(words: str) -> Stretch:
    """The stretch that a user typed.

    >>> stretch_from("A/45-60"), str(stretch_from("B:7"))
    (Stretch(chain='A', first=45, last=60), 'B/7')

    Raises
    ------
    UserError
        The text is not a chain with one or two residue numbers, the smaller one first.
    """
    match = _WORDS.fullmatch(words)
    if match is None or int(match[3] or match[2]) < int(match[2]):
        raise UserError(
            f'"{words}" names no residues',
            wanted="A chain and the first and last number are needed, such as A/45-60",
        )
    return Stretch(match[1], int(match[2]), int(match[3] or match[2]))


def read_residues(path: Path, stretches: Sequence[Stretch] = ()) -> list[Residues]:
    """These stretches of the first model of a PDB or mmCIF file.

    If none are named, they are the middle of the longest helix (up to 14 residues) and of the
    longest strand (up to 9) in the file's own records (HELIX and SHEET, or their equivalents in
    mmCIF); of several equally long ones, the first.

    Raises
    ------
    UserError
        The file is not a model, it has no such chain or residues, or none were named and it has no
        such records.
    """
    structure = read_structure(path)
    chosen = list(stretches) or _usual(structure, path)
    return [_residues(structure[0], stretch, path) for stretch in chosen]


def _usual(structure: gemmi.Structure, path: Path) -> list[Stretch]:
    helices = [(helix.start, helix.end) for helix in structure.helices]
    strands = [(strand.start, strand.end) for sheet in structure.sheets for strand in sheet.strands]
    chosen = [*_longest(structure[0], helices, "helix"), *_longest(structure[0], strands, "strand")]
    if not chosen:
        raise UserError(
            "it has no records of helices or strands to choose from",
            where=path,
            do="say which residues with `region`",
        )
    return chosen


def _longest(
    model: gemmi.Model, ends: Sequence[tuple[gemmi.AtomAddress, gemmi.AtomAddress]], kind: str
) -> Iterator[Stretch]:
    """The middle of the longest stretch whose two ends are in one chain of the model; empty if
    there is none.
    """
    chains = {chain.name for chain in model}
    spans = [
        (start.chain_name, start.res_id.seqid.num, end.res_id.seqid.num)
        for start, end in ends
        if start.chain_name == end.chain_name and start.chain_name in chains
    ]
    known = [
        (chain, first, last)
        for chain, first, last in spans
        if first is not None and last is not None
    ]
    if known:
        chain, first, last = max(known, key=lambda span: span[2] - span[1])
        spare = max(0, last - first + 1 - _LONGEST[kind])
        yield Stretch(chain, first + spare // 2, last - (spare - spare // 2))


def _residues(model: gemmi.Model, stretch: Stretch, path: Path) -> Residues:
    chains = [chain for chain in model if chain.name == stretch.chain]
    if not chains:
        names = ", ".join(dict.fromkeys(chain.name for chain in model))
        raise UserError(
            f'it has no chain "{stretch.chain}"', where=path, wanted=f"Its chains are {names}"
        )
    numbered = [(residue.seqid.num or 0, residue) for chain in chains for residue in chain]
    atoms = [
        (number, residue.name, atom)
        for number, residue in numbered
        if stretch.first <= number <= stretch.last
        for atom in residue
        if not atom.element.is_hydrogen
    ]
    if not atoms:
        least, most = min(number for number, _ in numbered), max(number for number, _ in numbered)
        problem = f"chain {stretch.chain} has no residue from {stretch.first} to {stretch.last}"
        raise UserError(
            problem, where=path, wanted=f"Its residues have numbers from {least} to {most}"
        )
    position_A = np.array([atom.pos.tolist() for _, _, atom in atoms])
    return Residues(
        stretch,
        tuple(atom.element.name for _, _, atom in atoms),
        tuple(atom.name for _, _, atom in atoms),
        tuple(name for _, name, _ in atoms),
        tuple(number for number, _, _ in atoms),
        position_A,
        _around(model, position_A),
    )


def _around(model: gemmi.Model, position_A: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    everything_A = np.array(
        [site.atom.pos.tolist() for site in model.all() if not site.atom.element.is_hydrogen]
    )
    away_A = KDTree(position_A).query(everything_A)[0]
    return everything_A[(away_A > 0) & (away_A < _AROUND_A)]
