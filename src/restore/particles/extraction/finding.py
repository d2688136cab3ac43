"""The image file of each micrograph that a table of particles names: raw, or denoised."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.cryosparc.datasets import ENDINGS as CRYOSPARC_ENDINGS
from restore.io.cryosparc.paths import finder
from restore.io.denoised_mark import is_denoised_image
from restore.io.endings import MRC_ENDINGS, split_ending
from restore.io.micrographs import Needs, read_micrographs
from restore.io.paths import Places, image_names, resolved

_LARGEST_EXAMPLES = 3
_THEY_ARE_RAW = "The images there are those that are taken as raw, which the particles name"
_GIVE_RAW = "denoise them, or, if the particles name denoised images, give `raw_micrographs`"


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


def counterparts(
    names: Iterable[str], source: str, leave_out: Iterable[Path] = ()
) -> dict[str, Path]:
    """The denoised image of each micrograph, among those that ``source`` lists.

    ``source`` is the STAR or ``.cs`` file that ``restore denoise`` wrote, a folder, or a pattern
    such as ``Denoised/*.mrc``. The name of a denoised image is that of the raw one followed by a
    suffix, which may be empty and is the same for all. Raw images may be in the same folder:
    those in ``leave_out`` are ignored, and images whose labels say that restore denoised them go
    before halves and other images. Where file names repeat, the image is taken whose folders agree
    with the micrograph's, compared from the file upwards.

    Raises
    ------
    UserError
        Some micrograph has none, or several that could be it; or all that ``source`` lists of these
        micrographs are left out.
    """
    names, left_out = list(names), {resolved(path) for path in leave_out}
    listed = _images(source)
    images = [path for path in listed if resolved(path) not in left_out]
    try:
        return _partners(names, images, source, "denoised image")
    except UserError as error:
        if len(images) == len(listed) or _partnered(names, images):
            raise
        raise error.instead(wanted=_THEY_ARE_RAW, do=_GIVE_RAW) from error


def _partnered(names: Iterable[str], images: Sequence[Path]) -> bool:
    """Whether the name of any image begins like one of the micrographs'."""
    stems = tuple({_stem(name) for name in names})
    return any(_stem(path.name).startswith(stems) for path in images)


def raw_images(names: Iterable[str], source: str) -> dict[str, Path]:
    """The raw image of each micrograph, among those that ``source`` lists; as `counterparts`, but
    images that restore denoised come last.
    """
    return _partners(names, _images(source), source, "raw image")


def _partners(
    names: Iterable[str],
    images: Sequence[Path],
    source: str,
    what: Literal["denoised image", "raw image"],
) -> dict[str, Path]:
    stems = {name: _stem(name) for name in names}
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    suffix = _common_suffix(set(stems.values()), images, denoised=what == "denoised image")
    for path in images:
        stem = _stem(path.name)
        if stem.endswith(suffix):
            by_stem[stem.removesuffix(suffix)].append(path)
    missing = [name for name, stem in stems.items() if not by_stem.get(stem)]
    if missing:
        find = "denoise these micrographs" if what == "denoised image" else "give another folder"
        do = f"{find}, or leave their particles out"
        raise UserError(_missing(missing, stems, what), where=source, do=do)
    return {name: _nearest(name, by_stem[stem], source, what) for name, stem in stems.items()}


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


def _common_suffix(stems: set[str], images: Sequence[Path], denoised: bool) -> str:
    """The suffix that follows the names of most micrographs; of equally frequent ones, the
    shortest. Suffixes of images that restore denoised come before all others, or after them.
    """
    paths: dict[str, Path] = {}
    counts: Counter[str] = Counter()
    for path in images:
        name = _stem(path.name)
        for end in range(1, len(name) + 1):
            if name[:end] in stems:
                counts[name[end:]] += 1
                paths.setdefault(name[end:], path)
    # Labels are read only where there is a choice: one image of each suffix.
    is_other = {
        suffix: len(counts) > 1 and is_denoised_image(path) is not denoised
        for suffix, path in paths.items()
    }

    def order(suffix: str) -> tuple[bool, int, int]:
        return is_other[suffix], -counts[suffix], len(suffix)

    return min(counts, key=order, default="")


def _nearest(name: str, paths: Sequence[Path], source: str, what: str) -> Path:
    """The path whose folders agree best with those of the name."""
    alike = [_folders_alike(Path(name), path) for path in paths]
    best = [path for path, number in zip(paths, alike, strict=True) if number == max(alike)]
    if len(best) > 1:
        problem = f"{best[0]} and {best[1]} could both be the {what} of {name}"
        raise UserError(
            problem, where=source, do="name one of the two, or the table that lists the right one"
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
