"""Finding the files that a STAR file names."""

import glob
import os
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.endings import ending_of


def resolved(path: Path) -> Path:
    """The absolute path without symbolic links. Unlike `Path.resolve` it does not raise if links
    form a circle; reading or writing there will.
    """
    return Path(os.path.realpath(path))


@dataclass(frozen=True)
class Places:
    """The folders that a relative name may refer to, in the order in which they are tried."""

    folders: tuple[Path, ...] = (Path(),)

    @classmethod
    def of_star(cls, star: Path) -> "Places":
        """The working directory (RELION's convention), then the STAR file's folder, then each
        folder above it.

        A STAR file in ``CtfFind/job003`` names its images relative to the project's folder, two
        levels up.
        """
        folder = resolved(star).parent
        return cls((Path(), folder, *folder.parents))

    def find(self, name: str) -> Path | None:
        """The first existing file of this name, or None."""
        folders = self.folders[:1] if os.path.isabs(name) else self.folders  # noqa: PTH117  10 000 Paths take a second
        paths = (os.path.join(folder, name) for folder in folders)  # noqa: PTH118
        return next((Path(path) for path in paths if os.path.isfile(path)), None)  # noqa: PTH113

    def find_or_first(self, name: str) -> Path:
        """The first existing file of this name, else its path in the first folder."""
        return self.find(name) or self.folders[0] / name


def mirrored(folder: Path, name: Path) -> Path:
    """The path below ``folder`` that repeats the folders of ``name``.

    >>> names = ("job002/a.mrc", "../up/b.mrc", "/abs/c.mrc")
    >>> [str(mirrored(Path("out"), Path(name))) for name in names]
    ['out/job002/a.mrc', 'out/up/b.mrc', 'out/abs/c.mrc']
    """
    return folder.joinpath(*(part for part in name.parts if part not in ("..", ".", name.anchor)))


def image_names(source: str, endings: tuple[str, ...]) -> list[str]:
    """The files that match ``source``, a file name or a pattern such as ``folder/*.mrc``, sorted.

    A pattern matches only files with one of ``endings`` (in upper or lower case).

    Raises
    ------
    UserError
        There is no such file, or no file matches.
    """
    if source == "" or "\0" in source:
        raise UserError(
            f'"{source}" cannot be the name of a file', wanted="Images are needed", do="correct it"
        )
    if Path(source).is_file():
        return [source]
    if Path(source).is_dir():
        raise UserError(
            "it is a folder",
            where=source,
            wanted="Images are needed",
            do=f'give "{source.rstrip("/")}/*.mrc"',
        )
    names = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else []  # noqa: PTH207  names stay as typed
    images = [name for name in names if ending_of(name) in endings and Path(name).is_file()]
    if not images:
        found_text = "no image matches it" if glob.has_magic(source) else "there is no such file"
        wanted = "A STAR file, an image or a pattern is needed"
        raise UserError(found_text, where=source, wanted=wanted, do="check the name")
    return images
