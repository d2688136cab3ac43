"""Particles in cryoSPARC's ``.cs`` files: plain numpy tables of named columns."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from restore.errors import UserError
from restore.io.particle_records import Particles

POSE, SPLIT = "alignments3D/pose", "alignments3D/split"
_MICROGRAPH, _SHAPE, _MICROGRAPH_PIXEL = (
    f"location/{each}" for each in ("micrograph_path", "micrograph_shape", "micrograph_psize_A")
)
_CENTRES = ("location/center_x_frac", "location/center_y_frac")
_IS_CS = "A .cs file of cryoSPARC is needed"
_STREAM = b"\x94CSDAT"


def read_cs(path: Path) -> NDArray[Any]:
    """The table of a ``.cs`` file, a numpy array with named columns. Nothing in it can run code.

    Raises
    ------
    UserError
        The file is missing, is no such table, holds Python objects, or has no rows.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_STREAM))
            if start == _STREAM:
                do = "save it again with cryosparc-tools as a plain table (format NUMPY)"
                raise UserError("it is in cryoSPARC's compressed stream format", where=path, wanted=_IS_CS, do=do)
            file.seek(0)
            table = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError("there is no such file", where=path, wanted=_IS_CS, do="check the name") from error
    except OSError as error:
        raise UserError(f"the file cannot be read ({error.strerror})", where=path) from error
    except (ValueError, EOFError) as error:
        found = f"this cannot be read as a table ({error})"
        raise UserError(found, where=path, wanted=_IS_CS, do="export it again") from error
    if not isinstance(table, np.ndarray) or table.dtype.names is None or table.ndim != 1:
        raise UserError("it holds no table with named columns", where=path, wanted=_IS_CS)
    if not len(table):
        raise UserError("it has no rows", where=path, wanted="At least one particle is needed")
    return table


def read_cryosparc_particles(path: Path) -> Particles:
    """The particles of a ``.cs`` file with their poses.

    ``alignments3D/pose`` is a rotation vector (axis × angle in radians) of the same rotation as RELION's Euler angles:
    ``Rotation.from_rotvec(pose).as_euler("ZYZ")`` is rot, tilt and psi. Coordinates are the centres' fractions times
    the micrograph's sides; image names count from one, as RELION's do, where ``blob/idx`` counts from zero.

    Raises
    ------
    UserError
        As :func:`read_cs`; no poses, or one that is not finite.
    """
    table = read_cs(path)
    columns = table.dtype.names or ()
    if POSE not in columns:
        do = "give the particles file of a refinement, not its passthrough file"
        raise UserError(f"{POSE} is missing", where=path, wanted="Each particle needs its pose", do=do)
    pose = np.asarray(table[POSE], dtype=np.float64).reshape(len(table), -1)
    bad = np.flatnonzero(~np.isfinite(pose).all(axis=1))
    if pose.shape[1] != 3 or len(bad):
        row = int(bad[0]) if len(bad) else 0
        found = f"{POSE} is {pose[row].tolist()}"
        raise UserError(found, where=f"{path}, row {row + 1}", wanted="Three finite numbers are needed")
    return Particles(
        str(path),
        Rotation.from_rotvec(pose),
        image_names=_image_names(table),
        micrograph_names=_texts(table, _MICROGRAPH),
        coordinates_px=_coordinates_px(table),
        micrograph_pixel_size_A=_numbers(table, _MICROGRAPH_PIXEL),
        image_pixel_size_A=_numbers(table, "blob/psize_A"),
        half_sets=table[SPLIT].astype(np.int64) + 1 if SPLIT in columns else None,
        uids=table["uid"] if "uid" in columns else None,
    )


def _has(table: NDArray[Any], *columns: str) -> bool:
    return set(columns) <= set(table.dtype.names or ())


def _texts(table: NDArray[Any], column: str) -> tuple[str, ...] | None:
    """Texts, without the ">" by which cryoSPARC marks a path inside its project."""
    if not _has(table, column):
        return None
    decoded = (text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in table[column])
    return tuple(text.removeprefix(">") for text in decoded)


def _numbers(table: NDArray[Any], column: str) -> Float[np.ndarray, "n"] | None:
    return np.asarray(table[column], dtype=np.float64) if _has(table, column) else None


def _image_names(table: NDArray[Any]) -> tuple[str, ...] | None:
    paths = _texts(table, "blob/path")
    if paths is None or not _has(table, "blob/idx"):
        return None
    return tuple(f"{index + 1:06d}@{path}" for index, path in zip(table["blob/idx"].tolist(), paths, strict=True))


def _coordinates_px(table: NDArray[Any]) -> Float[np.ndarray, "n 2"] | None:
    if not _has(table, _SHAPE, *_CENTRES):
        return None
    fractions = np.stack([table[column].astype(np.float64) for column in _CENTRES], axis=1)
    return fractions * table[_SHAPE][:, ::-1]
