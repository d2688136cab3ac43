"""STAR files of RELION 3 to 5 that do not list micrographs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from restore.commands import CommandLine
from restore.inspection.commands import compare_halves, inspect_file
from restore.inspection.findings import Findings, counted
from restore.io.paths import Places, resolved
from restore.io.star import Block, StarFile

_MOST_SHOWN = 5
_JOB_TYPES = ("rlnJobTypeLabel", "rlnJobType")
_FILE_COLUMNS = (
    "rlnPipeLineNodeName",
    "rlnExperimentalDataStarFile",
    "rlnModelStarFile",
    "rlnTomoParticlesFile",
    "rlnTomoTomogramsFile",
    "rlnTomoTrajectoriesFile",
)
"""Columns that name other STAR files worth inspecting."""

_BLOCKS = {
    "job": "the settings of a RELION job",
    "pipeline_general": "a RELION pipeline",
    "pipeline_nodes": "a RELION pipeline",
    "output_nodes": "the outputs of a RELION job",
    "scheme_general": "a RELION scheme",
    "schedule_general": "a RELION schedule",
    "optimiser_general": "the optimiser of a RELION refinement",
    "model_general": "the model of a RELION refinement",
    "sampling_general": "the sampling of a RELION refinement",
}
"""Kinds of file by a block that they have; both RELION 3 and 5 write ``data_model_general``."""

_COLUMNS = (
    ("rlnTomoParticlesFile", "a set of tomography files (RELION's optimisation set)"),
    ("rlnMicrographCoordinates", "a list of coordinate files, from RELION's picking"),
    ("rlnMicrographShiftX", "the motion of one movie, from RELION"),
    ("rlnReferenceImage", "class averages, from RELION's classification or selection"),
    ("rlnMtfValue", "the transfer function (MTF) of a detector"),
)
"""Kinds of file by a column that they have."""


def inspect_relion_file(path: Path, star: StarFile) -> Findings | None:
    """The findings on a file of RELION that lists neither micrographs nor particles; None if it is
    of an unknown kind.
    """
    names = {block.name for block in star.blocks}
    columns = {column for block in star.blocks for column in block.columns}
    for kind in _KINDS:
        if kind.has <= columns and not kind.lacks & columns:
            return kind.inspect(path, star)
    what = next((what for block, what in _BLOCKS.items() if block in names), "")
    what = what or next((what for column, what in _COLUMNS if column in columns), "")
    if not what:
        return None
    facts = [*_job_type(star), *block_facts(star)]
    if what.startswith("the motion"):
        facts.append(("note", "restore halves reads it together with its micrograph"))
    return Findings(what, tuple(facts), _files_named(path, star))


def block_facts(star: StarFile) -> tuple[tuple[str, str], ...]:
    """The numbers of rows and columns of each block, and of optics groups."""
    facts: list[tuple[str, str]] = []
    for block in star.blocks:
        if block.name == "optics":
            facts.append(("optics groups", _optics_words(block)))
        else:
            size = f"{counted(len(block.rows), 'row')}, {counted(len(block.columns), 'column')}"
            facts.append((f"data_{block.name}", size))
    return tuple(facts)


def _optics_words(block: Block) -> str:
    if "rlnOpticsGroupName" not in block.columns:
        return str(len(block.rows))
    names = block.column("rlnOpticsGroupName")
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:_MOST_SHOWN])}{more}"


def _job_type(star: StarFile) -> list[tuple[str, str]]:
    job = star.block("job")
    if job is None:
        return []
    return [("job type", job.column(name)[0]) for name in _JOB_TYPES if name in job.columns][:1]


def _files_named(path: Path, star: StarFile) -> tuple[CommandLine, ...]:
    """Commands that inspect the existing STAR files named by this one."""
    places = Places.of_star(path)
    names = (
        name
        for block in star.blocks
        for column in _FILE_COLUMNS
        if column in block.columns
        for name in block.column(column)
        if name.endswith(".star")
    )
    files = dict.fromkeys(places.find(name) for name in names)
    there = [file for file in files if file is not None and resolved(file) != resolved(path)]
    return tuple(inspect_file(file) for file in there[-_MOST_SHOWN:])


def _inspect_postprocess(path: Path, star: StarFile) -> Findings:
    """A result of relion_postprocess: its resolution and its half maps."""
    general = star.block("general")
    values = (
        dict(zip(general.columns, general.rows[0], strict=True))
        if general is not None and general.rows
        else {}
    )
    facts = list(block_facts(star))
    if "rlnFinalResolution" in values:
        facts.insert(0, ("resolution", f"{float(values['rlnFinalResolution']):.4g} Å"))
    places = Places.of_star(path)
    halves = [places.find(values.get(f"rlnUnfilteredMapHalf{half}", "")) for half in (1, 2)]
    mask = places.find(values.get("rlnMaskName", ""))
    what = "a RELION postprocess result"
    if halves[0] is None or halves[1] is None:
        needs = ("its half maps, which are not where it says, for restore fsc",)
        return Findings(what, tuple(facts), needs=needs)
    return Findings(what, tuple(facts), (compare_halves(halves[0], halves[1], mask),))


def _inspect_picking_summary(_path: Path, star: StarFile) -> Findings:
    """The numbers of particles that RELION picked in each micrograph."""
    block = next(block for block in star.blocks if "rlnGroupNrParticles" in block.columns)
    picked = sum(int(float(count)) for count in block.column("rlnGroupNrParticles"))
    facts = (("micrographs", str(len(block.rows))), ("picked", counted(picked, "particle")))
    return Findings("a summary of RELION's picking", facts)


def _inspect_coordinates(_path: Path, star: StarFile) -> Findings:
    """Coordinates of particles in one micrograph, from RELION's manual or automatic picking."""
    rows = next(block for block in star.blocks if "rlnCoordinateX" in block.columns).rows
    facts = (("particles", str(len(rows))), *block_facts(star))
    return Findings("particle coordinates of one micrograph", facts)


