"""Small files as cryoSPARC leaves them in a project: tables, groups, and those that describe a STAR
file's micrographs.
"""

import math
from pathlib import Path

import mrcfile
import numpy as np
from particle_world import write_stack

from restore.io.micrographs import Needs, read_micrographs
from restore.symmetry import from_euler_deg

EXPOSURE = {
    "micrograph_blob/path": "S",
    "micrograph_blob/idx": "<u4",
    "micrograph_blob/shape": ("<u4", (2,)),
    "micrograph_blob/psize_A": "<f4",
    "micrograph_blob/format": "S",
    "micrograph_blob/is_background_subtracted": "<u4",
    "micrograph_blob/vmin": "<f4",
    "micrograph_blob/vmax": "<f4",
    "micrograph_blob/import_sig": "<u8",
    "ctf/type": "S",
    "ctf/path": "S",
    "ctf/exp_group_id": "<u4",
    "ctf/accel_kv": "<f4",
    "ctf/cs_mm": "<f4",
    "ctf/amp_contrast": "<f4",
    "ctf/df1_A": "<f4",
    "ctf/df2_A": "<f4",
    "ctf/df_angle_rad": "<f4",
    "ctf/phase_shift_rad": "<f4",
    "mscope_params/exp_group_id": "<u4",
    "mscope_params/defect_path": "S",
}
"""The columns of exposures after a CTF estimation, and their types, as the tests of cryosparc-tools
have them.
"""

GROUP = """\
created: 2024-05-01 12:30:15.123456
group:
  description: 'Exposures that were accepted: those with a CTF fit better than the
    threshold, and no more than that, it''s long'
  name: exposures_accepted
  title: Exposures accepted
  type: exposure
results:
  ctf:
    metafile: '>J12_passthrough_exposures.cs'
    num_items: 3
    type: exposure.ctf
  micrograph_blob:
    metafile: '>exposures.cs'
    num_items:
    - 3
    type: exposure.micrograph_blob
  mscope_params:
    metafile: '>J12_passthrough_exposures.cs'
    num_items: [3]
    type: exposure.mscope_params
version: v4.5.3
"""
"""What PyYAML, with which cryoSPARC writes its groups, makes of a group of two tables."""


def table(columns, rows=None):
    """A structured array of named columns: of each, values, or a list of texts."""
    arrays = {
        name: np.array(values) if not isinstance(values, np.ndarray) else values
        for name, values in columns.items()
    }
    fields = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    records = np.zeros(len(next(iter(arrays.values()))), dtype=fields)
    for name, array in arrays.items():
        records[name] = array
    return records if rows is None else records[rows]


def save(path, rows):
    """Write a table as cryoSPARC does: numpy's format, whatever the file is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    return path


def exposures(names, **changed):
    """Exposures of these files, three rows or as many as there are names; ``changed`` are values by
    column.
    """
    count = len(names)
    values = {
        "micrograph_blob/path": names,
        "micrograph_blob/idx": [0] * count,
        "micrograph_blob/shape": [[40, 48]] * count,
        "micrograph_blob/psize_A": [0.6575] * count,
        "micrograph_blob/format": ["MRC/12"] * count,
        "micrograph_blob/is_background_subtracted": [0] * count,
        "micrograph_blob/vmin": [-1.5] * count,
        "micrograph_blob/vmax": [2.5] * count,
        "micrograph_blob/import_sig": np.arange(count) + 11,
        "ctf/type": ["spline"] * count,
        "ctf/path": [f"J12/ctf/{row}_spline.npy" for row in range(count)],
        "ctf/exp_group_id": [8] * count,
        "ctf/accel_kv": [300.0] * count,
        "ctf/cs_mm": [2.7] * count,
        "ctf/amp_contrast": [0.1] * count,
        "ctf/df1_A": 16400.2 + 100 * np.arange(count),
        "ctf/df2_A": 16232.468 + 100 * np.arange(count),
        "ctf/df_angle_rad": [4.6313896] * count,
        "ctf/phase_shift_rad": [0.0] * count,
        "mscope_params/exp_group_id": [8] * count,
        "mscope_params/defect_path": [""] * count,
    } | changed
    columns = {
        "uid": np.random.default_rng(5).integers(1, 2**63, count).astype("<u8") * np.uint64(2)
    }
    for name, kind in EXPOSURE.items():
        given = values[name]
        base = kind if isinstance(kind, str) else kind[0]
        columns[name] = (
            np.array([text.encode() for text in given])
            if base == "S"
            else np.array(given, dtype=base)
        )
    return table(columns)


def of_star(star, project):
    """The exposures that a STAR file of micrographs describes, named from a project's folder."""
    read = read_micrographs(star, needs=Needs()).micrographs
    ctfs = [micrograph.ctf for micrograph in read]
    return exposures(
        [
            str(micrograph.image.resolve().relative_to(Path(project).resolve()))
            for micrograph in read
        ],
        **{
            "micrograph_blob/psize_A": [micrograph.pixel_size_A for micrograph in read],
            "ctf/accel_kv": [ctf.voltage_kV for ctf in ctfs],
            "ctf/cs_mm": [ctf.spherical_aberration_mm for ctf in ctfs],
            "ctf/amp_contrast": [ctf.amplitude_contrast for ctf in ctfs],
            "ctf/df1_A": [ctf.defocus_u_A for ctf in ctfs],
            "ctf/df2_A": [ctf.defocus_v_A for ctf in ctfs],
            "ctf/df_angle_rad": [math.radians(ctf.defocus_angle_deg) for ctf in ctfs],
            "ctf/phase_shift_rad": [math.radians(ctf.phase_shift_deg) for ctf in ctfs],
        },
    )


