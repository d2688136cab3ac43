"""The entry point: from a path to findings."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from restore.errors import UserError
from restore.inspection.commands import inspect_file, with_choices
from restore.inspection.findings import Findings, counted, unusable
from restore.inspection.images import inspect_image
from restore.inspection.movies import inspect_movie
from restore.inspection.own_files import inspect_json, inspect_patches, inspect_tensors
from restore.inspection.tables import inspect_cryosparc, inspect_star
from restore.io.endings import EER_ENDINGS, IMAGE_ENDINGS, MOVIE_ENDINGS, ending_of
from restore.io.half_names import Suffixes
from restore.io.reading import reading
from restore.preprocessing import Recipe

_TABLES = (".star", ".cs", ".csg")
_DEFAULT_SUFFIXES = Suffixes()
_POWER_SPECTRA = (".ctf",)
_PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".sav")
_OWN: dict[str, Callable[[Path], Findings]] = {
    ".hdf": inspect_patches,
    ".h5": inspect_patches,
    ".hdf5": inspect_patches,
    ".safetensors": inspect_tensors,
    ".json": inspect_json,
} | dict.fromkeys(_PICKLES, inspect_tensors)


def inspect(path: Path, recipe: Recipe, suffixes: Suffixes = _DEFAULT_SUFFIXES) -> Findings:
    """What the file is, what restore would do with it with this recipe, and its problems. The
    halves of micrographs are looked for under these ``suffixes``. Never raises UserError.
    """
    findings = _inspect(path, recipe, suffixes)
    lines = (with_choices(line, recipe, suffixes) for line in findings.commands)
    return replace(findings, commands=tuple(lines))


def _inspect(path: Path, recipe: Recipe, suffixes: Suffixes) -> Findings:
    if not path.exists():
        return unusable(
            "nothing", UserError("there is no such file", where=path, do="check the name")
        )
    if path.is_dir():
        return _inspect_folder(path)
    ending = ending_of(path.name)
    try:
        if ending in _TABLES:
            inspect_table = inspect_star if ending == ".star" else inspect_cryosparc
            return inspect_table(path, recipe, suffixes)
        return _by_ending(path, ending, recipe)
    except UserError as error:
        return unusable(f"a {ending or 'nameless'} file that cannot be used", error)


def _inspect_folder(path: Path) -> Findings:
    """The files in a folder, and what to inspect next."""
    known = (*_TABLES, *MOVIE_ENDINGS)
    files = sorted(file for file in _files_in(path) if ending_of(file.name) in known)
    if not files:
        error = UserError(
            "it is a folder without tables or images", where=path, do="give a file in the folder"
        )
        return unusable("a folder", error)
    counts = Counter(ending_of(file.name) for file in files)
    facts = tuple((ending, counted(count, "file")) for ending, count in sorted(counts.items()))
    tables = [file for file in files if ending_of(file.name) in _TABLES]
    shown = (tables or files)[:5]
    return Findings("a folder", facts, tuple(inspect_file(file) for file in shown))


def _files_in(folder: Path) -> list[Path]:
    """The files in a folder or, if there are none, in its subfolders."""
    own = [file for file in folder.iterdir() if file.is_file() and file.name[0] != "."]
    if any(ending_of(file.name) in (*_TABLES, *MOVIE_ENDINGS) for file in own):
        return own
    return [*own, *(file for file in folder.glob("*/*") if file.is_file())]


def _by_ending(path: Path, ending: str, recipe: Recipe) -> Findings:
    """A file that is no table. Raises UserError."""
    if ending in EER_ENDINGS:
        return inspect_movie(path)
    if ending in IMAGE_ENDINGS:
        return inspect_image(path, recipe)
    if ending in _POWER_SPECTRA or path.name.endswith(".ctf:mrc"):
        return Findings("a power spectrum with its fit, from CTFFIND")
    if ending in _OWN:
        with reading(path, "", "its record cannot be read"):
            return _OWN[ending](path)
    wanted = "restore reads STAR, .cs and .csg tables, MRC, TIFF and EER images, and its own files"
    problem = f'restore does not read files ending in "{ending}"'
    return unusable("a file of an unknown type", UserError(problem, where=path, wanted=wanted))
