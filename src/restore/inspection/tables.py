"""STAR files and cryoSPARC's tables."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from restore.errors import UserError
from restore.inspection.findings import Findings, number, some, span, unusable
from restore.inspection.images import crop_words
from restore.io.file_checks import HALVES, check_files
from restore.io.images.image import image_shape
from restore.io.micrographs import MicrographSet, Needs, Suffixes, read_micrographs
from restore.io.particles import read_particles
from restore.io.star import StarFile, read_star
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe

_PARTICLES, _POSES, _SHIFTS = (
    ("rlnImageName", "rlnCoordinateX"),
    "rlnAngleRot",
    "rlnMicrographShiftX",
)
_MICROGRAPHS = ("rlnMicrographName", "rlnTomoTiltSeriesStarFile")
_BLOCKS = {
    "job": "the settings of a RELION job",
    "pipeline_general": "a RELION pipeline",
    "optimiser_general": "the optimiser of a RELION refinement",
    "model_general": "the model of a RELION refinement",
    "sampling_general": "the sampling of a RELION refinement",
}
_OTHERS = {
    _SHIFTS: (
        "the motion of one movie, from RELION",
        "restore halves reads it together with its micrograph",
    ),
    "rlnMicrographMovieName": (
        "a list of movies",
        "align them first: restore halves takes MotionCorr's STAR file",
    ),
    "rlnFourierShellCorrelationCorrected": (
        "a RELION postprocess result",
        "restore fsc draws its own",
    ),
}


def inspect_star(path: Path, recipe: Recipe) -> Findings:
    """A STAR file: micrographs, tilt series, particles, or what else RELION keeps in them. Raises
    UserError.
    """
    star = read_star(path)
    what = _relion_kind(star)
    if what:
        return Findings(what, _block_facts(star))
    columns = {column for block in star.blocks for column in block.columns}
    if columns & set(_PARTICLES) and _SHIFTS not in columns:
        return _inspect_particles(path, _POSES in columns)
    if columns & set(_MICROGRAPHS) and _SHIFTS not in columns:
        return _inspect_micrographs(path, recipe, _block_facts(star))
    for column, (what, command) in _OTHERS.items():
        if column in columns:
            return Findings(what, (*_block_facts(star), ("note", command)))
    return Findings("a STAR file of another type", _block_facts(star))


def _relion_kind(star: StarFile) -> str:
    """What a file of RELION's that lists no images is, empty where it is none of those."""
    names = {block.name for block in star.blocks}
    for block, what in _BLOCKS.items():
        if block in names:
            return what
    columns = {column for block in star.blocks for column in block.columns}
    if "rlnMicrographCoordinates" in columns:
        return "a list of coordinate files, from RELION's picking"
    if "rlnCoordinateX" in columns and not columns & {"rlnImageName", "rlnMicrographName"}:
        return "particle coordinates of one micrograph"
    return ""


def inspect_cryosparc(path: Path, recipe: Recipe) -> Findings:
    """A table of cryoSPARC's: exposures or particles. Raises UserError."""
    try:
        return _inspect_particles(path, True)
    except UserError as no_particles:
        findings = _inspect_micrographs(path, recipe, ())
        if not findings.facts:
            problem = f"As particles: {no_particles}"
            return Findings(
                "a cryoSPARC table that cannot be used", problems=(*findings.problems, problem)
            )
        return findings


def _block_facts(star: StarFile) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"data_{block.name}", f"{len(block.rows)} rows, {len(block.columns)} columns")
        for block in star.blocks
    )


def _inspect_particles(path: Path, have_poses: bool) -> Findings:
    if not have_poses:
        note = ("note", "restore angles needs a refinement's particles")
        return Findings("a list of particles without orientations", (note,))
    particles = read_particles(path)
    facts = [("particles", str(len(particles)))]
    if particles.micrograph_names is not None:
        facts.append(("micrographs", str(len(set(particles.micrograph_names)))))
    if particles.image_pixel_size_A is not None:
        facts.append(("pixel size", span(particles.image_pixel_size_A.tolist(), "Å")))
    if particles.half_sets is not None:
        sizes = Counter(particles.half_sets.tolist())
        facts.append(
            ("half sets", " and ".join(str(sizes[half_set]) for half_set in sorted(sizes)))
        )
    return Findings(
        "particles with orientations", tuple(facts), (f"restore angles {path} OTHER_REFINEMENT",)
    )


