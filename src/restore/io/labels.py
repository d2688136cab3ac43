"""The label by which a rerun knows an image that restore wrote, and what it was made with."""

from pathlib import Path
from typing import Literal

from restore.errors import UserError
from restore.io.images.mrc import mrc_labels

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
    """The fingerprint in the labels of an image of this kind; nothing where restore did not write
    it so, or not whole.
    """
    try:
        found = mrc_labels(path)
    except UserError:
        return ""
    prefix = _PREFIXES[kind]
    return next((label.removeprefix(prefix) for label in found if label.startswith(prefix)), "")
