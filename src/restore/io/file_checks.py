"""Checks, before anything is computed, that the images of a set exist and fit together."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.images.image import ImageHeader, read_image_header
from restore.micrograph import Micrograph

_log = logging.getLogger(__name__)

Part = Literal["image", "even", "odd"]
"""An image of a micrograph: the full sum, or one of its halves."""

HALVES: tuple[Part, ...] = ("even", "odd")
"""The images that training needs."""

ALL_PARTS: tuple[Part, ...] = ("image", *HALVES)

_WORDS: dict[Part, str] = {
    "image": "the full sum",
    "even": "the even half",
    "odd": "the odd half",
}


ReadHeader = Callable[[Path], ImageHeader]
"""A function that reads the header of an image."""


def reading_once() -> ReadHeader:
    """A function that reads each image's header only once, for several checks in a row."""
    return cache(read_image_header)


@dataclass(frozen=True)
class Problem:
    """A micrograph that cannot be used, and the reason as a message for the user."""

    micrograph: Micrograph
    message: str


def check_files(
    micrographs: Iterable[Micrograph],
    needed: Sequence[Part] = ("image",),
    read: ReadHeader = read_image_header,
    *,
    warns: bool = True,
) -> tuple[list[Micrograph], list[Problem]]:
    """The micrographs whose ``needed`` images exist, are readable, have the same shape and are
    distinct files; and the problems of the others.

    A full sum that is not needed may be missing, but must not have another shape. A file listed for
    two micrographs, under whatever names, counts for the first only. Only headers are read, by
    ``read``. If ``warns``, header pixel sizes that are more than 1 % off are summarised in one
    warning in the log.
    """
    good: list[Micrograph] = []
    problems: list[Problem] = []
    differing: list[str] = []
    owners: dict[tuple[int, int], str] = {}
    for micrograph in micrographs:
        try:
            headers = _headers(micrograph, needed, read)
            _refuse_shapes(micrograph, headers, read)
            files = _files(micrograph)
            _refuse_owned(micrograph, files, owners)
        except UserError as error:
            problems.append(Problem(micrograph, str(error)))
            continue
        good.append(micrograph)
        owners |= dict.fromkeys(files.values(), micrograph.name)
        differing += [
            text
            for part, header in headers.items()
            if (text := _difference(micrograph, part, header))
        ][:1]
    if differing and warns:
        _log.warning(
            "the header's pixel size is not used for %d of the micrographs: %s",
            len(differing),
            differing[0],
        )
    return good, problems


def misfit(
    micrograph: Micrograph, needed: Sequence[Part], read: ReadHeader = read_image_header
) -> str:
    """The reason why a micrograph's ``needed`` images cannot be used together: one is missing or
    not readable, they differ in shape, or two are one file. Empty if they can.
    """
    try:
        _refuse_shapes(micrograph, _headers(micrograph, needed, read), read)
        _files(micrograph)
    except UserError as error:
        return str(error)
    return ""


def may_be_unset(pixel_size_A: float) -> bool:
    """Whether a header's pixel size is exactly 1 Å, which many programs write when they do not know
    it.
    """
    return pixel_size_A == 1.0


def header_pixel_size_A(path: Path) -> float:
    """The pixel size in an image's header, in Å.

    One that `may_be_unset` is used, with a note in the log. Raises UserError if the header has no
    usable pixel size, or two different ones.
    """
    header = read_image_header(path)
    size_A = header.pixel_size_A
    if size_A is None and header.pixel_size_yx_A is not None:
        raise UserError(
            f"the pixel sizes in its header differ: {_of_both_axes(header.pixel_size_yx_A)}",
            where=path,
            do="give `pixel_size_A` in Å",
        )
    if size_A is None or not 0 < size_A < float("inf"):
        raise UserError(
            "there is no pixel size in its header", where=path, do="give `pixel_size_A` in Å"
        )
    if may_be_unset(size_A):
        _log.warning(
            "%s: the header says 1 Å a pixel, which may mean that nobody set it; it is taken. "
            "Give `pixel_size_A` if it is wrong.",
            path,
        )
    return size_A


