"""Particles cut out of simulated micrographs, and out of their truth: as RELION and as cryoSPARC
list them.
"""

import math
from pathlib import Path

import numpy as np
from cryosparc_files import save, table

from restore.io.micrographs import Needs, read_micrographs
from restore.io.particle_images import open_particle_images, read_particle_images
from restore.particles.extraction.stacks import Images, extract
from restore.particles.extraction.windows import ExtractionSettings


def extract_particles(session, folder, kind="_DW", images=None, **settings):
    """The particles of a simulated session, cut out of its images whose names end in ``kind``, or
    out of those of the same names in a folder ``images``; the table's path comes back.
    """
    micrographs = read_micrographs(session / "micrographs_ctf.star", needs=Needs()).micrographs
    paths = {
        micrograph.name: Path(images) / micrograph.name
        if images
        else micrograph.image.with_name(micrograph.image.name.replace("_DW", kind))
        for micrograph in micrographs
    }
    ctfs = {micrograph.name: micrograph.ctf for micrograph in micrographs}
    return extract(
        session / "particles.star",
        Images(paths, ctfs=ctfs),
        Path(folder),
        ExtractionSettings(engine="own", **settings),
    )


def images_of(path):
    """All particle images of a table, in its order."""
    images = open_particle_images(Path(path), needs_poses=False)
    return read_particle_images(images, range(len(images)))


def correlations(images, truth):
    """The correlation coefficient of each image with its truth."""
    one, other = (pixels - pixels.mean((1, 2), keepdims=True) for pixels in (images, truth))
    powers = (one**2).sum((1, 2)) * (other**2).sum((1, 2))
    return (one * other).sum((1, 2)) / np.sqrt(powers)


def as_cryosparc(star, path, sign=-1.0):
    """The particles of a STAR file as cryoSPARC lists them in a project's folder, the parent of
    ``path``'s.
    """
    images = open_particle_images(star, needs_poses=False)
    particles, count = images.particles, len(images)
    ctfs = particles.ctfs
    root = path.parent.parent.resolve()
    values = {
        "blob/path": [str(file.resolve().relative_to(root)).encode() for file in images.paths],
        "blob/idx": images.sections.astype("<u4"),
        "blob/shape": np.full((count, 2), images.box_px, "<u4"),
        "blob/psize_A": np.full(count, images.pixel_size_A, "<f4"),
        "blob/sign": np.full(count, sign, "<f4"),
        "ctf/accel_kv": [ctf.voltage_kV for ctf in ctfs],
        "ctf/cs_mm": [ctf.spherical_aberration_mm for ctf in ctfs],
        "ctf/amp_contrast": [ctf.amplitude_contrast for ctf in ctfs],
        "ctf/df1_A": [ctf.defocus_u_A for ctf in ctfs],
        "ctf/df2_A": [ctf.defocus_v_A for ctf in ctfs],
        "ctf/df_angle_rad": [math.radians(ctf.defocus_angle_deg) for ctf in ctfs],
        "ctf/phase_shift_rad": [0.0] * count,
    }
    columns = {"uid": np.arange(1, count + 1, dtype="<u8") * 977}
    for name, column in values.items():
        array = np.array(column)
        columns[name] = array.astype("<f4") if array.dtype == np.float64 else array
    return save(path, table(columns))
