"""Particles in cryoSPARC's files, with their poses."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from restore.errors import UserError
from restore.io.cryosparc.ctf import CTF_COLUMNS, PHASE_SHIFT, ctf_values, needed_ctf, parameters_of
from restore.io.cryosparc.datasets import Dataset, read_dataset
from restore.io.cryosparc.paths import MARK, without_mark
from restore.io.cryosparc.tables import UID, texts
from restore.io.particle_records import Particles
from restore.micrograph import CTFParameters

POSE, SPLIT = "alignments3D/pose", "alignments3D/split"
SHIFT, SHIFT_PIXEL, IMAGE_PIXEL, SIGN = (
    "alignments3D/shift",
    "alignments3D/psize_A",
    "blob/psize_A",
    "blob/sign",
)
_MICROGRAPH, _SHAPE, _MICROGRAPH_PIXEL = (
    f"location/{name}" for name in ("micrograph_path", "micrograph_shape", "micrograph_psize_A")
)
_CENTRES = ("location/center_x_frac", "location/center_y_frac")


def read_cryosparc_particles(path: Path, needs_poses: bool = True) -> Particles:
    """The particles of a ``.cs`` file, or of the files that a ``.csg`` joins, with their poses (the
    identity if they are neither needed nor present).

    ``alignments3D/pose`` is a rotation vector (axis × angle in radians) of the same rotation as
    RELION's Euler angles: ``Rotation.from_rotvec(pose).as_euler("ZYZ")`` is rot, tilt and psi.
    Coordinates are the centres' fractions times the micrograph's sides; image names count from one,
    as RELION's do, where ``blob/idx`` counts from zero. ``alignments3D/shift`` is RELION's origin
    in pixels, those of ``alignments3D/psize_A``.

    Raises
    ------
    UserError
        As :func:`read_dataset`; or poses are missing or not finite, or a CTF is impossible.
    """
    data = read_dataset(path)
    split = data.column(SPLIT)
    return Particles(
        str(path),
        _rotations(data, needs_poses),
        image_names=_image_names(data),
        micrograph_names=_texts(data, _MICROGRAPH),
        coordinates_px=_coordinates_px(data),
        micrograph_pixel_size_A=_numbers(data, _MICROGRAPH_PIXEL),
        image_pixel_size_A=_numbers(data, IMAGE_PIXEL),
        origins_A=_origins_A(data),
        half_sets=split.astype(np.int64) + 1 if split is not None else None,
        uids=data.column(UID),
        ctfs=_ctfs(data),
        contrast_signs=_numbers(data, SIGN),
        exported=_exported(data),
    )


def _rotations(data: Dataset, needed: bool) -> Rotation:
    """The rotations of all particles. Raises UserError if they are needed and missing, or
    invalid.
    """
    pose = data.column(POSE)
    if pose is None and not needed:
        return Rotation.identity(len(data))
    if pose is None:
        do = (
            data.where_to_find()
            or "give the particles file of a refinement, not its passthrough file"
        )
        raise UserError(
            f"{POSE} is missing", where=data.source, wanted="Every particle must have a pose", do=do
        )
    pose = np.asarray(pose, dtype=np.float64).reshape(len(data), -1)
    bad = np.flatnonzero(~np.isfinite(pose).all(axis=1))
    if pose.shape[1] != 3 or len(bad):
        row = int(bad[0]) if len(bad) else 0
        problem = f"{POSE} is {pose[row].tolist()}"
        raise UserError(
            problem, where=data.place(POSE, row), wanted="Three finite numbers are needed"
        )
    return Rotation.from_rotvec(pose)


def _texts(data: Dataset, name: str) -> tuple[str, ...] | None:
    column = data.column(name)
    return None if column is None else tuple(without_mark(text) for text in texts(column))


def _numbers(data: Dataset, name: str) -> Float[np.ndarray, "n"] | None:
    column = data.column(name)
    return None if column is None else np.asarray(column, dtype=np.float64)


def _image_names(data: Dataset) -> tuple[str, ...] | None:
    paths, indices = _texts(data, "blob/path"), data.column("blob/idx")
    if paths is None or indices is None:
        return None
    return tuple(
        f"{index + 1:06d}@{path}" for index, path in zip(indices.tolist(), paths, strict=True)
    )


def _exported(data: Dataset) -> Bool[np.ndarray, "n"] | None:
    paths = data.column("blob/path")
    return None if paths is None else np.array([text.startswith(MARK) for text in texts(paths)])


def _coordinates_px(data: Dataset) -> Float[np.ndarray, "n 2"] | None:
    """The centres in pixels, rounded to hundredths.

    Fractions are 32-bit floats, which resolve about a thousandth of a pixel: half of all whole
    centres would come out just below themselves, and be truncated to the pixel before.
    """
    shapes, *fractions = (data.column(name) for name in (_SHAPE, *_CENTRES))
    if shapes is None or fractions[0] is None or fractions[1] is None:
        return None
    xy = np.stack([fraction for fraction in fractions if fraction is not None], axis=1)
    return np.round(xy.astype(np.float64) * shapes[:, ::-1], 2)


def _origins_A(data: Dataset) -> Float[np.ndarray, "n 2"] | None:
    shift = _numbers(data, SHIFT)
    pixel_A = _numbers(data, SHIFT_PIXEL if data.column(SHIFT_PIXEL) is not None else IMAGE_PIXEL)
    return None if shift is None or pixel_A is None else shift * pixel_A[:, None]


def _ctfs(data: Dataset) -> tuple[CTFParameters, ...] | None:
    """The CTF of each particle's image, or None if one of its columns is missing."""
    if any(data.column(f"ctf/{name}") is None for name in CTF_COLUMNS):
        return None
    values, bad = ctf_values(data)
    if bad.any():
        row, number = np.argwhere(bad)[0].tolist()
        name = f"ctf/{(*CTF_COLUMNS, PHASE_SHIFT)[number]}"
        problem = f"{name} is {values[row, number]:g}"
        raise UserError(
            problem, where=data.place(name, row), wanted=f"The CTF needs it{needed_ctf(name)}"
        )
    return tuple(parameters_of(row) for row in values.tolist())
