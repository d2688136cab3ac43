"""File names in cryoSPARC's tables: relative to the project's folder or, in exported tables, to the
table's own.
"""

import os
from collections.abc import Callable
from pathlib import Path

from restore.io.paths import Places, resolved

MARK = ">"
"""The mark at the start of an exported name, which is relative to the table's folder. Other names
are relative to the project's folder.
"""

_PROJECT_HAS = ("cs.lock", "project.json")


def without_mark(text: str) -> str:
    """A name without the ">" that marks an exported one.

    >>> without_mark(">J5/extract/a.mrc"), without_mark("J5/extract/a.mrc")
    ('J5/extract/a.mrc', 'J5/extract/a.mrc')
    """
    return text.removeprefix(MARK)


def project_folder(path: Path) -> Path | None:
    """The folder of the project that a file is in, recognised by cryoSPARC's lock or record; None
    if there is none.
    """
    return next(
        (
            parent
            for parent in resolved(path).parents
            if any((parent / name).exists() for name in _PROJECT_HAS)
        ),
        None,
    )


def finder(path: Path) -> Callable[[str], Path]:
    """A function that finds the files named by the table or group at ``path``.

    A marked name is looked for beside the table first. Another name is looked for first in the
    project's folder or, if that is not known, in the folder above the table's, which is the job's.
    Then each folder above the table is tried, and finally the working directory. If nothing is
    found, the first candidate is returned.
    """
    folder = resolved(path).parent
    marked = Places((folder, *folder.parents, Path()))
    other = Places((project_folder(path) or folder.parent, *marked.folders))

    def find(text: str) -> Path:
        return (marked if text.startswith(MARK) else other).find_or_first(without_mark(text))

    return find


def reference(file: Path, folder: Path, project: Path | None) -> str:
    """The name of a file for a table in ``folder``: marked if the file is below it, else relative
    to the project's folder, else absolute.

    >>> reference(Path("/p/out/J2/a.mrc"), Path("/p/out"), Path("/p"))
    '>J2/a.mrc'
    >>> reference(Path("/p/J2/a.mrc"), Path("/p/J12"), Path("/p"))
    'J2/a.mrc'
    >>> reference(Path("/x/a.mrc"), Path("/p"), None)
    '/x/a.mrc'
    """
    whole = _absolute(file)
    for start in (_absolute(folder), resolved(folder)):
        if whole.is_relative_to(start):
            return MARK + str(whole.relative_to(start))
    inside = [path for path in (whole, resolved(whole)) if project and path.is_relative_to(project)]
    return str(inside[0].relative_to(project)) if project and inside else str(whole)


def _absolute(path: Path) -> Path:
    """The absolute path without "..", links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow a link to where a project's file comes from
