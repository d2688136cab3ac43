"""``restore structure``: raw and denoised images of the same particles, compared by the structures
that they give.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from restore.cli.options import add_settings, settings_from
from restore.cli.progress import Bar
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.report.structure_file import FILE_NAME
from restore.runtime.memory import keep_heap
from restore.structure.comparison import PAGE_NAME, compare_structures
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.summary import CAUTION

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore structure``."""
    group = parser.add_argument_group("input")
    particles = "RELION STAR or cryoSPARC .cs or .csg file"
    group.add_argument(
        "--raw_particles",
        type=Path,
        required=True,
        metavar="STAR",
        help=f"particles refined on raw images, e.g. Refine3D/job012/run_data.star ({particles})",
    )
    group.add_argument(
        "--denoised_particles",
        type=Path,
        metavar="STAR",
        help="the same particles, refined on denoised images",
    )
    group.add_argument(
        "--denoised_micrographs",
        metavar="STAR",
        help="to extract particles from: the table of restore denoise, a folder, or a pattern (default:"
        " the images that the particles name)",
    )
    group.add_argument(
        "--raw_micrographs",
        metavar="STAR",
        help="where the raw ones are, or their table, if the particles do not say",
    )
    group.add_argument(
        "--mask", type=Path, metavar="MASK", help="soft mask for every FSC, from 0 (solvent) to 1"
    )
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="atomic model (PDB, mmCIF) that lies in the map: map-model FSC",
    )
    _add_truth(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output_directory",
        "-o",
        type=Path,
        default=Path("structure"),
        metavar="FOLDER",
        help="(default: structure); a rerun does what is missing or stale",
    )
    output.add_argument("--overwrite", action="store_true", help="do every stage again")
    add_settings(parser, "comparison", StructureSettings)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("truth (simulations)")
    group.add_argument(
        "--truth_map", type=Path, metavar="MAP", help="the true map: FSC of each map against it"
    )
    group.add_argument(
        "--truth_particles",
        type=Path,
        metavar="STAR",
        help="the true orientations: angular error of each refinement",
    )


def run(namespace: argparse.Namespace) -> int:
    """Compare, write everything, print the summary; the exit status comes back."""
    settings = settings_from(namespace, StructureSettings)
    inputs = StructureInputs(
        **{name: getattr(namespace, name) for name in StructureInputs.__dataclass_fields__}
    )
    folder: Path = namespace.output_directory
    keep_heap()
    _refuse_missing(inputs)
    require_writable(folder)
    log.warning("%s", CAUTION)
    card = compare_structures(inputs, settings, folder, Bar, namespace.overwrite)
    print(_text(card))
    print(folder / FILE_NAME, folder / PAGE_NAME, sep="\n")
    return 0


def _refuse_missing(inputs: StructureInputs) -> None:
    for path in (value for value in vars(inputs).values() if isinstance(value, Path)):
        if not path.is_file():
            raise UserError("there is no such file", where=path, do="check the name")


def _text(card: dict[str, Any]) -> str:
    """The table of maps and the summary, in plain lines."""
    rows: list[tuple[str, ...]] = [("map", "half maps 0.143", "truth 0.5", "model 0.5")]
    for name, each in card["reconstructions"].items():
        half = each["fsc"]["crossings"]["0.143"]["words"]
        others = [
            each[key]["crossings"]["0.5"]["words"] if each.get(key) else "-"
            for key in ("truth", "model")
        ]
        rows.append((name, half, *others))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *card["summary"]])