def require_files(
    micrographs: Sequence[Micrograph],
    needed: Sequence[Part] = HALVES,
    read: ReadHeader = read_image_header,
) -> None:
    """Check as :func:`check_files` does, but do not accept any bad micrograph.

    Raises
    ------
    UserError
        There is any problem; the first five are listed, with the total number.
    """
    _, problems = check_files(micrographs, needed, read)
    if problems:
        lines = "\n".join(f"  {problem.message}" for problem in problems[:5])
        more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
        summary = f"{len(problems)} of the {len(micrographs)} micrographs cannot be used"
        raise UserError(f"{summary}:\n{lines}{more}\n{_advice(needed)}")


def _advice(needed: Sequence[Part]) -> str:
    """The advice at the end of the message of :func:`require_files`."""
    halves = "even" in needed or "odd" in needed
    return "Fix them or leave them out" + (
        "; the halves' names follow from `suffixes`. If there are no halves, make them with "
        "restore halves, or denoise without training: restore denoise"
        if halves
        else ""
    )


def _headers(
    micrograph: Micrograph, needed: Sequence[Part], read: ReadHeader
) -> dict[Part, ImageHeader]:
    headers: dict[Part, ImageHeader] = {}
    for part in needed:
        path = getattr(micrograph, part)
        if path is None:
            columns = "rlnMicrographNameEven and rlnMicrographNameOdd"
            do = f"give `suffixes`, or a STAR file with {columns}"
            raise UserError(
                f"its {part} half is not known",
                where=micrograph.name,
                wanted="Both halves are needed",
                do=do,
            )
        headers[part] = read(path)
    return headers


def _files(micrograph: Micrograph) -> dict[Part, tuple[int, int]]:
    """The identities of the existing files of a micrograph's images. Raises UserError if two of its
    images are the same file.
    """
    files: dict[Part, tuple[int, int]] = {}
    for part in ALL_PARTS:
        path = getattr(micrograph, part)
        try:
            status = path.stat() if path is not None else None
        except (OSError, ValueError):
            continue
        if status is None:
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in files.values():
            other: Part = next(name for name, known in files.items() if known == identity)
            raise UserError(
                f"{_WORDS[part]} and {_WORDS[other]} are one file, {path}",
                where=micrograph.name,
                wanted="Each must be an image of its own",
                do="check the names of the halves",
            )
        files[part] = identity
    return files


def _refuse_owned(
    micrograph: Micrograph,
    files: dict[Part, tuple[int, int]],
    owners: dict[tuple[int, int], str],
) -> None:
    for part, identity in files.items():
        if identity in owners:
            raise UserError(
                f"{_WORDS[part]}, {getattr(micrograph, part)}, is a file that belongs to "
                f"{owners[identity]} as well",
                where=micrograph.name,
                wanted="each micrograph must be listed only once",
                do="remove one of the two rows, or correct the names",
            )


def _with_full_sum(
    micrograph: Micrograph, headers: dict[Part, ImageHeader], read: ReadHeader
) -> dict[Part, ImageHeader]:
    """The headers, including that of the full sum if it can be read."""
    try:
        return {"image": read(micrograph.image), **headers}
    except (UserError, OSError, ValueError):
        return headers


def _refuse_shapes(
    micrograph: Micrograph, needed_headers: dict[Part, ImageHeader], read: ReadHeader
) -> None:
    headers = _with_full_sum(micrograph, needed_headers, read)
    if len({header.shape for header in headers.values()}) > 1:
        sizes = ", ".join(
            f"{getattr(micrograph, part)} has {header.shape[1]} x {header.shape[0]}"
            for part, header in headers.items()
        )
        wanted = "The images of one micrograph must have one shape"
        raise UserError(
            f"the shapes differ: {sizes} pixels",
            where=micrograph.name,
            wanted=wanted,
            do="make them again",
        )


def _difference(micrograph: Micrograph, part: Part, header: ImageHeader) -> str:
    ours_A, theirs_yx_A = micrograph.pixel_size_A, header.pixel_size_yx_A
    if theirs_yx_A is None or all(abs(side - ours_A) <= 0.01 * ours_A for side in theirs_yx_A):
        return ""
    name = micrograph.name if part == "image" else getattr(micrograph, part)
    words = f"{header.pixel_size_A:g} Å" if header.pixel_size_A else _of_both_axes(theirs_yx_A)
    return f"{name} has {words} in its header, and {ours_A:g} Å is taken"


def _of_both_axes(pixel_size_yx_A: tuple[float, float]) -> str:
    """Two different pixel sizes in words."""
    return "{:g} Å (y) and {:g} Å (x)".format(*pixel_size_yx_A)
