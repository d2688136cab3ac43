"""The codec between records and JSON, by which every result, card and settings file is written and
read.

A record is a dataclass. `plain` and `as_json` write it; `decoded` and `read_record` read it, driven
by the dataclass's own fields and types, and check everything, so that a malformed file ends in one
UserError that names the place in it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from restore.errors import UserError
from restore.records.decoding import LONGEST_QUOTE, MAY_BE_INFINITE, MisfitError, decoder_of

__all__ = [
    "LONGEST_QUOTE",
    "MAY_BE_INFINITE",
    "RecordFile",
    "as_json",
    "decoded",
    "parse_json",
    "plain",
    "python_number",
    "read_record",
    "record_text",
    "require_version",
]

Record = TypeVar("Record")


@dataclass(frozen=True)
class RecordFile:
    """A kind of JSON file that holds one record: its name in messages, its version, the command
    that writes it.
    """

    noun: str
    version: int
    made_by: str


def plain(value: Any) -> Any:
    """A value in the types of JSON: records become dictionaries, paths become text, NumPy's numbers
    become Python's, and numbers that are not finite become None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(part) for key, part in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    value = python_number(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def python_number(value: Any) -> Any:
    """The Python number or truth value that equals a scalar of NumPy; other values as they are.

    >>> import numpy
    >>> python_number(numpy.int64(8)), python_number(numpy.bool_(True)), python_number("8")
    (8, True, '8')
    """
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        value = value.item()  # NumPy itself is not imported here: `restore --help` does without it
    if isinstance(value, int | float) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def as_json(value: Any) -> str:
    """A value as indented JSON text, its keys in the order in which they were given."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def record_text(record: object, file: RecordFile) -> str:
    """The text of a JSON file for `read_record`, with ``format_version`` as its first key."""
    return as_json({"format_version": file.version} | plain(record)) + "\n"


def parse_json(text: str | bytes, where: object, noun: str = "file", do: str = "") -> Any:
    """The value of a JSON text. NaN, which is not valid JSON, becomes None; infinity, which is not
    either, is kept, and `decoded` accepts it in fields that are `MAY_BE_INFINITE`.

    Bytes that are not UTF-8, as in some file names, are decoded with ``surrogateescape``.

    Raises
    ------
    UserError
        The text is not JSON, nested too deeply, or holds a number of too many digits.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        return json.loads(text, parse_constant={"Infinity": math.inf}.get)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"a damaged {noun} ({reason})", where=where, do=do) from None


def decoded(
    kind: type[Record], value: object, where: object, noun: str = "file", do: str = ""
) -> Record:
    """The record from the plain values of JSON. Keys without a field are ignored, unless the
    record's class has ``exact = True``: then the keys must be exactly the fields.

    A field's type may be a number, text, truth value, Path, Literal, tuple, list, mapping with text
    as its keys, another dataclass, Any, or a union of these. An absent key takes the field's
    default. A number must be finite and no larger than `restore.records.decoding.LARGEST_NUMBER`;
    ``float | None`` accepts None. A ValueError of ``__post_init__`` also means damage.

    >>> decoded(RecordFile, {"noun": "card", "version": 1, "made_by": 3}, "model.safetensors")
    Traceback (most recent call last):
    ...
    restore.errors.UserError: model.safetensors: a damaged file (made_by is 3, not a text).

    Raises
    ------
    UserError
        A value is missing or does not fit; the message names its place.
    """
    try:
        return decoder_of(kind)(value)
    except MisfitError as misfit:
        raise UserError(f"a damaged {noun} ({misfit.words()})", where=where, do=do) from None


def require_version(
    card: object, version: int, where: object, noun: str = "file", do: str = ""
) -> None:
    """Raise UserError if ``format_version`` is missing, or is not the one that this
    program reads.
    """
    found_version = card.get("format_version") if isinstance(card, Mapping) else None
    if isinstance(found_version, bool) or not isinstance(found_version, int):
        reason = (
            "it has no format_version"
            if found_version is None
            else "its format_version is not an integer"
        )
        raise UserError(f"a damaged {noun} ({reason})", where=where, do=do)
    if found_version != version:
        raise UserError(
            f"format version {str(found_version)[:LONGEST_QUOTE]}",
            where=where,
            wanted=f"This version of restore reads version {version}",
            do="use the version of restore that wrote it, or a newer one",
        )


def read_record(path: Path, kind: type[Record], file: RecordFile) -> Record:
    """The record in a JSON file.

    Raises
    ------
    UserError
        The file cannot be read, is damaged, or is of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})", where=path) from None
    do = f"run {file.made_by} again"
    card = parse_json(content, path, file.noun, do)
    require_version(card, file.version, path, file.noun, do)
    return decoded(kind, card, path, file.noun, do)
