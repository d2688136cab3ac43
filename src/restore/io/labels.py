"""Labels by which a rerun recognises the images that restore wrote, and how they were made."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.images.maps import read_map_header
from restore.io.images.mrc import mrc_labels
from restore.io.micrographs import MicrographSet

Kind = Literal["denoised", "halves"]
"""The kind of an image: denoised, or a half (or full sum) made from a movie or from counts."""

_PREFIXES: dict[Kind, str] = {
    "denoised": "restore fingerprint ",
    "halves": "restore halves fingerprint ",
}
_SECTIONS = "restore sections "


def fingerprint_label(fingerprint: str, kind: Kind = "denoised") -> str:
    """The label with ``fingerprint`` for an image's header."""
    return _PREFIXES[kind] + fingerprint


def fingerprint_of(path: Path, kind: Kind = "denoised") -> str:
    """The fingerprint in the labels of an image or stack of this kind; "" if restore did not
    write it, or did not write it completely.
    """
    return _labelled(path, _PREFIXES[kind])


def sections_label(digest: str) -> str:
    """The label that says, by a digest, which sections of which stack an output stack holds."""
    return _SECTIONS + digest


def sections_of(path: Path) -> str:
    """The digest in the label of `sections_label`; "" if the file has none."""
    return _labelled(path, _SECTIONS)


def _labelled(path: Path, prefix: str) -> str:
    """What follows the prefix in the first label that begins with it; "" if none does."""
    labels = _labels(path)
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
    """Raise UserError, quoting the label, if restore has denoised one of these images: its phases
    would be flipped twice, and no measurement on it would be valid. Images that do not exist or are
    not MRC files are ignored.
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
    """The set without images that restore denoised, if the source is a pattern, because in a rerun
    a pattern also matches the output. A table that lists such images or halves raises UserError.
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
