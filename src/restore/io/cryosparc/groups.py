"""cryoSPARC's ``.csg`` files: the text that says which ``.cs`` file holds which part (slot) of a
result group.

They are YAML, restricted to three nested tables of plain, quoted or one-item values. Only that is
read, line by line, so that everything else in a group is written back byte for byte, and nothing in
it can run code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.cryosparc.paths import MARK, finder
from restore.io.paths import resolved
from restore.io.reading import reading

_LINE = re.compile(r"""( *)('[^']*'|"[^"]*"|[^\s'"#\-:\[{][^:]*):(?:[ ]+(.*))?""")
_ITEM = re.compile(r"""'(?:[^']|'')*'|"(?:\\.|[^"])*"|[^,\s][^,]*""")
_IS_GROUP = "A .csg file of cryoSPARC is needed"
_EXPORT = "export the result group again"


@dataclass(frozen=True)
class Entry:
    """One key of a group file: its value ("" if there is none) and its lines, counted from zero."""

    text: str
    is_list: bool
    start: int
    stop: int

    @property
    def values(self) -> list[str]:
        """The value without its quotes; for a list, all of its values."""
        inside = (
            self.text.removeprefix("[").removesuffix("]").strip() if self.is_list else self.text
        )
        parts = _ITEM.findall(inside) if self.is_list else [inside] if inside else []
        return [_plain(part.strip()) for part in parts]


@dataclass(frozen=True)
class ResultGroup:
    """A result group: the file that holds each slot, such as ``ctf``, and the lines of the group's
    own file.

    ``metafiles`` are the names of these files as written there, by slot.
    """

    path: Path
    lines: tuple[str, ...]
    entries: Mapping[tuple[str, ...], Entry]
    metafiles: Mapping[str, str]

    def file_of(self, slot: str) -> Path:
        """The path of a slot's table: beside the group's file if marked so, else in the project's
        folder.
        """
        return finder(self.path)(self.metafiles[slot])

    @property
    def files(self) -> list[Path]:
        """The distinct tables of the group, in the order of their slots."""
        return list(dict.fromkeys(self.file_of(slot) for slot in self.metafiles))

    @property
    def version(self) -> str:
        """The version of cryoSPARC that wrote the group, "" if it is not given."""
        entry = self.entries.get(("version",))
        return entry.text if entry else ""

    def of(self, table: str, count: int) -> str:
        """The group's text with all slots in the file ``table`` beside it, which has ``count``
        rows.
        """
        lines = list(self.lines)
        changed = {
            entry.start: (entry, keys[-1])
            for keys, entry in self.entries.items()
            if len(keys) == 3 and keys[0] == "results" and keys[-1] in ("metafile", "num_items")
        }
        for start in sorted(changed, reverse=True):
            entry, key = changed[start]
            indent = _indent(lines[start])
            value = (
                quoted(MARK + table)
                if key == "metafile"
                else f"[{count}]"
                if entry.is_list
                else str(count)
            )
            lines[start : entry.stop] = [f"{indent}{key}: {value}"]
        return "\n".join(lines) + "\n"

    def with_slot(self, slot: str, slot_type: str) -> "ResultGroup":
        """The group with this slot added to the first slot's file, unless it already has the slot.

        ``slot_type`` is its type ("exposure.ctf"). The slot is inserted before the first one that
        sorts after it, as PyYAML would do.
        """
        if slot in self.metafiles:
            return self
        model = next(iter(self.metafiles))
        first = self.entries["results", model].start
        stop = max(entry.stop for keys, entry in self.entries.items() if keys[0] == "results")
        after = [name for name in self.metafiles if name > slot]
        place = min((self.entries["results", name].start for name in after), default=stop)
        outer = _indent(self.lines[first])
        inner = _indent(self.lines[self.entries["results", model, "metafile"].start])
        copied = (self.entries.get(("results", model, key)) for key in ("metafile", "num_items"))
        new = [
            f"{outer}{slot}:",
            *(line for entry in copied if entry for line in self.lines[entry.start : entry.stop]),
            f"{inner}type: {slot_type}",
        ]
        return _parsed(self.path, [*self.lines[:place], *new, *self.lines[place:]])


