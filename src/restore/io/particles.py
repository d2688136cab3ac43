"""Particles: from a RELION STAR file or a cryoSPARC ``.cs`` or ``.csg`` file to records, and from
two sets to pairs.
"""

from pathlib import Path

from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.cryosparc.particles import read_cryosparc_particles
from restore.io.particle_matching import Matches, coordinates_apart_px, match
from restore.io.particle_records import Particles
from restore.io.relion.particles import read_relion_particles

__all__ = [
    "Matches",
    "Particles",
    "coordinates_apart_px",
    "match",
    "read_particles",
]


def read_particles(path: Path, needs_poses: bool = True) -> Particles:
    """The particles of a file, with their orientations; the ending of its name distinguishes
    cryoSPARC's files from RELION's.

    Where poses are not needed, as for work on images only, a file without them is accepted; the
    rotations in the record are then all the identity, and meaningless.

    Raises
    ------
    UserError
        As :func:`read_relion_particles` and :func:`read_cryosparc_particles`.
    """
    read = read_cryosparc_particles if is_cryosparc(path) else read_relion_particles
    return read(path, needs_poses)
