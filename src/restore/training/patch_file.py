"""Opening a patch file of restore prepare, and checking everything in it but the pixels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from restore.errors import UserError
from restore.io.hdf5 import require_sound_hdf5
from restore.io.reading import reading, refuse_streams
from restore.preprocessing import Recipe
from restore.records import decoded, parse_json

FORMAT = "restore patches"
_AGAIN = "make the patch file again with restore prepare"
FORMAT_VERSION = 2  # 2: masks of pixels without data; files of version 1 have none


@dataclass(frozen=True)
class Pair:
    """One micrograph in a patch file: its name, and its shape (y, x) and pixel sizes (y, x, in Å)
    after preparation.

    ``series`` is the tilt series that it belongs to, empty if there is none.
    """

    name: str
    shape: tuple[int, int]
    pixel_size_yx_A: tuple[float, float]
    series: str = ""


@dataclass(frozen=True)
class Content:
    """The description of a patch file: the recipe, the record of its making, and its pairs in
    order.
    """

    recipe: Recipe
    provenance: dict[str, Any]
    pairs: tuple[Pair, ...]


def open_patch_file(path: Path) -> tuple[h5py.File, Content]:
    """An open HDF5 file of patches, and its description.

    Raises
    ------
    UserError
        The file is missing, damaged, half-written, of a newer version, or not a patch file.
    """
    if not path.exists():
        raise UserError("there is no such patch file", where=path)
    refuse_streams(path)
    try:
        with path.open("rb"):
            pass
        if not h5py.is_hdf5(path):
            raise UserError("not a readable HDF5 file", where=path, do=_AGAIN)
        require_sound_hdf5(path, _AGAIN)
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            "not a readable HDF5 file", where=path, wanted=str(error), do=_AGAIN
        ) from None
    try:
        with reading(path, "", "a damaged patch file", _AGAIN):
            problem, do = _fault(file)
            if problem:
                raise UserError(problem, where=path, do=do)
            return file, _content(file, path)
    except UserError:
        file.close()
        raise


def _fault(file: h5py.File) -> tuple[str, str]:
    """The reason why an HDF5 file is not a complete patch file of this version, and what to do."""
    if file.attrs.get("format") != FORMAT:
        return "an HDF5 file, but not a patch file from restore prepare", _AGAIN
    if int(file.attrs.get("format_version", 0)) > FORMAT_VERSION:
        return "a patch file from a newer version of restore", "update restore"
    if not bool(file.attrs.get("complete", False)):
        return "the patch file is incomplete", _AGAIN
    return "", ""


def _content(file: h5py.File, path: Path) -> Content:
    count = int(_attribute(file, "count"))
    if not 0 < count <= len(file):
        raise ValueError(f"it declares {count} micrographs and holds {len(file)}")
    return Content(
        decoded(Recipe, _card(file, "recipe", path), path, "patch file", _AGAIN),
        decoded(dict[str, Any], _card(file, "provenance", path), path, "patch file", _AGAIN),
        tuple(_pair(halves_dataset(file, index)) for index in range(count)),
    )


def _card(file: h5py.File, name: str, path: Path) -> Any:
    """The plain values of an attribute that holds JSON."""
    text = _attribute(file, name)
    if not isinstance(text, str | bytes):
        raise TypeError(f"{name} is not a text")
    return parse_json(text, path, "patch file", _AGAIN)


def _attribute(holder: h5py.File | h5py.Dataset, name: str) -> Any:
    return holder.attrs[name]


def halves_dataset(file: h5py.File, index: int) -> h5py.Dataset:
    """The dataset of a pair's two halves. Raises KeyError if there is none."""
    dataset = file[f"{index:06d}"]
    if not isinstance(dataset, h5py.Dataset):
        raise KeyError(f"{index:06d} is not a dataset")
    return dataset


def _pair(dataset: h5py.Dataset) -> Pair:
    y_A, x_A = (float(side) for side in _attribute(dataset, "pixel_size_yx_A"))
    name, series = _attribute(dataset, "name"), dataset.attrs.get("series", "")
    if not (0 < y_A < math.inf and 0 < x_A < math.inf):
        raise ValueError(f"{name} has pixels of {y_A} x {x_A} Å")
    if not (isinstance(name, str) and isinstance(series, str)):
        raise TypeError(f"the name of {dataset.name} is not a text")
    if len(dataset.shape) != 3 or dataset.shape[0] != 2 or min(dataset.shape) < 1:
        raise ValueError(f"{name} is of shape {dataset.shape}: two halves are needed")
    return Pair(name, (dataset.shape[1], dataset.shape[2]), (y_A, x_A), series)


def write_text_attribute(dataset: h5py.Dataset, attribute: str, text: str) -> None:
    """Write a text attribute; bytes of a file's name that are not UTF-8 are preserved."""
    content = text.encode("utf-8", "surrogateescape")
    dataset.attrs.create(attribute, content, dtype=h5py.string_dtype("utf-8"))
