"""The image file of each micrograph that a table of particles names: raw, or denoised."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from restore.errors import UserError
from restore.io.cryosparc.datasets import ENDINGS as CRYOSPARC_ENDINGS
from restore.io.cryosparc.paths import finder
from restore.io.endings import MRC_ENDINGS, split_ending
from restore.io.micrographs import Needs, read_micrographs
from restore.io.paths import Places, image_names

_LARGEST_EXAMPLES = 3


def as_named(names: Iterable[str], table: Path) -> dict[str, Path]:
    """The image file of each micrograph that a table of particles (STAR or ``.cs``) names.

    Raises
    ------
    UserError
        There is none of some name.
    """
    find = (
        finder(table)
        if table.suffix.lower() in CRYOSPARC_ENDINGS
        else Places.of_star(table).find_or_first
    )
    images = {name: find(name) for name in names}
    missing = [name for name, path in images.items() if not path.is_file()]
    if missing:
        do = "run restore in the project's folder, or restore the micrographs to it"
        raise UserError(
            _missing(missing, images, "image"),
            where=table,
            wanted="Particles are extracted from them",
            do=do,
        )
    return images


def counterparts(names: Iterable[str], source: str) -> dict[str, Path]:
    """The denoised image of each micrograph, among those that ``source`` lists.

    ``source`` is the STAR or ``.cs`` file that ``restore denoise`` wrote, a folder, or a pattern
    such as ``Denoised/*.mrc``. The name of a denoised image is that of the raw one followed by a
    suffix, which may be empty and is the same for all. Where file names repeat, the image is taken
    whose folders agree with the micrograph's, compared from the file upwards.

    Raises
    ------
    UserError
        Some micrograph has none, or several that could be it.
    """
    images = _images(source)
    stems = {name: _stem(name) for name in names}
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    suffix = _common_suffix(set(stems.values()), [_stem(path.name) for path in images])
    for path in images:
        by_stem[_stem(path.name).removesuffix(suffix)].append(path)
    missing = [name for name, stem in stems.items() if not by_stem.get(stem)]
    if missing:
        do = "denoise these micrographs, or leave their particles out"
        raise UserError(_missing(missing, stems, "denoised image"), where=source, do=do)
    return {name: _nearest(name, by_stem[stem], source) for name, stem in stems.items()}


def _images(source: str) -> list[Path]:
    if Path(source).suffix.lower() in (".star", *CRYOSPARC_ENDINGS):
        return [
            micrograph.image
            for micrograph in read_micrographs(source, needs=Needs(ctf=False)).micrographs
        ]
    pattern = f"{source.rstrip('/')}/**/*" if Path(source).is_dir() else source
    return [Path(name) for name in image_names(pattern, MRC_ENDINGS)]


def _stem(name: str) -> str:
    return split_ending(Path(name).name)[0]


def _common_suffix(stems: set[str], denoised: Sequence[str]) -> str:
    """The suffix that follows the names of most micrographs; of equally frequent ones, the
    shortest.
    """
    suffixes = Counter(
        name[end:] for name in denoised for end in range(1, len(name) + 1) if name[:end] in stems
    )
    return min(suffixes, key=lambda suffix: (-suffixes[suffix], len(suffix)), default="")


def _nearest(name: str, paths: Sequence[Path], source: str) -> Path:
    """The path whose folders agree best with those of the name."""
    alike = [_folders_alike(Path(name), path) for path in paths]
    best = [path for path, number in zip(paths, alike, strict=True) if number == max(alike)]
    if len(best) > 1:
        problem = f"{best[0]} and {best[1]} could both be the denoised image of {name}"
        raise UserError(
            problem, where=source, do="name one of the two, or the table that restore denoise wrote"
        )
    return best[0]


def _folders_alike(name: Path, path: Path) -> int:
    """The number of folders that agree, counted upwards from the file."""
    pairs = zip(reversed(name.parts[:-1]), reversed(path.absolute().parts[:-1]), strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other), len(name.parts)
    )


def _missing(missing: Sequence[str], among: Mapping[str, object], what: str) -> str:
    shown = ", ".join(missing[:_LARGEST_EXAMPLES]) + (
        ", …" if len(missing) > _LARGEST_EXAMPLES else ""
    )
    return f"{len(missing)} of {len(among)} micrographs have no {what}: {shown}"
