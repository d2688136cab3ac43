"""Particles of any file as a RELION STAR file."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from restore.io.particle_records import Particles
from restore.io.star import Block, StarFile

_DECIMALS = 6
_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift")


def particle_star(particles: Particles) -> StarFile:
    """The particles in the form of RELION 3.1: an optics table, and the contents of the record, in
    its order.

    An optics group comprises the particles of one microscope (voltage, Cs, amplitude contrast) and
    one pixel size. Unique identifiers and contrast signs, for which RELION has no columns, are left
    out.
    """
    columns: dict[str, Sequence[str]] = {}
    for name, texts in (
        ("rlnImageName", particles.image_names),
        ("rlnMicrographName", particles.micrograph_names),
    ):
        if texts is not None:
            columns[name] = texts
    with warnings.catch_warnings(
        action="ignore"
    ):  # gimbal lock: rot and psi are then one angle, whatever parts it
        euler_deg = particles.rotations.as_euler("ZYZ", degrees=True)
    columns |= _numbers(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), euler_deg)
    columns |= _numbers(("rlnCoordinateX", "rlnCoordinateY"), particles.coordinates_px)
    columns |= _numbers(("rlnOriginXAngst", "rlnOriginYAngst"), particles.origins_A)
    if particles.ctfs is not None:
        values = [
            (c.defocus_u_A, c.defocus_v_A, c.defocus_angle_deg, c.phase_shift_deg)
            for c in particles.ctfs
        ]
        columns |= _numbers(_DEFOCUS, np.array(values))
    if particles.half_sets is not None:
        columns["rlnRandomSubset"] = [str(half_set) for half_set in particles.half_sets]
    groups = [tuple(sorted(fields.items())) for fields in _optics(particles)]
    numbers = {group: str(number) for number, group in enumerate(dict.fromkeys(groups), 1)}
    columns["rlnOpticsGroup"] = [numbers[group] for group in groups]
    rows = [
        {"rlnOpticsGroupName": f"opticsGroup{n}", "rlnOpticsGroup": n} | dict(g)
        for g, n in numbers.items()
    ]
    return StarFile(
        (
            _table("optics", {key: [row[key] for row in rows] for key in rows[0]}),
            _table("particles", columns),
        )
    )


def _optics(particles: Particles) -> list[dict[str, str]]:
    """The values of the optics table for each particle."""
    described: list[dict[str, str]] = [{} for _ in range(len(particles))]
    sizes = {
        "rlnMicrographPixelSize": particles.micrograph_pixel_size_A,
        "rlnImagePixelSize": particles.image_pixel_size_A,
    }
    for name, values in sizes.items():
        for fields, value in zip(described, () if values is None else values, strict=False):
            fields[name] = _text(value)
    for fields, ctf in zip(described, particles.ctfs or (), strict=False):
        fields["rlnVoltage"], fields["rlnSphericalAberration"] = (
            _text(ctf.voltage_kV),
            _text(ctf.spherical_aberration_mm),
        )
        fields["rlnAmplitudeContrast"] = _text(ctf.amplitude_contrast)
    return described


def _numbers(names: Sequence[str], values: np.ndarray | None) -> dict[str, list[str]]:
    if values is None:
        return {}
    return {
        name: [_text(value) for value in column]
        for name, column in zip(names, values.T, strict=True)
    }


def _text(value: float) -> str:
    return f"{value:.{_DECIMALS}f}"


def _table(name: str, columns: Mapping[str, Sequence[str]]) -> Block:
    return Block(name, tuple(columns), tuple(zip(*columns.values(), strict=True)))
