"""How cryoSPARC's tables name files: from the project's folder, or, where they are exported, from
the table's own.
"""

import os
from collections.abc import Callable
from pathlib import Path

from restore.io.paths import Places, resolved

MARK = ">"
"""What an exported name begins with: the file lies beside the table. Other names start at the
project's folder.
"""

_PROJECT_HAS = ("cs.lock", "project.json")


def without_mark(text: str) -> str:
    """A name without the ">" of an exported one.

    >>> without_mark(">J5/extract/a.mrc"), without_mark("J5/extract/a.mrc")
    ('J5/extract/a.mrc', 'J5/extract/a.mrc')
    """
    return text.removeprefix(MARK)


def project_folder(path: Path) -> Path | None:
    """The folder of the project that a file lies in, told by cryoSPARC's lock or record there; None
    where there is none.
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
    """What finds the files that the table or group at ``path`` names.

    A marked name is looked for beside it first; another in the project's folder first, or where
    that cannot be told in the one above the table's, which is the job's. Then each folder above the
    table is tried, and the one where one works; where nothing is found, the first place is given.
    """
    folder = resolved(path).parent
    marked = Places((folder, *folder.parents, Path()))
    other = Places((project_folder(path) or folder.parent, *marked.folders))

    def find(text: str) -> Path:
        return (marked if text.startswith(MARK) else other).find_or_first(without_mark(text))

    return find


def reference(file: Path, folder: Path, project: Path | None) -> str:
    """The name of a file in a table in ``folder``: marked if it lies below it, from the project's
    folder, else whole.

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
    """The path without ".." and from the root, its links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow a link to where a project's file comes from