def job(folder, rows, order=(2, 0, 1)):
    """A job's folder of a blob's table, the passthrough table of the rest in another order, and the
    group of both.
    """
    names = rows.dtype.names
    blob = [name for name in names if name == "uid" or name.startswith("micrograph_blob/")]
    rest = [name for name in names if name == "uid" or not name.startswith("micrograph_blob/")]
    save(folder / "exposures.cs", table({name: rows[name] for name in blob}))
    save(
        folder / "J12_passthrough_exposures.cs",
        table({name: rows[name] for name in rest}, list(order)),
    )
    (folder / "exposures.csg").write_text(GROUP)
    return folder / "exposures.csg"


def particles_of_world(world, folder, sign=1.0, images=None, **more):
    """The particles of a `particle_world.ParticleWorld` as a cryoSPARC refinement names them,
    with their own images or with others; ``sign`` is that of the contrast of its stack.
    """
    stack = folder / "J5/extract/particles.mrc"
    if images is None:
        images = np.concatenate([mrcfile.read(path) for path in world.stacks])
    write_stack(stack, sign * images, 3.0)
    count, first = len(world.ctfs), world.ctfs[0]
    columns = {
        "uid": np.arange(1, count + 1, dtype="<u8"),
        "blob/path": np.full(count, b"J5/extract/particles.mrc"),
        "blob/idx": np.arange(count, dtype="<u4"),
        "blob/psize_A": np.full(count, 3.0, "<f4"),
        "blob/sign": np.full(count, sign, "<f4"),
        "alignments3D/pose": from_euler_deg(world.euler_deg).as_rotvec().astype("<f4"),
        "alignments3D/shift": (world.origins_A / 1.5).astype("<f4"),
        "alignments3D/psize_A": np.full(count, 1.5, "<f4"),
        "alignments3D/split": (world.half_sets - 1).astype("<u4"),
        "ctf/accel_kv": np.full(count, first.voltage_kV, "<f4"),
        "ctf/cs_mm": np.full(count, first.spherical_aberration_mm, "<f4"),
        "ctf/amp_contrast": np.full(count, first.amplitude_contrast, "<f4"),
        "ctf/df1_A": np.array([ctf.defocus_u_A for ctf in world.ctfs], "<f4"),
        "ctf/df2_A": np.array([ctf.defocus_v_A for ctf in world.ctfs], "<f4"),
        "ctf/df_angle_rad": np.radians([ctf.defocus_angle_deg for ctf in world.ctfs]).astype("<f4"),
        "ctf/phase_shift_rad": np.zeros(count, "<f4"),
    }
    return save(folder / "J9/J9_particles.cs", table(columns | more))
