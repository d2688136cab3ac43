"""The label by which a rerun knows an image that restore wrote, and what it was made with."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.images.maps import read_map_header
from restore.io.images.mrc import mrc_labels
from restore.io.micrographs import MicrographSet

Kind = Literal["denoised", "halves"]
"""What an image is: denoised, or a half (or full sum) made from a movie or from counts."""

_PREFIXES: dict[Kind, str] = {
    "denoised": "restore fingerprint ",
    "halves": "restore halves fingerprint ",
}


def fingerprint_label(fingerprint: str, kind: Kind = "denoised") -> str:
    """The label, for an image's header, that says ``fingerprint``."""
    return _PREFIXES[kind] + fingerprint


def fingerprint_of(path: Path, kind: Kind = "denoised") -> str:
    """The fingerprint in the labels of an image, or of a stack of images, of this kind; nothing
    where restore did not write it so, or not whole.
    """
    labels = _labels(path)
    prefix = _PREFIXES[kind]
    return next((label.removeprefix(prefix) for label in labels if label.startswith(prefix)), "")


def _labels(path: Path) -> Sequence[str]:
    try:
        return mrc_labels(path)
    except UserError:  # no image; perhaps several
        pass
    try:
        return read_map_header(path, "stack").labels
    except UserError:
        return ()


def refuse_denoised(paths: Iterable[Path]) -> None:
    """UserError that names the label of the first of these images that restore denoised: its phases
    would be flipped twice, and nothing of what is measured would hold. Images that are not there,
    or are no MRC files, are passed over.
    """
    for path in paths:
        if (fingerprint := fingerprint_of(path)) != "":
            raise UserError(
                "restore has denoised it already: its label says "
                f'"{fingerprint_label(fingerprint)}"',
                where=path,
                wanted="Raw images are needed",
                do="give the table of the raw micrographs",
            )


def without_denoised(chosen: MicrographSet) -> MicrographSet:
    """The set without images that restore denoised, where it is of a pattern: a rerun's pattern
    matches its output. A table that lists such images, or halves, is refused with a UserError.
    """
    if chosen.is_listed:
        for micrograph in chosen.micrographs:
            images = (micrograph.image, micrograph.even, micrograph.odd)
            refuse_denoised(path for path in images if path)
        return chosen
    raw = tuple(
        micrograph for micrograph in chosen.micrographs if not fingerprint_of(micrograph.image)
    )
    if not raw:
        raise UserError(
            "only images that are denoised already match it",
            where=chosen.source,
            do="give the raw ones",
        )
    return replace(chosen, micrographs=raw)
