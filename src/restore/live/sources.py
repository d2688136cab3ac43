"""The source of a session's micrographs: a table that grows, or a folder that fills."""

import glob
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from restore.errors import UserError
from restore.io.endings import IMAGE_ENDINGS, ending_of, split_ending
from restore.io.half_names import Suffixes, half_names, is_half
from restore.io.images.image import read_image_header
from restore.io.images.movies import is_movie
from restore.io.labels import fingerprint_of
from restore.io.listings import ImageListing
from restore.io.micrographs import MicrographSet, Needs, is_table, read_images, read_micrographs
from restore.io.paths import Places
from restore.io.relion.micrographs import halves_by_suffix
from restore.live.files import ArrivingFiles
from restore.micrograph import Micrograph

log = logging.getLogger(__name__)

_POWER_SPECTRUM = re.compile(r"_(PS|ps|diag|avrot)$|_power(_spectrum)?$|\.ctf$")
"""Parts of the names of files that motion correction and CTF estimation write beside images."""


class Source(Protocol):
    """A list of the micrographs of a session."""

    def look(self) -> MicrographSet | None:
        """The micrographs listed at present, whether their images exist or not; None if there are
        none.
        """
        ...

    @property
    def waits(self) -> bool:
        """Whether there is something that may still be changing."""
        ...

    @property
    def problem(self) -> UserError | None:
        """The reason why the list cannot be read at present."""
        ...


@dataclass
class TableSource:
    """A table that another program rewrites during the session.

    It is read again when it has changed and settled. While it cannot be read, for instance because
    it is half-written, the previous contents are kept.
    """

    path: Path
    files: ArrivingFiles
    suffixes: Suffixes
    pixel_size_A: float | None
    needs: Needs
    problem: UserError | None = None
    _read: MicrographSet | None = None
    _state: tuple[int, ...] | None = None
    _logged: set[str] = field(default_factory=set[str])

    def look(self) -> MicrographSet | None:
        """The rows of the table when it could last be read."""
        self.files.look([self.path])
        state = self.files.state(self.path)
        if state is None and self._read is None:
            self._note(UserError("it is not there yet", where=self.path))
        elif state not in (None, self._state) and self.files.has_settled(self.path):
            self._state = state
            try:
                self._read = read_micrographs(
                    self.path, self.suffixes, self.pixel_size_A, self.needs
                )
                self.problem = None
            except UserError as error:
                self._note(error)
        return self._read

    @property
    def waits(self) -> bool:
        """Whether the table may still be changing."""
        return self.files.is_unsettled(self.path)

    def _note(self, error: UserError) -> None:
        """Remember a problem, and log it once."""
        self.problem = error
        if str(error) not in self._logged:
            self._logged.add(str(error))
            log.warning("%s It is read again when it has changed.", error)


