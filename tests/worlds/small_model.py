"""A model of two chains for tests, and maps with its density, written by gemmi."""

import gemmi
import numpy as np

BOX_A, VOXEL_A = 64.0, 1.0
HELIX, STRAND, OTHER = range(1, 21), range(30, 36), range(1, 9)


def helix_A(number):
    """N, CA, C, O and CB of one residue of a helix about the line y = 34, z = 30 that goes towards
    +x.
    """
    rows = ((1.55, -28, -0.9), (2.28, 0, 0.0), (1.68, 26, 1.1), (2.03, 23, 2.3), (3.3, -19, -0.2))
    for distance_A, angle_deg, height_A in rows:
        angle = np.deg2rad(angle_deg + 100 * number)
        yield (
            12 + height_A + 1.5 * number,
            34 + distance_A * np.sin(angle),
            30 + distance_A * np.cos(angle),
        )


def strand_A(number, height_A):
    """The same of a strand along +x."""
    along_A, side = 16 + 3.3 * (number % 30), (-1) ** number
    for right_A, up_A, out_A in (
        (-1.2, 0.4, 0.0),
        (0, -0.4, 0.0),
        (1.2, 0.4, 0.0),
        (1.2, 1.6, 0.0),
        (0, -1.2, 1.2),
    ):
        yield along_A + right_A, 14 + side * up_A, height_A + side * out_A


def residues():
    """Chain, number, place of its atoms."""
    yield from (("A", number, list(helix_A(number))) for number in HELIX)
    yield from (("A", number, list(strand_A(number, 20))) for number in STRAND)
    yield from (("B", number, list(strand_A(number, 45))) for number in OTHER)


def write_model(path, records=True):
    """A PDB file: chain A has a helix 1–20 and a strand 30–35, chain B a strand 1–8."""
    lines = []
    if records:
        lines += [
            "HELIX    1   1 ALA A    1  ALA A   20  1                                  20    ",
            "HELIX    2   2 ALA A    3  ALA A    6  1                                   4    ",
            "SHEET    1   A 2 ALA A  30  ALA A  35  0                                        ",
            "SHEET    2   A 2 ALA B   1  ALA B   8  1                                        ",
        ]
    serial = 0
    for chain, number, places in residues():
        for name, place in zip(("N", "CA", "C", "O", "CB"), places, strict=True):
            serial += 1
            x, y, z = place
            lines.append(
                f"ATOM  {serial:5d}  {name:<3} ALA {chain}{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f} "
                f" 1.00 20.00           {name[0]}"
            )
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def write_density(path, model, factor=1.0):
    """The model's density at about 4 Å on a cube of 64 Å, as gemmi computes and writes it."""
    calculator = gemmi.DensityCalculatorE()
    calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
    calculator.grid.set_unit_cell(gemmi.UnitCell(BOX_A, BOX_A, BOX_A, 90, 90, 90))
    calculator.grid.set_size(*[round(BOX_A / VOXEL_A)] * 3)
    calculator.blur = 60.0
    calculator.put_model_density_on_grid(gemmi.read_structure(str(model))[0])
    calculator.grid.array[:] *= factor
    written = gemmi.Ccp4Map()
    written.grid = calculator.grid
    written.update_ccp4_header(2)
    written.write_ccp4_map(str(path))
    return path
