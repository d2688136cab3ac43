"""The door: a path in, findings out."""

from collections.abc import Callable
from pathlib import Path

from restore.errors import UserError
from restore.inspection.findings import Findings, unusable
from restore.inspection.images import inspect_image, inspect_movie
from restore.inspection.own_files import inspect_json, inspect_patches, inspect_tensors
from restore.inspection.tables import inspect_cryosparc, inspect_star
from restore.io.endings import EER_ENDINGS, IMAGE_ENDINGS, ending_of
from restore.preprocessing import Recipe

_TABLES = (".star", ".cs", ".csg")
_PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".sav")
_OWN: dict[str, Callable[[Path], Findings]] = {
    ".hdf": inspect_patches,
    ".h5": inspect_patches,
    ".hdf5": inspect_patches,
    ".safetensors": inspect_tensors,
    ".json": inspect_json,
} | dict.fromkeys(_PICKLES, inspect_tensors)


def inspect(path: Path, recipe: Recipe = Recipe()) -> Findings:
    """What the file is, what would be done with it at this recipe, what is wrong with it. Never raises UserError."""
    if not path.exists():
        return Findings("nothing", problems=(str(UserError("there is no such file", where=path, do="check the name")),))
    if path.is_dir():
        return Findings("a folder", problems=(f"{path}: give a file in it.",))
    ending = ending_of(path.name)
    try:
        if ending in _TABLES:
            return inspect_star(path, recipe) if ending == ".star" else inspect_cryosparc(path, recipe)
        if ending in EER_ENDINGS:
            return inspect_movie(path)
        if ending in IMAGE_ENDINGS:
            return inspect_image(path, recipe)
        if ending in _OWN:
            return _OWN[ending](path)
    except UserError as error:
        return unusable(f"a {ending or 'nameless'} file that cannot be used", error)
    return Findings("a file of a kind that restore does not know", problems=(_unknown(path, ending),))


def _unknown(path: Path, ending: str) -> str:
    wanted = "STAR, .cs and .csg tables, MRC, TIFF and EER images, and restore's own files are known"
    return str(UserError(f'"{ending}" says nothing to restore', where=path, wanted=wanted))
