"""Whether the images of a set are there and fit together, before anything is computed."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.images.image import ImageHeader, read_image_header
from restore.micrograph import Micrograph

_log = logging.getLogger(__name__)

Part = Literal["image", "even", "odd"]
"""Which image of a micrograph: the full sum, or one of its halves."""

HALVES: tuple[Part, ...] = ("even", "odd")
"""What training needs."""


@dataclass(frozen=True)
class Problem:
    """A micrograph that cannot be used, and why, in words for a person."""

    micrograph: Micrograph
    message: str


def check_files(
    micrographs: Iterable[Micrograph], needed: Sequence[Part] = ("image",)
) -> tuple[list[Micrograph], list[Problem]]:
    """The micrographs whose ``needed`` images are there, readable and of one shape, and the
    problems of the others.

    Only headers are read. Pixel sizes in headers that are more than 1 % off are summed up in one
    warning in the log.
    """
    good: list[Micrograph] = []
    problems: list[Problem] = []
    differing: list[str] = []
    for micrograph in micrographs:
        try:
            headers = _headers(micrograph, needed)
            _refuse_shapes(micrograph, headers)
        except UserError as error:
            problems.append(Problem(micrograph, str(error)))
            continue
        good.append(micrograph)
        differing += [
            text for header in headers.values() if (text := _difference(micrograph, header))
        ][:1]
    if differing:
        _log.warning(
            "the header's pixel size is not used for %d of the micrographs: %s",
            len(differing),
            differing[0],
        )
    return good, problems


def fit_together(micrograph: Micrograph, needed: Sequence[Part]) -> bool:
    """Whether a micrograph's ``needed`` images are there, readable and of one shape."""
    try:
        _refuse_shapes(micrograph, _headers(micrograph, needed))
    except UserError:
        return False
    return True


def header_pixel_size_A(path: Path) -> float:
    """The pixel size in an image's header, in Å.

    One of exactly 1 Å is often a program's way to say nothing: it is taken, and the log says so.
    Raises UserError where the header has none that can be used.
    """
    size_A = read_image_header(path).pixel_size_A
    if size_A is None or not 0 < size_A < float("inf"):
        raise UserError(
            "there is no pixel size in its header", where=path, do="give `pixel_size_A` in Å"
        )
    if size_A == 1.0:
        _log.warning(
            "%s: the header says 1 Å a pixel, which may mean that nobody set it; it is taken. "
            "Give `pixel_size_A` if it is wrong.",
            path,
        )
    return size_A


def require_files(micrographs: Sequence[Micrograph], needed: Sequence[Part] = HALVES) -> None:
    """Check as :func:`check_files` does, where one bad micrograph is one too many.

    Raises
    ------
    UserError
        There is any problem; the first five are listed, and how many there are.
    """
    _, problems = check_files(micrographs, needed)
    if problems:
        lines = "\n".join(f"  {problem.message}" for problem in problems[:5])
        more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
        summary = f"{len(problems)} of the {len(micrographs)} micrographs cannot be used"
        raise UserError(f"{summary}:\n{lines}{more}\n{_advice(needed)}")


def _advice(needed: Sequence[Part]) -> str:
    """The last line of what :func:`require_files` says."""
    halves = "even" in needed or "odd" in needed
    return "Fix them or leave them out" + (
        "; the halves' names follow from `suffixes`. If there are no halves, make them with "
        "restore halves, or denoise without training: restore denoise"
        if halves
        else ""
    )


def _headers(micrograph: Micrograph, needed: Sequence[Part]) -> dict[Part, ImageHeader]:
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
        headers[part] = read_image_header(path)
    return headers


def _refuse_shapes(micrograph: Micrograph, headers: dict[Part, ImageHeader]) -> None:
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


def _difference(micrograph: Micrograph, header: ImageHeader) -> str:
    ours_A, theirs_A = micrograph.pixel_size_A, header.pixel_size_A
    if theirs_A is None or abs(theirs_A - ours_A) <= 0.01 * ours_A:
        return ""
    return f"{micrograph.name} has {theirs_A:g} Å in its header, and {ours_A:g} Å is taken"
