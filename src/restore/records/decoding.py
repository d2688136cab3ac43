"""Decoding of plain values to records, by the types of their fields, with errors that name the
place.
"""

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from restore.errors import UserError

LARGEST_NUMBER = 1e100
"""The largest accepted number: restore writes no larger ones, and charts overflow not far above its
square.
"""
DEEPEST = 24
"""The deepest nesting of plain values in fields of any type (``Mapping[str, Any]``)."""
LONGEST_QUOTE = 40
"""The largest number of characters of a value that a message quotes."""
MAY_BE_INFINITE = {"may_be_infinite": True}
"""The metadata of a float field that may be infinite."""
_LARGEST_INTEGER = 2**63 - 1

Decoder = Callable[[Any], Any]


class MisfitError(Exception):
    """A value that does not fit its type; the path to it is extended while the error propagates."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def words(self) -> str:
        """The place and its value, as in ``groups[0].name is 3, not a text``."""
        place = "".join(reversed(self.path)).removeprefix(".")
        return f"{place} {self.problem}" if place else f"it {self.problem}"


@cache
def decoder_of(kind: Any) -> Decoder:
    """A function that checks and converts a plain value to a type, or raises `MisfitError`; built
    once for each type. Raises TypeError for a type that the codec does not support.
    """
    simple = {float: _float, int: _int, str: _text, bool: _truth, Any: _anything, Path: _path}
    if kind in simple:
        return simple[kind]
    return _record_decoder(kind) if is_dataclass(kind) else _generic_decoder(kind)


def _generic_decoder(kind: Any) -> Decoder:
    """The decoder of a choice, a union or a collection."""
    origin, parts = get_origin(kind), get_args(kind)
    is_row = origin is tuple and not (len(parts) == 2 and parts[1] is ...)
    if origin is Literal:
        decoder = _choice_decoder(parts)
    elif origin in (Union, types.UnionType):
        decoder = _union_decoder(parts)
    elif is_row:
        decoder = _row_decoder(tuple(decoder_of(part) for part in parts))
    elif origin in (tuple, list, Sequence):
        decoder = _list_decoder(decoder_of(parts[0]), list if origin is list else tuple)
    elif origin in (dict, Mapping) and parts[0] is str:
        decoder = _mapping_decoder(decoder_of(parts[1]))
    else:
        raise TypeError(f"the codec of records does not know the type {kind}")
    return decoder


def _quoted(value: object) -> str:
    """A value in a message: short, and on one line."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a group of values"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_INTEGER:
        return "a very large integer"
    text = json.dumps(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def _reject(value: object, wanted: str) -> MisfitError:
    return MisfitError(f"is {_quoted(value)}, not {wanted}")


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _reject(value, "a number")
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise MisfitError(f"is {_quoted(value)}, which is beyond {LARGEST_NUMBER:g}")
    return float(value)


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_INTEGER:
        raise _reject(value, "an integer")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _reject(value, "a text")
    if not value.isprintable() and any(_is_half(letter) for letter in value):
        raise MisfitError("is a text with half a character in it (a lone surrogate)")
    return value


def _is_half(letter: str) -> bool:
    """Whether a character is a lone surrogate, other than those that represent a byte of a name
    that is not UTF-8 (Python's ``surrogateescape``).
    """
    return "\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff"


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _reject(value, "true or false")
    return value


def _path(value: Any) -> Path:
    text = _text(value)
    if not text or "\0" in text:
        raise _reject(value, "a file's name")
    return Path(text)


def _anything(value: Any, depth: int = 0) -> Any:
    """Any plain value, with the same checks as for typed ones."""
    if depth > DEEPEST:
        raise MisfitError(f"is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return {
            _text(key): _at(f".{key}", lambda inner: _anything(inner, depth + 1), part)
            for key, part in cast(dict[str, Any], value).items()
        }
    if isinstance(value, list):
        return [
            _at(f"[{index}]", lambda inner: _anything(inner, depth + 1), part)
            for index, part in enumerate(cast(list[Any], value))
        ]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _int(value)
    return _float(value) if isinstance(value, float) else _text(value)


def _at(place: str, decode: Decoder, value: Any) -> Any:
    """The decoded value; the place is added to an error."""
    try:
        return decode(value)
    except MisfitError as misfit:
        misfit.path.append(place[: LONGEST_QUOTE + 1])
        raise


def _choice_decoder(choices: tuple[Any, ...]) -> Decoder:
    def decode(value: Any) -> Any:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise _reject(value, f"one of {', '.join(str(choice) for choice in choices)}")
        return value

    return decode


def _union_decoder(kinds: tuple[Any, ...]) -> Decoder:
    """A decoder that accepts None if allowed, else the first kind that fits; the error of a single
    kind is kept.
    """
    decoders = [decoder_of(kind) for kind in kinds if kind is not types.NoneType]
    has_none = types.NoneType in kinds

    def decode(value: Any) -> Any:
        if value is None and has_none:
            return None
        for decoder in decoders[:-1]:
            try:
                return decoder(value)
            except MisfitError:
                continue
        return decoders[-1](value)

    return decode


def _list_decoder(decode_part: Decoder, kind: type[list[Any]] | type[tuple[Any, ...]]) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise _reject(value, "a list")
        parts = cast(list[Any], value)
        return kind(_at(f"[{index}]", decode_part, part) for index, part in enumerate(parts))

    return decode


def _row_decoder(decoders: tuple[Decoder, ...]) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, list):
            raise _reject(value, "a list")
        parts = cast(list[Any], value)
        if len(parts) != len(decoders):
            raise MisfitError(f"has {len(parts)} values, not {len(decoders)}")
        pairs = enumerate(zip(decoders, parts, strict=True))
        return tuple(_at(f"[{index}]", decoder, part) for index, (decoder, part) in pairs)

    return decode


def _mapping_decoder(decode_part: Decoder) -> Decoder:
    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _reject(value, "a group of values")
        return {
            _text(key): _at(f".{key}", decode_part, part)
            for key, part in cast(dict[str, Any], value).items()
        }

    return decode


def _or_infinite(decode_finite: Decoder) -> Decoder:
    return lambda value: value if value == math.inf else decode_finite(value)


def _decoders_of_fields(kind: Any) -> dict[str, Decoder]:
    """A decoder for each field of a record."""
    hints = get_type_hints(kind)
    decoders: dict[str, Decoder] = {}
    for part in (part for part in fields(kind) if part.init):
        decoder = decoder_of(hints[part.name])
        infinite = part.metadata.get("may_be_infinite")
        decoders[part.name] = _or_infinite(decoder) if infinite else decoder
    return decoders


def _record_decoder(kind: Any) -> Decoder:
    decoders, exact = _decoders_of_fields(kind), getattr(kind, "exact", False)
    required = [
        part.name
        for part in fields(kind)
        if part.init and (exact or (part.default is MISSING and part.default_factory is MISSING))
    ]

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _reject(value, "a group of values")
        card = cast(dict[str, Any], value)
        missing = next((name for name in required if name not in card), None)
        if missing is not None:
            raise MisfitError(f"has no {missing}")
        unknown = next((name for name in card if name not in decoders), None) if exact else None
        if unknown is not None:
            raise MisfitError(f"has {_quoted(unknown)}, which is none of its fields")
        parts = {
            name: _at(f".{name}", decoder, card[name])
            for name, decoder in decoders.items()
            if name in card
        }
        try:
            return kind(**parts)
        except (ValueError, UserError) as error:
            raise MisfitError(f"is inconsistent: {error}") from None

    return decode