@dataclass
class FolderSource:
    """A folder in which images appear, in the order in which they were written."""

    folder: Path
    pattern: str
    not_in: Path
    files: ArrivingFiles
    suffixes: Suffixes
    pixel_size_A: float | None
    needs: Needs
    _known: dict[str, tuple[tuple[int, ...] | None, Micrograph | None]] = field(
        default_factory=dict[str, tuple[tuple[int, ...] | None, Micrograph | None]]
    )
    _unreadable: dict[str, str] = field(default_factory=dict[str, str])
    _names: Sequence[str] = ()
    _has_warned: bool = False

    def look(self) -> MicrographSet | None:
        """The images that have arrived. Images that were removed remain listed, because their
        results are kept.
        """
        self._names = self._listed()
        self.files.look(Path(name) for name in self._names)
        for name in self._names:
            path = Path(name)
            if self.files.has_settled(path):
                state = self.files.state(path)
                if name not in self._known or self._known[name][0] != state:
                    self._known[name] = (state, self._micrograph(name))
        ordered = sorted(
            (micrograph for _, micrograph in self._known.values() if micrograph is not None),
            key=lambda micrograph: (_written(self._known[micrograph.name][0]), micrograph.name),
        )
        if not ordered:
            return None
        numbered = tuple(
            replace(self._with_late_halves(micrograph), row=row)
            for row, micrograph in enumerate(ordered)
        )
        listing = ImageListing(numbered)
        name = str(self.folder / self.pattern)
        return MicrographSet(name, numbered, listing, suffixes=self.suffixes)

    @property
    def waits(self) -> bool:
        """Whether an image is still being written."""
        return any(self.files.is_unsettled(Path(name)) for name in self._names)

    @property
    def problem(self) -> UserError | None:
        """The problem if no image could be read."""
        if any(micrograph for _, micrograph in self._known.values()):
            return None
        if self._unreadable:
            return UserError(next(iter(self._unreadable.values())).rstrip("."))
        return UserError(
            "no image matches it",
            where=self.folder / self.pattern,
            wanted="Images of MRC or TIFF are needed",
            do="check the folder and `pattern`",
        )

    @property
    def unreadable(self) -> dict[str, str]:
        """The images that cannot be read at present, with the reasons."""
        return dict(self._unreadable)

    def _listed(self) -> list[str]:
        """The names of images in the folder, except halves, power spectra, and files written by
        restore.
        """
        inside = os.path.realpath(self.not_in) + os.sep
        pattern = str(Path(glob.escape(str(self.folder))) / self.pattern)
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207  names stay as typed
        return [
            name
            for name in sorted(names)
            if ending_of(name) in IMAGE_ENDINGS
            and not is_half(name, self.suffixes)
            and not _POWER_SPECTRUM.search(split_ending(name)[0])
            and not os.path.realpath(name).startswith(inside)
        ]

    def _micrograph(self, name: str) -> Micrograph | None:
        """A settled file as a micrograph; None if it is not one, or is incomplete."""
        path = Path(name)
        problem = self.files.problem(path)
        if not problem and fingerprint_of(path):
            return None  # denoised already
        if not problem:
            try:
                read = read_images([name], self.suffixes, self._size_A(path), self.needs)
                self._unreadable.pop(name, None)
                return read.micrographs[0]
            except UserError as error:
                problem = str(error)
        if is_movie(path):
            log.info("%s is a movie, and left out", name)
        elif name not in self._unreadable:
            log.warning("%s It is tried again when it has changed.", problem)
            self._unreadable[name] = problem
        return None

    def _with_late_halves(self, micrograph: Micrograph) -> Micrograph:
        """The micrograph with its halves under another possible name, if they have arrived under
        that one since the image was seen first.
        """
        halves = (micrograph.even, micrograph.odd)
        if all(half is not None and self.files.state(half) for half in halves):
            return micrograph
        if len(half_names(micrograph.name, self.suffixes)) == 1:
            return micrograph
        even, odd = halves_by_suffix(micrograph.name, self.suffixes, Places())
        chosen = replace(micrograph, even=even, odd=odd)
        self._known[micrograph.name] = (self._known[micrograph.name][0], chosen)
        return chosen

    def _size_A(self, path: Path) -> float | None:
        """The given pixel size. For a size of 1 Å in a header a warning is logged once, and then it
        is treated as given.
        """
        if self.pixel_size_A is None and read_image_header(path).pixel_size_A == 1.0:
            if self._has_warned:
                return 1.0
            self._has_warned = True
        return self.pixel_size_A


def source_of(
    source: str | Path,
    *,
    pattern: str,
    not_in: Path,
    files: ArrivingFiles,
    suffixes: Suffixes,
    pixel_size_A: float | None,
    phase_flip: bool,
) -> TableSource | FolderSource:
    """The source of a session's micrographs: the table or the folder of this name; ``not_in`` is
    the folder of the output.

    Raises
    ------
    UserError
        There is no such folder; or phases are to be flipped, and a folder holds no CTF.
    """
    path = Path(source)
    if path.is_dir():
        needs = Needs(ctf=phase_flip, header_pixel_size=True)
        if phase_flip:
            raise UserError(
                "images in a folder have no CTF",
                where=path,
                wanted="Phase flipping needs the CTF",
                do="give a STAR file, or a model made with `phase_flip=False`",
            )
        return FolderSource(path, pattern, not_in, files, suffixes, pixel_size_A, needs)
    if not is_table(path):
        problem = "it is a file" if path.exists() else "there is no such folder"
        wanted = "A folder, or a table (STAR, .cs, .csg) is needed"
        raise UserError(problem, where=path, wanted=wanted, do="check the name")
    if not path.parent.is_dir():
        raise UserError("there is no such folder", where=path.parent, do="check the name")
    needs = Needs(ctf=phase_flip, skip_bad=True)
    return TableSource(path, files, suffixes, pixel_size_A, needs)


def _written(state: tuple[int, ...] | None) -> int:
    """The time of a file's last change, in ns."""
    return state[1] if state else 0
