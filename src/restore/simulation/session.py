"""A session: micrographs, their halves and truth, and the STAR files that a CTF program and a picker would leave."""

import dataclasses
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import mrcfile

from restore.errors import UserError
from restore.io.atomic import replacing, write_text
from restore.io.images import write_image
from restore.io.star import Block, StarFile, write_star
from restore.simulation.microscope import Exposure, Particles, SimulationSettings, expose
from restore.simulation.specimen import Specimen, load_specimen, transform

log = logging.getLogger(__name__)

IMAGE_FOLDER = "Micrographs"
SUFFIXES = ("DW", "EVN", "ODD", "TRUTH")
SETTINGS_NAME, CTF_STAR_NAME, PARTICLE_STAR_NAME = "simulation.json", "micrographs_ctf.star", "particles.star"
_LABEL = "restore simulate: made by a program, not by a microscope"
_SMALLEST_PX = 32


def simulate(
    settings: SimulationSettings,
    folder: Path,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a session of simulated micrographs into ``folder``; the path of its ``micrographs_ctf.star`` comes back.

    For each micrograph n: ``Micrographs/mic_000n_DW.mrc`` (counts of all frames), ``_EVN``, ``_ODD`` (counts of the
    halves; they sum to DW exactly) and ``_TRUTH`` (the counts to be expected, CTF applied). Beside them
    ``micrographs_ctf.star`` and ``particles.star`` (RELION 3.1; paths relative to ``folder``; particles whose centre
    is in the image), ``specimen.mrc`` (volts above ice) and ``simulation.json``. The STAR files are written last.
    ``progress`` is called with (done, all) after each micrograph.

    Raises
    ------
    UserError
        A setting is out of range, the specimen cannot be read, or the folder holds a session and ``overwrite`` is
        false. Nothing has been written then.
    """
    check_settings(settings)
    specimen = load_specimen(settings.specimen, settings.pixel_size_A)
    _clear(folder, overwrite)
    write_text(folder / SETTINGS_NAME, json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    write_map(folder / "specimen.mrc", specimen)
    ready, optics = transform(specimen), _optics(settings)
    ctf_rows: list[dict[str, str]] = []
    particle_rows: list[dict[str, str]] = []
    for index in range(settings.micrographs):
        exposure = expose(settings, ready, index)
        name = write_exposure(exposure, folder, index, settings.pixel_size_A)
        ctf_rows.append({"rlnMicrographName": name, "rlnOpticsGroup": "1"} | _ctf_columns(exposure))
        particle_rows += _particle_rows(name, exposure.particles)
        log.info("%s: %d particles, defocus %.0f Å", name, len(exposure.particles.euler_deg), exposure.ctf.defocus_u_A)
        if progress is not None:
            progress(index + 1, settings.micrographs)
    write_star(folder / PARTICLE_STAR_NAME, StarFile((optics, _table("particles", particle_rows, _PARTICLE_COLUMNS))))
    write_star(folder / CTF_STAR_NAME, StarFile((optics, _table("micrographs", ctf_rows, tuple(ctf_rows[0])))))
    return folder / CTF_STAR_NAME


def write_map(path: Path, specimen: Specimen) -> None:
    """Write a specimen as an MRC volume (z, y, x) in volts above ice, without its empty margin, whole or not at all."""
    middle, half = len(specimen.density) // 2, math.ceil(specimen.diameter_A / specimen.pixel_size_A / 2 + 2)
    inner = slice(max(middle - half, 0), middle + half)
    with replacing(path) as partial, mrcfile.new(partial) as file:
        file.set_data(specimen.density[inner, inner, inner])
        file.voxel_size = specimen.pixel_size_A
        file.add_label(_LABEL)


def write_exposure(exposure: Exposure, folder: Path, index: int, pixel_size_A: float) -> str:
    """Write the four images of micrograph ``index`` (from zero); the name of its full sum, relative to ``folder``."""
    stem = f"{IMAGE_FOLDER}/mic_{index + 1:04d}"
    images = (exposure.full, exposure.even, exposure.odd, exposure.truth)
    for suffix, image in zip(SUFFIXES, images, strict=True):
        write_image(folder / f"{stem}_{suffix}.mrc", image, pixel_size_A, (_LABEL,))
    return f"{stem}_DW.mrc"


def check_settings(settings: SimulationSettings) -> None:
    """Refuse settings that no microscope could have, with a UserError that names the first of them."""
    least, most = settings.defocus_um
    demands = (
        ("micrographs", settings.micrographs >= 1, "at least one"),
        ("size_px", len(settings.size_px) in {1, 2} and min(settings.size_px) >= _SMALLEST_PX,
         f"one or two numbers of at least {_SMALLEST_PX} pixels"),
        ("pixel_size_A", _positive(settings.pixel_size_A), "Å, above zero"),
        ("dose_e_per_A2", _positive(settings.dose_e_per_A2), "electrons per Å², above zero"),
        ("frames", settings.frames >= 2, "at least two, one for each half"),
        ("voltage_kV", _positive(settings.voltage_kV), "kV, above zero"),
        ("defocus_um", math.isfinite(most) and -math.inf < least <= most, "least and most, in this order"),
        ("amplitude_contrast", 0 <= settings.amplitude_contrast <= 1, "between 0 and 1"),
        ("contrast_fraction", 0 <= settings.contrast_fraction <= 1, "between 0 and 1"),
        ("particles_per_um2", 0 <= settings.particles_per_um2 < math.inf, "zero or more"),
        ("ice_thickness_A", 0 <= settings.ice_thickness_A < math.inf, "zero or more"),
        ("ice_gradient_per_um", 0 <= settings.ice_gradient_per_um < math.inf, "zero or more"),
        ("envelope_A2", 0 <= settings.envelope_A2 < math.inf, "zero or more"),
        ("astigmatism_spread_A", 0 <= settings.astigmatism_spread_A < math.inf, "zero or more"),
        ("hot_pixels", settings.hot_pixels >= 0, "zero or more"),
        ("seed", settings.seed >= 0, "zero or more"),
    )  # fmt: skip
    for name, fine, wanted in demands:
        if not fine:
            raise UserError(f"{name} is {getattr(settings, name)}", wanted=f"wanted is {wanted}")


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _clear(folder: Path, overwrite: bool) -> None:
    """Make room: refuse a folder with a session in it, or take the files of the old one away when told to."""
    images = [path for suffix in SUFFIXES for path in (folder / IMAGE_FOLDER).glob(f"mic_[0-9]*_{suffix}.mrc")]
    named = [folder / name for name in (CTF_STAR_NAME, PARTICLE_STAR_NAME, SETTINGS_NAME)]
    old = [path for path in named if path.exists()] + sorted(images)
    if folder.exists() and not folder.is_dir():
        raise UserError("a file stands where a folder is wanted", where=folder, do="choose another name")
    if old and not overwrite:
        raise UserError(
            f"there is a session in it already ({old[0].name})",
            where=folder,
            do="choose another folder or give --overwrite",
        )
    for path in old:
        path.unlink()


def _optics(settings: SimulationSettings) -> Block:
    pixel = f"{settings.pixel_size_A:.6f}"
    columns = {
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnOpticsGroup": "1",
        "rlnMicrographOriginalPixelSize": pixel,
        "rlnVoltage": f"{settings.voltage_kV:.6f}",
        "rlnSphericalAberration": f"{settings.spherical_aberration_mm:.6f}",
        "rlnAmplitudeContrast": f"{settings.amplitude_contrast:.6f}",
        "rlnMicrographPixelSize": pixel,
    }
    return _table("optics", [columns], tuple(columns))


def _ctf_columns(exposure: Exposure) -> dict[str, str]:
    ctf = exposure.ctf
    columns = {
        "rlnDefocusU": ctf.defocus_u_A,
        "rlnDefocusV": ctf.defocus_v_A,
        "rlnCtfAstigmatism": ctf.defocus_u_A - ctf.defocus_v_A,
        "rlnDefocusAngle": ctf.defocus_angle_deg,
    }
    if ctf.phase_shift_deg != 0:
        columns["rlnPhaseShift"] = ctf.phase_shift_deg
    return {name: f"{value:.6f}" for name, value in columns.items()}


_PARTICLE_COLUMNS = (
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnMicrographName",
    "rlnOpticsGroup",
)


def _particle_rows(name: str, particles: Particles) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for (y, x), angles in zip(particles.position_yx_px, particles.euler_deg, strict=True):
        numbers = [f"{value:.6f}" for value in (x, y, *angles)]
        rows.append(dict(zip(_PARTICLE_COLUMNS, [*numbers, name, "1"], strict=True)))
    return rows


def _table(name: str, rows: list[dict[str, str]], columns: tuple[str, ...]) -> Block:
    return Block(name, columns, tuple(tuple(row[column] for column in columns) for row in rows))
