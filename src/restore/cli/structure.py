"""``restore structure``: compare raw and denoised images of the same particles by the structures
obtained from them.
"""

import argparse
import logging
from pathlib import Path

from restore.cli.main import as_typed
from restore.cli.maps import add_mask_option
from restore.cli.options import add_output_directory_option, add_settings, settings_from
from restore.cli.progress import Bar
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.report.structure_words import CAUTION
from restore.runtime.memory import tune_malloc
from restore.structure.comparison import PAGE_NAME, compare_structures
from restore.structure.records import FILE_NAME, Correlation, Structure
from restore.structure.settings import StructureInputs, StructureSettings

log = logging.getLogger(__name__)

_PARTICLES = "RELION STAR or cryoSPARC .cs or .csg file"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore structure``."""
    _add_inputs(parser.add_argument_group("input"))
    group = parser.add_argument_group("truth (simulations)")
    group.add_argument(
        "--truth_map",
        type=Path,
        metavar="MAP",
        help=("true map, against which the FSC of each map is computed"),
    )
    group.add_argument(
        "--truth_particles",
        type=Path,
        metavar="STAR",
        help="true orientations, from which the angular error of each refinement is computed",
    )
    group = parser.add_argument_group("output")
    add_output_directory_option(
        group,
        "folder of the results (default: structure); a rerun repeats only missing or outdated "
        "stages",
        Path("structure"),
    )
    group.add_argument("--overwrite", action="store_true", help="repeat every stage")
    add_settings(parser, "comparison", StructureSettings)


def _add_inputs(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--raw_particles",
        type=Path,
        required=True,
        metavar="STAR",
        help=f"particles refined on raw images, e.g. Refine3D/job012/run_data.star ({_PARTICLES})",
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
        help=(
            "denoised micrographs from which particles are extracted: the table written by "
            "restore denoise, a folder, or a pattern (default: the images that the particles name)"
        ),
    )
    group.add_argument(
        "--raw_micrographs",
        metavar="STAR",
        help="raw micrographs: a table, folder or pattern (default: those that the particles name)",
    )
    add_mask_option(group, "soft mask for every FSC, from 0 (solvent) to 1")
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="atomic model (PDB, mmCIF) fitted into the map, for the map-model FSC",
    )


def run(namespace: argparse.Namespace) -> int:
    """Compare, write everything, print the summary; returns the exit status."""
    settings = settings_from(namespace, StructureSettings)
    inputs = StructureInputs(
        **{name: getattr(namespace, name) for name in StructureInputs.__dataclass_fields__}
    )
    folder: Path = namespace.output_directory
    tune_malloc()
    _refuse_missing(inputs)
    require_writable(folder)
    log.warning("%s", CAUTION)
    structure = compare_structures(
        inputs, settings, folder, Bar, namespace.overwrite, as_typed=as_typed
    )
    print(_words(structure), folder / FILE_NAME, folder / PAGE_NAME, sep="\n")
    return 0


def _refuse_missing(inputs: StructureInputs) -> None:
    for path in (value for value in vars(inputs).values() if isinstance(value, Path)):
        if not path.is_file():
            raise UserError("there is no such file", where=path, do="check the name")


def _words(structure: Structure) -> str:
    """The table of maps and the summary, in plain lines."""
    rows: list[tuple[str, ...]] = [("map", "half maps 0.143", "truth 0.5", "model 0.5")]
    for name, result in structure.reconstructions.items():
        at_half = (_at_half(result.truth), _at_half(result.model))
        rows.append((name, result.fsc.crossings["0.143"].words, *at_half))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *structure.summary])


def _at_half(correlation: Correlation | None) -> str:
    return "-" if correlation is None else correlation.crossings["0.5"].words
