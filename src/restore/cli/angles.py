"""``restore angles``: how far apart two refinements put the same particles."""

import argparse
import csv
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from scipy.spatial.transform import Rotation

from restore.cli.options import group_of
from restore.cli.results import refuse_existing
from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable, write_text
from restore.io.particles import (
    Matches,
    Particles,
    coordinates_apart_px,
    is_cryosparc,
    match,
    read_particles,
)
from restore.io.star import Block, StarFile, write_star
from restore.particles.angles import (
    SHARES_BELOW_DEG,
    AngleSummary,
    AngularDistances,
    angular_distances,
    summary,
)
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.histograms import histogram
from restore.symmetry import KNOWN_GROUPS

log = logging.getLogger(__name__)

_TITLE_WIDTH = 70
_SUSPICIOUS = 0.5  # of the median that chance gives


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore angles``."""
    for name in ("first", "second"):
        parser.add_argument(
            name,
            type=Path,
            metavar=f"{name.upper()}",
            help="particles of a refinement: RELION STAR or cryoSPARC .cs or .csg file",
        )
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--sym",
        default="C1",
        metavar="GROUP",
        help=f"point group, as RELION has it: {KNOWN_GROUPS} (default: C1)",
    )
    group.add_argument(
        "--tolerance_px",
        type=float,
        default=5.0,
        metavar="X",
        help="how far apart the coordinates of a particle may be, in pixels of FIRST's micrographs, where particles are"
        " told by them and not by image name (default: 5)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("angles.star"),
        metavar="TABLE",
        help="table of particles, STAR or CSV by its ending; the figure and the settings go beside it"
        " (default: angles.star)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run"
    )


def run(namespace: argparse.Namespace) -> int:
    """Compare the two files, print the summary, write table and figure; the exit status comes back."""
    group = group_of(namespace.sym)
    if not namespace.tolerance_px >= 0:
        raise UsageError(
            f"--tolerance_px is {namespace.tolerance_px:g}",
            wanted="pixels, zero or more, are needed",
        )
    table = _table_path(namespace)
    figure, settings = table.with_suffix(".png"), table.with_suffix(".settings.json")
    _refuse_existing([table, figure, settings], namespace)
    first, second = read_particles(namespace.first), read_particles(namespace.second)
    matches = match(first, second, namespace.tolerance_px)
    distances = angular_distances(
        first.rotations_of(matches.first), second.rotations_of(matches.second), group
    )
    result = summary(distances, group)
    for doubt in _doubts(namespace, first, second, matches, result):
        log.warning("%s", doubt)
    inputs = {"first": namespace.first, "second": namespace.second}
    made = provenance({"sym": namespace.sym, "tolerance_px": namespace.tolerance_px}, inputs)
    write_text(settings, as_json(made) + "\n")
    _write_table(table, _columns(first, matches, distances))
    title = f"{_end(first.source)}\n{_end(second.source)}\nsymmetry {namespace.sym.upper()}"
    words = (title, "angular distance, degrees")
    save_png(
        histogram(distances.total_deg, result.median_deg, result.quartiles_deg, words, "°"), figure
    )
    print(_text(namespace.sym, group, (first, second), matches, result))
    print(f"{table}\n{figure}")
    return 0


def _end(path: str) -> str:
    """The end of a path that is too long for a title."""
    return path if len(path) <= _TITLE_WIDTH else f"…{path[-_TITLE_WIDTH:]}"


def _table_path(namespace: argparse.Namespace) -> Path:
    """The table: a STAR file where the name that was given has no ending that is known."""
    path: Path = namespace.output
    return path if path.suffix.lower() in {".star", ".csv"} else path.with_name(f"{path.name}.star")


def _refuse_existing(paths: Sequence[Path], namespace: argparse.Namespace) -> None:
    require_writable(paths[0].parent)
    inputs = {namespace.first.resolve(), namespace.second.resolve()}
    for path in paths:
        if path.resolve() in inputs:
            raise UserError(
                "the output would replace an input", where=path, do="give another --output"
            )
        refuse_existing([path], namespace.overwrite)


def _doubts(
    namespace: argparse.Namespace,
    first: Particles,
    second: Particles,
    matches: Matches,
    result: AngleSummary,
) -> Iterator[str]:
    """What would make the numbers mean something else than they seem to."""
    if 2 * len(matches.first) < min(len(first), len(second)):
        yield f"less than half of the particles were found in the other file, by {matches.way}"
    if is_cryosparc(namespace.first) or is_cryosparc(namespace.second):
        yield from _doubts_of_axes(namespace.sym.strip().upper())
    elif (apart_px := coordinates_apart_px(first, second, matches)) is not None:
        far = int((apart_px > namespace.tolerance_px).sum())
        if far:
            yield (
                f"{far} of the matched particles have coordinates more than {namespace.tolerance_px:g} pixels apart:"
                " do both files come from one extraction?"
            )
    if result.median_deg > _SUSPICIOUS * result.chance_median_deg:
        yield (
            f"the orientations hardly agree: their median distance is {result.median_deg:.1f}°, and chance gives"
            f" {result.chance_median_deg:.1f}°. Check --sym, and that both refinements began from one reference: maps that"
            " are turned or mirrored against each other cannot be compared so"
        )


def _doubts_of_axes(name: str) -> Iterator[str]:
    """Where a group of this name has other axes in cryoSPARC than in RELION: Dn with odd n."""
    fold = name[1:]
    if name.startswith("D") and fold.isdigit() and int(fold) > 1 and int(fold) % 2:
        yield (
            f"cryoSPARC puts the two-fold axis of {name} on y, RELION on x: for two cryoSPARC files give --sym DY{fold};"
            " a file of each can be compared only where the map was turned alike"
        )


def _columns(
    first: Particles, matches: Matches, distances: AngularDistances
) -> dict[str, list[str]]:
    """The table, a row for each matched particle in the order of the first file; rows are counted
    from one.
    """
    columns: dict[str, list[str]] = {}
    for label, names in (
        ("rlnImageName", first.image_names),
        ("rlnMicrographName", first.micrograph_names),
    ):
        if names is not None:
            columns[label] = [names[row] for row in matches.first]
    if first.coordinates_px is not None:
        for label, values in zip(
            ("rlnCoordinateX", "rlnCoordinateY"), first.coordinates_px[matches.first].T, strict=True
        ):
            columns[label] = [f"{value:.6f}" for value in values]
    columns["restoreRowFirst"] = [str(row + 1) for row in matches.first]
    columns["restoreRowSecond"] = [str(row + 1) for row in matches.second]
    for label, values in (
        ("restoreAngularDistanceDeg", distances.total_deg),
        ("restoreViewingDistanceDeg", distances.viewing_deg),
        ("restoreInPlaneDistanceDeg", distances.in_plane_deg),
    ):
        columns[label] = [f"{value:.6f}" for value in values]
    return columns


def _write_table(path: Path, columns: dict[str, list[str]]) -> None:
    rows = tuple(zip(*columns.values(), strict=True))
    if path.suffix.lower() == ".star":
        write_star(path, StarFile((Block("angles", tuple(columns), rows),)))
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([tuple(columns), *rows])
    write_text(path, text.getvalue())


def _text(
    name: str,
    group: Rotation,
    both: tuple[Particles, Particles],
    matches: Matches,
    result: AngleSummary,
) -> str:
    """The summary that is printed, in two columns."""
    rows = [("matched", f"{result.count} particles, by {matches.way}")]
    for word, each in zip(("first", "second"), both, strict=True):
        rows.append(
            (f"only in {word}", f"{len(each) - result.count} of {len(each)}, {each.source}")
        )
    rows += [
        ("symmetry", f"{name.upper()}, {len(group)} rotation{'s' * (len(group) > 1)}"),
        ("median", f"{result.median_deg:.3f}° (chance would give {result.chance_median_deg:.0f}°)"),
        ("quartiles", f"{result.quartiles_deg[0]:.3f}° and {result.quartiles_deg[1]:.3f}°"),
        ("mean", f"{result.mean_deg:.3f}°"),
    ]
    shares = zip(SHARES_BELOW_DEG, result.shares_below, strict=True)
    rows += [(f"below {limit_deg:g}°", f"{100 * share:.1f} %") for limit_deg, share in shares]
    rows += [
        ("median, viewing directions", f"{result.viewing_median_deg:.3f}°"),
        ("median, in plane", f"{result.in_plane_median_deg:.3f}°"),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {words}" for label, words in rows)