def _inspect_movies(_path: Path, star: StarFile) -> Findings:
    """Movies that are not aligned yet."""
    need = "their motion correction: restore halves takes the STAR file that RELION's job writes"
    return Findings("a list of movies", block_facts(star), needs=(need,))


def _inspect_tilt_stacks(_path: Path, star: StarFile) -> Findings:
    """RELION 4's tomograms: a table of them, and a block with the projections of each."""
    table = next(block for block in star.blocks if "rlnTomoTiltSeriesName" in block.columns)
    images = sum(len(block.rows) for block in star.blocks if "rlnTomoProjX" in block.columns)
    series = counted(len(table.rows), "tilt series", "tilt series")
    facts = (("tilt series", f"{series}, {counted(images, 'image')}"),)
    need = "tilt images in files of their own, as RELION 5 lists them; these are in stacks"
    return Findings("tomograms (RELION 4)", facts, needs=(need,))


def _inspect_one_series(path: Path, star: StarFile) -> Findings:
    """The tilt images of one series of RELION 5."""
    block = next(block for block in star.blocks if "rlnTomoNominalStageTiltAngle" in block.columns)
    facts = (("tilt images", str(len(block.rows))), *block_facts(star))
    table = next(
        (
            candidate
            for candidate in sorted(resolved(path).parent.parent.glob("*.star"))
            if "tilt_series" in candidate.name or "tomograms" in candidate.name
        ),
        None,
    )
    what, name = "one tilt series (RELION 5)", block.name
    if table is None:
        need = f"the table of all series, which names this one ({name}) and has its pixel size"
        return Findings(what, facts, needs=(need,))
    return Findings(what, facts, (inspect_file(table),))


@dataclass(frozen=True)
class _Kind:
    """A kind of file, recognised by the columns that it has and those that it lacks."""

    inspect: Callable[[Path, StarFile], Findings]
    has: frozenset[str]
    lacks: frozenset[str] = frozenset()


_KINDS = (
    _Kind(_inspect_postprocess, frozenset({"rlnFourierShellCorrelationCorrected"})),
    _Kind(_inspect_postprocess, frozenset({"rlnFinalResolution", "rlnUnfilteredMapHalf1"})),
    _Kind(
        _inspect_picking_summary,
        frozenset({"rlnGroupNrParticles", "rlnMicrographName"}),
        frozenset({"rlnGroupName", "rlnGroupNumber"}),
    ),
    _Kind(
        _inspect_tilt_stacks,
        frozenset({"rlnTomoTiltSeriesName"}),
        frozenset({"rlnTomoTiltSeriesStarFile"}),
    ),
    _Kind(
        _inspect_one_series,
        frozenset({"rlnTomoNominalStageTiltAngle"}),
        frozenset({"rlnTomoTiltSeriesStarFile"}),
    ),
    _Kind(
        _inspect_coordinates,
        frozenset({"rlnCoordinateX"}),
        frozenset({"rlnImageName", "rlnMicrographName", "rlnTomoName"}),
    ),
    _Kind(
        _inspect_movies,
        frozenset({"rlnMicrographMovieName"}),
        frozenset({"rlnMicrographName", "rlnTomoTiltSeriesStarFile", "rlnMicrographShiftX"}),
    ),
)