def _inspect_micrographs(
    path: Path, recipe: Recipe, blocks: tuple[tuple[str, str], ...]
) -> Findings:
    what = "a list of micrographs"
    try:
        chosen = read_micrographs(path, Suffixes(), needs=Needs(ctf=False))
    except UserError as error:
        findings = unusable(what, error)
        return Findings(findings.what, blocks, problems=findings.problems)
    micrographs = chosen.micrographs
    good, problems = check_files(micrographs)
    paired, half_problems = check_files(good, ("image", *HALVES))
    pixels = span((micrograph.pixel_size_A for micrograph in micrographs), "Å")
    facts = [
        *blocks,
        ("images", f"{len(good)} of {len(micrographs)} are there and readable"),
        ("halves", f"{len(paired)} of {len(micrographs)} have both"),
        ("pixel size", pixels),
        ("CTF", _ctf_words(micrographs)),
    ]
    wrong = [problem.message for problem in problems]
    if paired and half_problems:
        wrong += [problem.message for problem in half_problems]
    size_facts, size_problems = _sizes(good, recipe)
    commands = _commands(path, chosen, bool(good), bool(paired), recipe)
    return Findings(
        what,
        tuple(facts + size_facts),
        commands,
        some([*wrong, *size_problems, *_ctf_problems(path, micrographs, recipe)]),
    )


def _ctf_words(micrographs: Sequence[Micrograph]) -> str:
    ctfs = [micrograph.ctf for micrograph in micrographs if micrograph.ctf is not None]
    if not ctfs:
        return "none"
    defocus = span(((ctf.defocus_u_A + ctf.defocus_v_A) / 2e4 for ctf in ctfs), "µm")
    voltage = span((ctf.voltage_kV for ctf in ctfs), "kV")
    return (
        f"of {len(ctfs)}: defocus {defocus}, {voltage}, Cs "
        f"{span((c.spherical_aberration_mm for c in ctfs), 'mm')}"
    )


def _ctf_problems(path: Path, micrographs: Sequence[Micrograph], recipe: Recipe) -> list[str]:
    """Why phases cannot be flipped, where they are to be: what is said where a CTF is asked for and
    is not there.
    """
    if not recipe.phase_flip or all(micrograph.ctf for micrograph in micrographs):
        return []
    try:
        read_micrographs(path, needs=Needs(ctf=True))
    except UserError as error:
        return [str(error)]
    return []


def _sizes(
    micrographs: Sequence[Micrograph], recipe: Recipe
) -> tuple[list[tuple[str, str]], list[str]]:
    """Shapes and pixel sizes: how many images have each, and what the network sees of it."""
    kinds = Counter(
        (image_shape(micrograph.image), micrograph.pixel_size_A) for micrograph in micrographs
    )
    facts: list[tuple[str, str]] = []
    problems: list[str] = []
    for ((rows, columns), pixel_A), count in kinds.most_common():
        words, problem = crop_words((rows, columns), pixel_A, recipe)
        facts.append(
            (
                "size",
                f"{count} of {columns} × {rows} pixels of {number(pixel_A)} "
                f"Å{', cropped to ' * bool(words)}{words}",
            )
        )
        problems += [problem] if problem else []
    return facts, problems


def _commands(
    path: Path, chosen: MicrographSet, good: bool, paired: bool, recipe: Recipe
) -> tuple[str, ...]:
    flip = (
        ""
        if any(micrograph.ctf for micrograph in chosen.micrographs) or not recipe.phase_flip
        else " --dont_phaseflip"
    )
    if not good:
        return ()
    denoise = f"restore denoise -m {path} -p MODEL"
    if paired:
        return (f"restore train -m {path}{flip}", denoise, f"restore evaluate -m {path} -p MODEL")
    return (denoise, f"restore halves -m {path}")
