"""Particle images: stacks named by a refinement's file, read some images at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from restore.errors import UserError
from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.cryosparc.paths import MARK, finder
from restore.io.images.byte_stream import open_bytes
from restore.io.images.maps import MapHeader, read_map_header
from restore.io.particles import Particles, read_particles
from restore.io.paths import Places

_MAKE_AGAIN = "extract the particles again, all with one box and pixel size"


@dataclass(frozen=True)
class ParticleImages:
    """Particles and the places of their square images: the stack of each, and its section, counted
    from zero.
    """

    particles: Particles
    paths: tuple[Path, ...]
    sections: Int[np.ndarray, "n"]
    box_px: int
    pixel_size_A: float

    def __len__(self) -> int:
        return len(self.particles)


def open_particle_images(path: Path, needs_poses: bool = True) -> ParticleImages:
    """The particles of a RELION STAR, ``.cs`` or ``.csg`` file, and their images, found and checked
    but not read.

    The pixel size is the file's or, if it has none, that of the first stack's header, by which
    shifts in pixels are then converted to Å. Poses are checked, and needed, as described in
    `read_particles`.

    Raises
    ------
    UserError
        As :func:`read_particles`; or no images are named; a stack is missing, is not an MRC file,
        is cut short, or has fewer images than are named; or images are not square, have an odd
        side, or differ in size or pixel size.
    """
    particles = read_particles(path, needs_poses)
    if particles.image_names is None:
        wanted = "Each particle needs its image"
        raise UserError(
            "no images are named (rlnImageName, blob/path)",
            where=path,
            wanted=wanted,
            do="give another file",
        )
    places = [_place(name, row, particles.source) for row, name in enumerate(particles.image_names)]
    marks = ("",) * len(particles)
    if particles.exported is not None:
        marks = tuple(MARK if exported else "" for exported in particles.exported)
    # A name with its mark and one without it may be different files.
    places = [(mark + name, section) for mark, (name, section) in zip(marks, places, strict=True)]
    find = finder(path) if is_cryosparc(path) else Places.of_star(path).find_or_first
    files = {name: find(name) for name in dict.fromkeys(name for name, _ in places)}
    headers = {name: read_map_header(file, "stack") for name, file in files.items()}
    _refuse_shapes(list(headers.values()))
    for row, (name, section) in enumerate(places):
        _refuse_section(
            headers[name],
            section if "@" in particles.image_names[row] else None,
            f"row {row + 1} of {path}",
        )
    first = headers[places[0][0]]
    sections = np.array([section for _, section in places])
    pixel_size_A = _pixel_size_A(particles, first)
    if particles.origins_px is not None:
        origins_A = particles.origins_px * pixel_size_A
        particles = replace(particles, origins_A=origins_A, origins_px=None)
    return ParticleImages(
        particles, tuple(files[name] for name, _ in places), sections, first.shape[-1], pixel_size_A
    )


def read_particle_images(
    images: ParticleImages, rows: Sequence[int] | Int[np.ndarray, "m"]
) -> Float[np.ndarray, "m y x"]:
    """The images of the particles in these rows (counted from zero), in this order, as float32.

    Raises
    ------
    UserError
        A stack cannot be read, or holds values that are not finite.
    """
    side = images.box_px
    read = np.empty((len(rows), side, side), np.float32)
    wanted = sorted(
        (str(images.paths[row]), int(images.sections[row]), place) for place, row in enumerate(rows)
    )
    for name, group in groupby(wanted, key=lambda reference: reference[0]):
        _read_sections(Path(name), [(section, place) for _, section, place in group], read)
    bad = np.flatnonzero(~np.isfinite(read).all(axis=(1, 2)))
    if len(bad):
        row = rows[int(bad[0])]
        problem = f"image {images.sections[row] + 1} holds values that are not finite"
        raise UserError(
            problem,
            where=images.paths[row],
            wanted="Every pixel must be a number",
            do="make the file again",
        )
    return read


def signed_images(
    images: ParticleImages, rows: Sequence[int] | Int[np.ndarray, "m"]
) -> Float[np.ndarray, "m y x"]:
    """The same, in the contrast that is meant: multiplied by their ``contrast_signs``.

    Raises
    ------
    UserError
        As :func:`read_particle_images`.
    """
    read, signs = read_particle_images(images, rows), images.particles.contrast_signs
    if signs is not None:
        read[signs[np.asarray(rows)] < 0] *= -1
    return read


def _read_sections(
    path: Path, wanted: Sequence[tuple[int, int]], into: Float[np.ndarray, "m y x"]
) -> None:
    """Read sections of one stack, in ascending order, into their places."""
    header = read_map_header(path, "stack")
    pixels = header.shape[-2] * header.shape[-1]
    with open_bytes(path) as file:
        file.skip(header.offset_bytes)
        at, last = 0, None
        for section, place in wanted:
            if last is not None and section == at - 1:
                into[place] = into[last]
                continue
            file.skip((section - at) * pixels * header.dtype.itemsize)
            into[place] = file.array(header.dtype, pixels).reshape(header.shape[-2:])
            at, last = section + 1, place


def _place(name: str, row: int, source: str) -> tuple[str, int]:
    """The stack and the section (from zero) that an image's name "000001@stack.mrcs" stands for; a
    name without "@" is a single image.
    """
    number, at, stack = name.rpartition("@")
    if at and not number.isdigit():
        wanted = "A number and the name of a stack are needed, as 000001@stack.mrcs"
        raise UserError(
            f'rlnImageName is "{name}"',
            where=f"{source}, row {row + 1}",
            wanted=wanted,
            do="correct it",
        )
    return stack, int(number) - 1 if at else 0


def _refuse_shapes(headers: Sequence[MapHeader]) -> None:
    first = headers[0]
    for header in headers:
        y, x = header.shape[-2:]
        if y != x or y % 2:
            problem, wanted = (
                f"its images have {x} x {y} pixels",
                "Square images of an even side are needed",
            )
            raise UserError(problem, where=header.path, wanted=wanted, do=_MAKE_AGAIN)
        if y != first.shape[-1]:
            problem = (
                f"its images have {x} x {y} pixels, and those of {first.path} {first.shape[-1]} x "
                f"{first.shape[-1]}"
            )
            raise UserError(
                problem, where=header.path, wanted="All images must have one size", do=_MAKE_AGAIN
            )


def _refuse_section(header: MapHeader, section: int | None, row: str) -> None:
    """Raise UserError if a stack has no such section; None stands for the only section of
    a file.
    """
    count = header.shape[0]
    if section is None and count > 1:
        problem, wanted = (
            f"it has {count} sections, and {row} does not say which",
            "Each particle is one section of a stack",
        )
    elif section is not None and not 0 <= section < count:
        problem, wanted = (
            f"image {section + 1} is asked for, and there are {count}",
            f"{row[0].upper()}{row[1:]} names it",
        )
    else:
        return
    raise UserError(problem, where=header.path, wanted=wanted, do=_MAKE_AGAIN)


def _pixel_size_A(particles: Particles, header: MapHeader) -> float:
    sizes_A = particles.image_pixel_size_A
    if sizes_A is None:
        if header.voxel_size_zyx_A is None:
            problem = (
                f"there is no pixel size of the images, nor one in the header of {header.path}"
            )
            raise UserError(
                problem,
                where=particles.source,
                wanted="The pixel size of the images, in Å, is needed",
                do="add rlnImagePixelSize",
            )
        return header.voxel_size_zyx_A[-1]
    first_A = float(sizes_A[0])
    differing = np.flatnonzero(~(abs(sizes_A - first_A) <= 1e-3 * first_A))
    if first_A <= 0 or len(differing):
        row = int(differing[0]) if len(differing) else 0
        problem = f"row {row + 1} has images of {sizes_A[row]:g} Å per pixel" + (
            f", row 1 of {first_A:g} Å" if row else ""
        )
        raise UserError(
            problem, where=particles.source, wanted="One pixel size is needed", do=_MAKE_AGAIN
        )
    return first_A
