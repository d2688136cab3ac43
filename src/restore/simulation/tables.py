"""The STAR files of a session, in the form written by RELION's Import, CTF estimation, motion
correction and picking.
"""

import numpy as np

from restore.io.star import Block, StarFile
from restore.micrograph import CTFParameters
from restore.simulation.microscope import Particles
from restore.simulation.motion import Motion
from restore.simulation.settings import SimulationSettings

Row = dict[str, str]

_PARTICLE_COLUMNS = (
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnMicrographName",
    "rlnOpticsGroup",
)


def micrograph_table(settings: SimulationSettings, rows: list[Row]) -> StarFile:
    """The table of a CTF estimation: the optics, and a row for each micrograph."""
    return StarFile((_optics(settings), _table("micrographs", rows, tuple(rows[0]))))


def particle_table(settings: SimulationSettings, rows: list[Row]) -> StarFile:
    """The table of a picker, with the true orientations; there may be no particles."""
    return StarFile((_optics(settings), _table("particles", rows, _PARTICLE_COLUMNS)))


def movie_table(settings: SimulationSettings, names: list[str]) -> StarFile:
    """The table of an Import: the optics, and the movies by name."""
    rows = [{"rlnMicrographMovieName": name, "rlnOpticsGroup": "1"} for name in names]
    return StarFile((_import_optics(settings), _table("movies", rows, tuple(rows[0]))))


def motion_table(settings: SimulationSettings, motion: Motion, movie: str, gain: str) -> StarFile:
    """The table of RELION's motion correction of one movie, with the true motion.

    Shifts, and the polynomial's coefficients (of y after those of x), are in pixels and bring the
    specimen back to where it is in the first frame, whose number is 1. ``gain`` is empty where
    there is no gain reference.
    """
    height, width = settings.shape
    general = {
        "rlnImageSizeX": str(width),
        "rlnImageSizeY": str(height),
        "rlnImageSizeZ": str(settings.frames),
        "rlnMicrographMovieName": movie,
        "rlnMicrographGainName": gain,
        "rlnMicrographBinning": f"{1:.6f}",
        "rlnMicrographOriginalPixelSize": f"{settings.pixel_size_A:.6f}",
        "rlnMicrographDoseRate": f"{settings.dose_e_per_A2 / settings.frames:.6f}",
        "rlnMicrographPreExposure": f"{0:.6f}",
        "rlnVoltage": f"{settings.voltage_kV:.6f}",
        "rlnMicrographStartFrame": "1",
        "rlnMotionModelVersion": "1" if motion.is_local else "0",
    }
    if not gain:
        del general["rlnMicrographGainName"]
    shifts = [
        {
            "rlnMicrographFrameNumber": str(number),
            "rlnMicrographShiftX": f"{0.0 - x:.6f}",
            "rlnMicrographShiftY": f"{0.0 - y:.6f}",
        }
        for number, (y, x) in enumerate(motion.drift_yx_px, 1)
    ]
    blocks = (
        Block("general", tuple(general), (tuple(general.values()),), is_loop=False),
        _table("global_shift", shifts, tuple(shifts[0])),
    )
    return StarFile((*blocks, _local_model(motion)) if motion.is_local else blocks)


def ctf_columns(ctf: CTFParameters) -> Row:
    """The columns of a micrograph's CTF, with the phase shift only if there is one."""
    columns = {
        "rlnDefocusU": ctf.defocus_u_A,
        "rlnDefocusV": ctf.defocus_v_A,
        "rlnCtfAstigmatism": ctf.defocus_u_A - ctf.defocus_v_A,
        "rlnDefocusAngle": ctf.defocus_angle_deg,
    }
    if ctf.phase_shift_deg != 0:
        columns["rlnPhaseShift"] = ctf.phase_shift_deg
    return {name: f"{value:.6f}" for name, value in columns.items()}


def particle_rows(name: str, particles: Particles) -> list[Row]:
    """A row for each particle in the micrograph of this name."""
    rows: list[Row] = []
    for (y, x), angles in zip(particles.position_yx_px, particles.euler_deg, strict=True):
        numbers = [f"{value:.6f}" for value in (x, y, *angles)]
        rows.append(dict(zip(_PARTICLE_COLUMNS, [*numbers, name, "1"], strict=True)))
    return rows


def _local_model(motion: Motion) -> Block:
    along_y, along_x = (0.0 - component.ravel() for component in motion.local_yx_px)
    rows = [
        {"rlnMotionModelCoeffsIdx": str(index), "rlnMotionModelCoeff": f"{value:.9g}"}
        for index, value in enumerate(np.concatenate([along_x, along_y]))
    ]
    return _table("local_motion_model", rows, tuple(rows[0]))


def _import_optics(settings: SimulationSettings) -> Block:
    columns = {
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnOpticsGroup": "1",
        "rlnMicrographOriginalPixelSize": f"{settings.pixel_size_A:.6f}",
        "rlnVoltage": f"{settings.voltage_kV:.6f}",
        "rlnSphericalAberration": f"{settings.spherical_aberration_mm:.6f}",
        "rlnAmplitudeContrast": f"{settings.amplitude_contrast:.6f}",
    }
    return _table("optics", [columns], tuple(columns))


def _optics(settings: SimulationSettings) -> Block:
    return _import_optics(settings).with_column(
        "rlnMicrographPixelSize", [f"{settings.pixel_size_A:.6f}"]
    )


def _table(name: str, rows: list[Row], columns: tuple[str, ...]) -> Block:
    return Block(name, columns, tuple(tuple(row[column] for column in columns) for row in rows))
