"""Two refinements of the same particles compared by their orientations, from files to a table."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from scipy.spatial.transform import Rotation

from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable, write_text
from restore.io.csv_text import csv_text
from restore.io.outputs import refuse_existing
from restore.io.particles import (
    Matches,
    Particles,
    coordinates_apart_px,
    is_cryosparc,
    match,
    read_particles,
)
from restore.io.paths import resolved
from restore.io.star import Block, StarFile, write_star
from restore.particles.angles import AngleSummary, AngularDistances, angular_distances, summary
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.histograms import histogram
from restore.symmetry import point_group

log = logging.getLogger(__name__)

DEFAULT_NAME = "angles"
_BESIDE = (".png", ".settings.json")
_TITLE_WIDTH = 70
_SUSPICIOUS = 0.5  # share of the median for random orientations


@dataclass(frozen=True)
class AngleComparison:
    """The angular distances between two refinements, their statistics, and the files written.

    ``group`` holds the rotations of the point group that ``symmetry`` names.
    """

    first: Particles
    second: Particles
    matches: Matches
    symmetry: str
    group: Rotation
    distances: AngularDistances
    summary: AngleSummary
    files: tuple[Path, ...]


def compare_angles(
    first: Path,
    second: Path,
    *,
    symmetry: str = "C1",
    tolerance_px: float = 5.0,
    output: Path | None = None,
    overwrite: bool = False,
) -> AngleComparison:
    """Match the particles of two files, measure the angular distances, write table and figure.

    The table is STAR or CSV, according to the ending of ``output``. Without ``output`` it is
    ``angles.star`` in the working directory, or ``angles_2.star`` and so on if that exists.
    Coordinates up to ``tolerance_px`` apart (in pixels of the first file's micrographs) can belong
    to the same particle.

    Raises
    ------
    UserError
        A file is missing or unreadable, no particle is in both, the group is not known, or an
        output exists or would replace an input.
    """
    group = point_group(symmetry)
    if not tolerance_px >= 0:
        raise UsageError(
            f"tolerance_px is {tolerance_px:g}",
            field="tolerance_px",
            wanted="it must be 0 or more pixels",
        )
    table = _free_path(overwrite) if output is None else _with_ending(output)
    figure, record = (table.with_suffix(ending) for ending in _BESIDE)
    _refuse_outputs((table, figure, record), (first, second), overwrite)
    first_particles, second_particles = read_particles(first), read_particles(second)
    matches = match(first_particles, second_particles, tolerance_px)
    distances = angular_distances(
        first_particles.rotations_of(matches.first),
        second_particles.rotations_of(matches.second),
        group,
    )
    comparison = AngleComparison(
        first_particles,
        second_particles,
        matches,
        symmetry,
        group,
        distances,
        summary(distances, group),
        (table, figure),
    )
    for warning in _warnings(comparison, (first, second), tolerance_px):
        log.warning("%s", warning)
    settings = {"sym": symmetry, "tolerance_px": tolerance_px}
    write_text(record, as_json(provenance(settings, {"first": first, "second": second})) + "\n")
    _write_table(table, _columns(comparison))
    _save_histogram(comparison, figure)
    return comparison


def _free_path(overwrite: bool) -> Path:
    """The first of angles.star, angles_2.star … none of whose files exists."""
    for number in count(1):
        stem = Path(DEFAULT_NAME if number == 1 else f"{DEFAULT_NAME}_{number}")
        if overwrite or not any(stem.with_suffix(end).exists() for end in (".star", *_BESIDE)):
            return stem.with_suffix(".star")
    raise AssertionError("all file names are taken")


def _with_ending(path: Path) -> Path:
    """The path of the table: a STAR file where its name has no known ending."""
    return path if path.suffix.lower() in {".star", ".csv"} else path.with_name(f"{path.name}.star")


def _refuse_outputs(outputs: Sequence[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    require_writable(outputs[0].parent)
    sources = {resolved(path) for path in inputs}
    for path in outputs:
        if resolved(path) in sources:
            raise UserError(
                "the output would replace an input",
                where=path,
                do="choose another `output`",
            )
    refuse_existing(outputs, overwrite)


def _warnings(
    comparison: AngleComparison, paths: Sequence[Path], tolerance_px: float
) -> Iterator[str]:
    """Reasons why the numbers could mislead."""
    first, second, matches = comparison.first, comparison.second, comparison.matches
    if 2 * len(matches.first) < min(len(first), len(second)):
        yield (
            "less than half of the particles were found in the other file, matched by "
            f"{matches.way}"
        )
    if any(is_cryosparc(path) for path in paths):
        yield from _warnings_of_axes(comparison.symmetry.strip().upper())
    elif (apart_px := coordinates_apart_px(first, second, matches)) is not None:
        far = int((apart_px > tolerance_px).sum())
        if far:
            yield (
                f"{far} of the matched particles have coordinates that are more than "
                f"{tolerance_px:g} pixels apart: do both files come from the same extraction?"
            )
    statistics = comparison.summary
    if statistics.median_deg > _SUSPICIOUS * statistics.chance_median_deg:
        yield (
            "the orientations hardly agree: their median angular distance is "
            f"{statistics.median_deg:.1f}°, and that of random orientations is "
            f"{statistics.chance_median_deg:.1f}°. Check `symmetry`, and that both refinements "
            "started from the same reference: orientations cannot be compared if the maps are "
            "rotated or mirrored relative to each other"
        )


def _warnings_of_axes(name: str) -> Iterator[str]:
    """A warning for groups whose axes cryoSPARC and RELION place differently: Dn with odd n."""
    fold = name[1:]
    if name.startswith("D") and fold.isdigit() and int(fold) > 1 and int(fold) % 2:
        yield (
            f"cryoSPARC puts the two-fold axis of {name} on y, RELION on x: for two cryoSPARC "
            f"files give `symmetry=DY{fold}`; a file from RELION and one from cryoSPARC can be "
            "compared only if both maps have the same orientation"
        )


def _columns(comparison: AngleComparison) -> dict[str, list[str]]:
    """The table, a row for each matched particle in the order of the first file; row numbers count
    from one.
    """
    first, matches, distances = comparison.first, comparison.matches, comparison.distances
    columns: dict[str, list[str]] = {}
    for label, names in (
        ("rlnImageName", first.image_names),
        ("rlnMicrographName", first.micrograph_names),
    ):
        if names is not None:
            columns[label] = [names[row] for row in matches.first]
    numbers: dict[str, Iterable[float]] = {}
    if first.coordinates_px is not None:
        numbers["rlnCoordinateX"], numbers["rlnCoordinateY"] = first.coordinates_px[matches.first].T
    columns |= _texts(numbers)
    columns["restoreRowFirst"] = [str(row + 1) for row in matches.first]
    columns["restoreRowSecond"] = [str(row + 1) for row in matches.second]
    return columns | _texts(
        {
            "restoreAngularDistanceDeg": distances.total_deg,
            "restoreViewingDistanceDeg": distances.viewing_deg,
            "restoreInPlaneDistanceDeg": distances.in_plane_deg,
        }
    )


def _texts(columns: Mapping[str, Iterable[float]]) -> dict[str, list[str]]:
    return {label: [f"{value:.6f}" for value in values] for label, values in columns.items()}


def _write_table(path: Path, columns: dict[str, list[str]]) -> None:
    rows = tuple(zip(*columns.values(), strict=True))
    if path.suffix.lower() == ".star":
        write_star(path, StarFile((Block("angles", tuple(columns), rows),)))
        return
    write_text(path, csv_text([tuple(columns), *rows]))


def _save_histogram(comparison: AngleComparison, path: Path) -> None:
    sources = [_shortened(side.source) for side in (comparison.first, comparison.second)]
    title = "\n".join([*sources, f"symmetry {comparison.symmetry.upper()}"])
    statistics = comparison.summary
    figure = histogram(
        comparison.distances.total_deg,
        statistics.median_deg,
        statistics.quartiles_deg,
        (title, "angular distance, degrees"),
        "°",
    )
    save_png(figure, path)


def _shortened(path: str) -> str:
    """The end of a path that is too long for a title."""
    return path if len(path) <= _TITLE_WIDTH else f"…{path[-_TITLE_WIDTH:]}"
