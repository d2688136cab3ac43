"""Movies of any supported format (MRC, TIFF or EER), read frame by frame, all in the same
orientation.

Rows are in RELION's order: as stored in MRC and EER, upside down in TIFF
(:mod:`restore.io.images.tiff` says why).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import EER_ENDINGS, MOVIE_ENDINGS, TIFF_ENDINGS, ending_of
from restore.io.images.eer import EERSettings, read_eer_frames, read_eer_header
from restore.io.images.gain import Gain, read_gain_file
from restore.io.images.mrc_header import one_pixel_size_A
from restore.io.images.mrc_stack import read_stack, read_stack_header
from restore.io.images.tiff import read_pages, read_tiff_header

__all__ = ["EERSettings", "MovieHeader", "read_frames", "read_gain", "read_movie_header"]

Format = Literal["MRC", "TIFF", "EER"]

_AS_RELION = EERSettings()


@dataclass(frozen=True)
class MovieHeader:
    """The properties of a movie, known before its pixels are read.

    ``frames`` and ``shape`` (y, x) describe what :func:`read_frames` yields; ``dtype`` is the type
    in the file. ``pixel_size_A`` is taken from the header of an MRC file; it is None if that has no
    plausible one, and for TIFF and EER.
    """

    path: Path
    frames: int
    shape: tuple[int, int]
    pixel_size_A: float | None
    format: Format
    dtype: np.dtype[np.generic]


def read_movie_header(path: Path, eer: EERSettings = _AS_RELION) -> MovieHeader:
    """Frames, shape and format of a movie; no pixels are read.

    Raises
    ------
    UserError
        The file is missing, unreadable, of an unsupported format or cut short, it holds fewer than
        two frames, or the packages that read TIFF and EER are not installed.
    """
    header = _header(path, eer)
    if header.frames < 2:
        problem = "it holds no whole frame" if header.frames == 0 else "it holds a single image"
        do = (
            f"sum fewer than {eer.fraction_frames} hardware frames"
            if header.format == "EER"
            else "give the movie"
        )
        raise UserError(
            problem, where=path, wanted="A movie of two frames or more is needed", do=do
        )
    return header


def is_movie(path: Path) -> bool:
    """Whether a file holds more than one image."""
    try:
        return read_movie_header(path).frames > 1
    except UserError:
        return False


def read_frames(path: Path, eer: EERSettings = _AS_RELION) -> Iterator[NDArray[np.float32]]:
    """Each frame of a movie as float32 (y, x), in order; one or two are in memory at a time.

    A compressed MRC file is decompressed while it is read.

    Raises
    ------
    UserError
        As :func:`read_movie_header`; or a frame is cut short, damaged, or holds NaN or infinity.
    """
    header = read_movie_header(path, eer)
    for number, frame in enumerate(_stored_frames(header, eer), 1):
        pixels = np.ascontiguousarray(frame, np.float32)
        if frame.dtype.kind == "f" and not np.isfinite(pixels).all():
            problem = (
                f"{np.count_nonzero(~np.isfinite(pixels))} of its {pixels.size} pixels are NaN or "
                "infinite"
            )
            where = f"{path}, frame {number}"
            raise UserError(
                problem,
                where=where,
                wanted="Every pixel must be a number",
                do="write the movie again",
            )
        yield pixels


def read_gain(
    path: Path, rotation: int = 0, flip: int = 0, movie: MovieHeader | None = None
) -> NDArray[np.float32]:
    """The gain reference (y, x) by which every frame is multiplied, rotated and flipped as in
    RELION and MotionCor2.

    ``rotation`` times 90° (gain_rot; clockwise where the first row is at the top,
    ``numpy.rot90(gain, -rotation)``), then ``flip`` (gain_flip): 0 not, 1 upside down, 2 left to
    right. Zeros, which mark pixels to ignore, stay zeros. Rows of an MRC file and of a ``.gain``
    file (the TIFF that comes with EER movies) are in stored order, those of a TIFF file upside
    down, as in RELION. If the ``movie`` is given, the shape must fit it; and for EER

    - a gain of MRC or TIFF is taken for the inverse, as in RELION, and mean(gain)/gain is returned
      (zeros count in the mean, and stay); a ``.gain`` file's values are those to multiply by;
    - one of half the movie's sides is repeated, one of twice its sides averaged (2 × 2 pixels).

    Raises
    ------
    UserError
        The file cannot be read, holds NaN, infinity or only zeros, or does not fit the movie; or
        the rotation or flip does not exist.
    """
    gain = read_gain_file(path).turned(rotation, flip)
    if movie is None:
        return gain.factors
    if movie.format == "EER":
        gain = gain.for_electrons(movie.shape)
    _refuse_other_shape(gain, movie)
    return gain.factors


def _refuse_other_shape(gain: Gain, movie: MovieHeader) -> None:
    (rows, columns), (wanted_rows, wanted_columns) = gain.factors.shape, movie.shape
    if (rows, columns) != (wanted_rows, wanted_columns):
        turned = (columns, rows) == (wanted_rows, wanted_columns)
        raise UserError(
            f"the gain reference has {columns} x {rows} pixels",
            where=gain.path,
            wanted=f"{movie.path} has {wanted_columns} x {wanted_rows}",
            do="rotate it by 1 or 3 times 90°"
            if turned
            else "give the gain reference of this camera and mode",
        )


def _header(path: Path, eer: EERSettings) -> MovieHeader:
    ending = ending_of(path.name)
    if ending in TIFF_ENDINGS:
        tiff = read_tiff_header(path)
        return MovieHeader(path, tiff.pages, tiff.shape, None, "TIFF", tiff.dtype)
    if ending in EER_ENDINGS:
        electrons = read_eer_header(path, eer)
        return MovieHeader(
            path, electrons.frames, electrons.shape, None, "EER", np.dtype(np.uint16)
        )
    if ending not in MOVIE_ENDINGS:
        wanted = f"MRC, TIFF and EER movies ({', '.join(MOVIE_ENDINGS)}) are read"
        raise UserError(
            f'"{ending}" is not the ending of a movie',
            where=path,
            wanted=wanted,
            do="convert it to TIFF or MRC",
        )
    stack = read_stack_header(path)
    return MovieHeader(
        path, stack.frames, stack.shape, one_pixel_size_A(stack.pixel_size_yx_A), "MRC", stack.dtype
    )


def _stored_frames(header: MovieHeader, eer: EERSettings) -> Iterator[NDArray[np.generic]]:
    """The frames in the file's own type, with rows in RELION's order."""
    if header.format == "TIFF":
        return read_pages(header.path)
    return read_eer_frames(header.path, eer) if header.format == "EER" else read_stack(header.path)
