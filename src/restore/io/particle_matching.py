"""Matching the particles of two files."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from restore.errors import UserError
from restore.io.particle_records import Particles

_FAR_PX = 1e9  # between two micrographs, for a search in all of them at once
_NamesOf = Callable[[Sequence[str]], list[str]]
_Places = tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "m 2"]]


@dataclass(frozen=True)
class _Pairs:
    """Matching rows of two files, and the number of particles of the first whose key is
    not unique.
    """

    first: Int[np.ndarray, "m"]
    second: Int[np.ndarray, "m"]
    ambiguous: int = 0


@dataclass(frozen=True)
class Matches:
    """Rows (from zero) of two files that hold the same particle, in the order of the first; ``way``
    names the criterion.

    ``ambiguous`` counts the particles of the first file that were left unmatched because, by this
    criterion, others have the same name.
    """

    way: str
    first: Int[np.ndarray, "m"]
    second: Int[np.ndarray, "m"]
    ambiguous: int = 0


def match(first: Particles, second: Particles, tolerance_px: float) -> Matches:
    """The particles that both files hold, by the first of these criteria that matches half of the
    smaller file, else by the one that matches most.

    Unique identifier (cryoSPARC's); name in the tomogram (RELION 5's); image name; micrograph and
    coordinates, nearest within ``tolerance_px`` pixels of the first file's micrographs; the same
    ignoring the micrographs' folders; image name without the job that made the stack; image name
    ignoring the stacks' folders. Leading zeros of an image's number are ignored and, where folders
    are, so is the long number that cryoSPARC puts before the names of imported files.

    Raises
    ------
    UserError
        A particle is listed twice in one of the files, or no criterion matches any pair.
    """
    candidates: list[Matches] = []
    for way, find in _WAYS.items():
        pairs = find(first, second, tolerance_px)
        if pairs is not None:
            order = np.argsort(pairs.first, kind="stable")
            candidates.append(
                Matches(way, pairs.first[order], pairs.second[order], pairs.ambiguous)
            )
            if 2 * len(order) >= min(len(first), len(second)):
                return candidates[-1]
    best = max(candidates, key=lambda matches: len(matches.first), default=None)
    if best is not None and len(best.first):
        return best
    tried = ", ".join(matches.way for matches in candidates)
    wanted = f"Tried: {tried}" if tried else "They have no column in common by which to tell"
    examples = f"the first particles are {_description(first)} and {_description(second)}"
    nothing, do = (
        f"no particle of {first.source} is in {second.source}",
        "give two refinements of the same particles",
    )
    raise UserError(nothing, wanted=f"{wanted}; {examples}", do=do)


def coordinates_apart_px(
    first: Particles, second: Particles, matches: Matches
) -> Float[np.ndarray, "m"] | None:
    """The distance between the two coordinates of each matched particle, in the first file's
    pixels; None if not known.
    """
    distances = [
        np.linalg.norm(xy[matches.first] - other_xy[matches.second], axis=1)
        for xy, other_xy in _same_pixels(first, second)
    ]
    return min(distances, key=lambda distance_px: float(np.median(distance_px)), default=None)


def _by_uid(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:  # noqa: ARG001
    if first.uids is None or second.uids is None:
        return None
    for particles, uids in ((first, first.uids), (second, second.uids)):
        _refuse_repeats(particles, uids.tolist(), [f"uid {uid}" for uid in uids])
    rows = np.intersect1d(first.uids, second.uids, assume_unique=True, return_indices=True)[1:]
    return _Pairs(rows[0], rows[1])


def _by_tomogram_name(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:  # noqa: ARG001
    if first.tomogram_names is None or second.tomogram_names is None:
        return None
    return _common(first.tomogram_names, second.tomogram_names)


def _by_image_name(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:  # noqa: ARG001
    if first.image_names is None or second.image_names is None:
        return None
    keys = [
        [_image_key(name) for name in names] for names in (first.image_names, second.image_names)
    ]
    for particles, own_keys, names in zip(
        (first, second), keys, (first.image_names, second.image_names), strict=True
    ):
        _refuse_repeats(particles, own_keys, names)
    return _common(keys[0], keys[1])


def _by_image_of_any_job(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:  # noqa: ARG001
    """By image name without the folder of the job."""
    return _by_changed_image_name(first, second, _without_job)


def _by_stack_file(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:  # noqa: ARG001
    """By image name without folders."""
    return _by_changed_image_name(first, second, _without_folder)


def _by_changed_image_name(
    first: Particles, second: Particles, change: Callable[[tuple[str, str]], tuple[str, str]]
) -> _Pairs | None:
    if first.image_names is None or second.image_names is None:
        return None
    return _common(
        [change(_image_key(name)) for name in first.image_names],
        [change(_image_key(name)) for name in second.image_names],
    )


def _by_coordinates(first: Particles, second: Particles, tolerance_px: float) -> _Pairs | None:
    return _nearest(first, second, tolerance_px, list)


def _by_coordinates_and_file(
    first: Particles, second: Particles, tolerance_px: float
) -> _Pairs | None:
    return _nearest(first, second, tolerance_px, lambda names: [_file_name(name) for name in names])


_WAYS = {
    "unique identifier": _by_uid,
    "name in the tomogram": _by_tomogram_name,
    "image name": _by_image_name,
    "micrograph and coordinates": _by_coordinates,
    "micrograph (its folder left aside) and coordinates": _by_coordinates_and_file,
    "image name (the job left aside)": _by_image_of_any_job,
    "image name (the folder of its stack left aside)": _by_stack_file,
}


def _nearest(
    first: Particles, second: Particles, tolerance_px: float, names_of: _NamesOf
) -> _Pairs | None:
    """Pairs of mutual nearest neighbours in the same micrograph, within the tolerance."""
    if first.micrograph_names is None or second.micrograph_names is None:
        return None
    names = names_of(first.micrograph_names), names_of(second.micrograph_names)
    pairs = [
        _nearest_places((first, second), names, places, tolerance_px)
        for places in _same_pixels(first, second)
    ]
    return max(pairs, key=lambda pairs: len(pairs.first), default=None)


def _nearest_places(
    both: tuple[Particles, Particles],
    names_of_both: tuple[list[str], list[str]],
    places: _Places,
    tolerance_px: float,
) -> _Pairs:
    numbers: dict[str, int] = {}
    spots: list[Float[np.ndarray, "n 3"]] = []
    for particles, names, xy in zip(both, names_of_both, places, strict=True):
        micrograph = [numbers.setdefault(name, len(numbers)) for name in names]
        spots.append(np.column_stack([xy, np.array(micrograph) * _FAR_PX]))
        words = [
            f"the place {x:g}, {y:g} of {name}"
            for name, (x, y) in zip(names, xy.tolist(), strict=True)
        ]
        _refuse_repeats(particles, list(map(tuple, spots[-1].tolist())), words)
    distance_px, there = map(np.asarray, KDTree(spots[1]).query(spots[0]))
    back = np.asarray(KDTree(spots[0]).query(spots[1])[1])
    here = np.flatnonzero((distance_px <= tolerance_px) & (back[there] == np.arange(len(there))))
    return _Pairs(here, there[here])


def _same_pixels(first: Particles, second: Particles) -> list[_Places]:
    """The coordinates of both files in the first one's pixels.

    If the pixel size of a file's micrographs is not known, there are two possibilities: both files
    were made from the same micrographs, and the coordinates are unchanged; or that file's
    micrographs are not binned, and have the pixel size of their movies.
    """
    if first.coordinates_px is None or second.coordinates_px is None:
        return []
    places: list[_Places] = []
    sizes_A = [particles.micrograph_pixel_size_A for particles in (first, second)]
    if sizes_A[0] is None or sizes_A[1] is None:
        places.append((first.coordinates_px, second.coordinates_px))
        sizes_A = [
            particles.movie_pixel_size_A if size_A is None else size_A
            for particles, size_A in zip((first, second), sizes_A, strict=True)
        ]
    if sizes_A[0] is not None and sizes_A[1] is not None:
        unit_A = float(np.median(sizes_A[0]))
        scales = [(size_A / unit_A)[:, None] for size_A in sizes_A if size_A is not None]
        places.append((first.coordinates_px * scales[0], second.coordinates_px * scales[1]))
    return places


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> _Pairs:
    """The rows of the keys of ``first`` that are also in ``second``. A key that occurs twice in
    either file does not identify a particle: such keys are counted and left out.
    """
    repeated = {
        key for keys in (first, second) for key, times in Counter(keys).items() if times > 1
    }
    row_of = {key: row for row, key in enumerate(second)}
    shared = [row for row, key in enumerate(first) if key in row_of]
    clear = [row for row in shared if first[row] not in repeated]
    candidates = [row_of[first[row]] for row in clear]
    return _Pairs(
        np.array(clear, dtype=np.int64),
        np.array(candidates, dtype=np.int64),
        len(shared) - len(clear),
    )


def _image_key(name: str) -> tuple[str, str]:
    """The number in the stack and the stack.

    >>> _image_key("000017@Extract/job018/a.mrcs")
    ('17', 'Extract/job018/a.mrcs')
    """
    number, at, stack = name.partition("@")
    return (number.lstrip("0"), stack) if at else ("", name)


def _without_folder(key: tuple[str, str]) -> tuple[str, str]:
    return key[0], _file_name(key[1])


def _without_job(key: tuple[str, str]) -> tuple[str, str]:
    """The key without the folders up to and including that of RELION's or cryoSPARC's job.

    >>> _without_job(("", "Extract/job018/Subtomograms/TS_01/12_stack2d.mrcs"))
    ('', 'Subtomograms/TS_01/12_stack2d.mrcs')
    """
    return key[0], re.sub(r"^.*?(?:^|/)(?:job\d{3,}|J\d+)/", "", key[1])


def _file_name(path: str) -> str:
    """The file's name, without the long number that cryoSPARC puts before it on import.

    >>> _file_name("J2/imported/004356277541886112345_mic_01.mrc")
    'mic_01.mrc'
    """
    return re.sub(r"^\d{15,}_", "", path.rpartition("/")[2])


def _refuse_repeats(particles: Particles, keys: Sequence[Hashable], words: Sequence[str]) -> None:
    first_row: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        before = first_row.setdefault(key, row)
        if before != row:
            problem = f"rows {before + 1} and {row + 1} both hold {words[row]}"
            do = "remove one of them (a file made by symmetry expansion cannot be compared)"
            raise UserError(
                problem, where=particles.source, wanted="A particle may be listed only once", do=do
            )


def _description(particles: Particles) -> str:
    """The first particle of a file, with everything by which it could be identified."""
    parts = [particles.image_names[0]] if particles.image_names else []
    if particles.coordinates_px is not None and particles.micrograph_names:
        x, y = particles.coordinates_px[0]
        parts.append(f"at {x:g}, {y:g} in {particles.micrograph_names[0]}")
    if particles.uids is not None:
        parts.append(f"uid {particles.uids[0]}")
    return f"{' '.join(parts) or 'without any name'} ({particles.source})"
