"""Paths of another program's denoised halves, from the names of the raw ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.endings import split_ending
from restore.io.paths import mirrored, resolved
from restore.micrograph import Micrograph

_OPTIONS = "check `denoised_halves` and `denoised_suffix`"


@dataclass(frozen=True)
class DenoisedFiles:
    """The denoised halves of one micrograph."""

    even: Path
    odd: Path


def denoised_halves(
    micrographs: Sequence[Micrograph], folders: Sequence[Path], suffix: str
) -> list[DenoisedFiles]:
    """The denoised halves of each micrograph: in the folders of the even and the odd ones, or
    beside the raw ones.

    Their names are those of the raw halves with ``suffix`` added, and end in ``.mrc`` or as the raw
    ones do. ``folders`` holds two folders, one for both halves, or none. Within a folder, a file is
    expected below the subfolders of the micrograph's or the half's name, or at the top.

    Raises
    ------
    UserError
        A denoised half is missing, is the raw half itself, or would belong to two raw halves.
    """
    both = (folders[0], folders[-1]) if folders else (None, None)
    denoised: list[DenoisedFiles] = []
    for micrograph in micrographs:
        even, odd = _halves(micrograph)
        denoised.append(
            DenoisedFiles(
                _denoised(even, micrograph, both[0], suffix),
                _denoised(odd, micrograph, both[1], suffix),
            )
        )
    owners: dict[Path, Path] = {}
    for micrograph, files in zip(micrographs, denoised, strict=True):
        for half, path in zip(_halves(micrograph), (files.even, files.odd), strict=True):
            if (owner := owners.setdefault(resolved(path), half)) != half:
                raise UserError(
                    f"this would be the denoised version of {owner} and of {half}",
                    where=path,
                    do=_OPTIONS,
                )
    return denoised


def _halves(micrograph: Micrograph) -> tuple[Path, Path]:
    if micrograph.even is None or micrograph.odd is None:
        raise UserError("the micrograph has no halves", where=micrograph.name)
    return micrograph.even, micrograph.odd


def _denoised(half: Path, micrograph: Micrograph, folder: Path | None, suffix: str) -> Path:
    stem, ending = split_ending(half.name)
    names = dict.fromkeys(f"{stem}{suffix}{last}" for last in (ending, ".mrc"))
    if folder is None:
        candidates = [half.with_name(name) for name in names]
    else:
        trees = (mirrored(folder, Path(micrograph.name)), mirrored(folder, half))
        candidates = [
            place
            for name in names
            for place in (*(tree.with_name(name) for tree in trees), folder / name)
        ]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        wanted = "Every half needs one under its own name"
        raise UserError(
            f"there is no denoised version of {half.name}",
            where=candidates[-1],
            wanted=wanted,
            do=_OPTIONS,
        )
    if path.samefile(half):
        raise UserError(
            "this is the raw half itself",
            where=path,
            wanted="Its denoised version is needed",
            do=_OPTIONS,
        )
    return path