def read_group(path: Path) -> ResultGroup:
    """A ``.csg`` file.

    Raises
    ------
    UserError
        The file is missing, is not a group, or names no tables.
    """
    with reading(path, _IS_GROUP):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError("the file is not text", where=path, wanted=_IS_GROUP, do=_EXPORT) from error
    return _parsed(path, text.splitlines())


def groups_with(table: Path) -> list[ResultGroup]:
    """The groups in the folder of a table that join it with others; files that are not groups are
    ignored.
    """
    groups: list[ResultGroup] = []
    for path in sorted(table.parent.glob("*.csg")):
        try:
            group = read_group(path)
        except UserError:
            continue
        if any(resolved(file) == resolved(table) for file in group.files):
            groups.append(group)
    return groups


def quoted(text: str) -> str:
    """A text in YAML's single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _parsed(path: Path, text_lines: Sequence[str]) -> ResultGroup:
    """The group in a file's lines. Raises UserError if they name no tables."""
    lines = tuple(text_lines)
    entries = _entries(lines, path)
    named = {
        keys[1]: entry.values
        for keys, entry in entries.items()
        if keys[0] == "results" and keys[2:] == ("metafile",)
    }
    if not named:
        raise UserError("it names no metafile", where=path, wanted=_IS_GROUP, do=_EXPORT)
    for slot, files in named.items():
        if len(files) != 1:
            problem = f"{len(files)} metafiles are named"
            raise UserError(
                problem,
                where=f"{path}, results, {slot}",
                wanted="cryoSPARC keeps each slot in exactly one metafile",
                do=_EXPORT,
            )
    return ResultGroup(path, lines, entries, {slot: files[0] for slot, files in named.items()})


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _entries(lines: tuple[str, ...], where: object) -> dict[tuple[str, ...], Entry]:
    """Every key with its value; a key is given as the keys above it and its own name."""
    entries: dict[tuple[str, ...], Entry] = {}
    above: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        words = line.strip()
        if not words or words.startswith("#") or words in ("---", "..."):
            continue
        indent, last = len(line) - len(line.lstrip(" ")), tuple(key for _, key in above)
        if above and (words.startswith("- ") or (indent > above[-1][0] and entries[last].text)):
            entries[last] = _longer(entries[last], words, number)
            continue
        while above and above[-1][0] >= indent:
            above.pop()
        match = _LINE.fullmatch(line.rstrip())
        key = _plain(match[2]) if match else ""
        keys = (*(key for _, key in above), key)
        if match is None or keys in entries:
            problem = f'"{words[:40]}" {"occurs twice" if match else "is not understood"}'
            raise UserError(
                problem, where=f"{where}, line {number + 1}", wanted=_IS_GROUP, do=_EXPORT
            )
        above.append((indent, key))
        text = (match[3] or "").strip()
        entries[keys] = Entry(text, text.startswith("["), number, number + 1)
    return entries


def _longer(entry: Entry, words: str, number: int) -> Entry:
    """The entry with one more line: an item of a list, or the continuation of a long value, which
    YAML breaks at a space.
    """
    if not words.startswith("- "):
        return Entry(f"{entry.text} {words}", entry.is_list, entry.start, number + 1)
    item = words[2:].strip()
    return Entry(f"{entry.text}, {item}" if entry.text else item, True, entry.start, number + 1)


def _plain(text: str) -> str:
    """A text without its quotes. Within double quotes, a backslash escapes the character
    after it.
    """
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return (
        re.sub(r"\\(.)", r"\1", text[1:-1])
        if len(text) > 1 and text[0] == text[-1] == '"'
        else text
    )
