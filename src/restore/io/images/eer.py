"""EER movies (Falcon 4, 4i), in which each page lists the electrons of one hardware frame.

The format is that of Thermo Fisher Scientific's "EER file format documentation" (3.0, 2023):
BigTIFF with compressions of its own, 65000 (8 bits to the next electron, 2 + 2 bits of sub-pixel
position), 65001 (7 bits, 2 + 2) and 65002 (widths in the tags 65007, 65008, 65009). imagecodecs
decodes it. Rows are in stored order, as in RELION (which turns TIFF pages upside down, but not EER
frames).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.images.tiff import (
    open_tiff,
    page_offsets,
    page_shape,
    require_module,
    require_whole,
)
from restore.settings import setting

_COMPRESSIONS = {65000: (8, 2, 2), 65001: (7, 2, 2), 65002: (7, 2, 2)}
_WIDTH_TAGS = (65007, 65008, 65009)
_OLDEST_IMAGECODECS = (2025, 11)
"""Earlier versions did not add electrons to a sum, and decoded sub-pixel positions differently."""


@dataclass(frozen=True)
class EERSettings:
    """How the electrons of an EER movie become frames."""

    fraction_frames: int = setting(
        40,
        ("number of hardware frames of an EER movie that are summed into one frame"),
        metavar="N",
    )
    upsampling: int = setting(
        1,
        "upsampling of EER movies: 1 (4k) or 2 (8k)",
        metavar="N",
    )

    def __post_init__(self) -> None:
        if self.fraction_frames < 1 or self.upsampling not in (1, 2):
            problem = (
                f"EER movies were to be read with {self.fraction_frames} hardware frames in each "
                f"frame, upsampled {self.upsampling} times"
            )
            raise UserError(
                problem,
                wanted="A frame holds at least one hardware frame, and upsampling is by 1 or 2",
            )


@dataclass(frozen=True)
class EERHeader:
    """Rows and columns (upsampled) of an EER movie, its hardware frames, and the frames into which
    they are summed.
    """

    path: Path
    shape: tuple[int, int]
    hardware_frames: int
    frames: int


def read_eer_header(path: Path, settings: EERSettings = EERSettings()) -> EERHeader:
    """Shape and number of frames of an EER movie, without its electrons.

    Raises
    ------
    UserError
        The file is missing, unreadable, no EER file or cut short, or tifffile is not installed.
    """
    with _open_eer(path) as (file, pages):
        return EERHeader(
            path, _shape(file, pages, settings), len(pages), len(pages) // settings.fraction_frames
        )


def read_eer_frames(
    path: Path, settings: EERSettings = EERSettings()
) -> Iterator[NDArray[np.uint16]]:
    """Each frame (y, x), in order: the electron counts of ``fraction_frames`` hardware frames.

    Remaining hardware frames at the end that do not fill a frame are left out, as in RELION.

    Raises
    ------
    UserError
        As :func:`read_eer_header`, or a hardware frame is damaged, or imagecodecs is not installed
        or too old.
    """
    decode = _decoder(path)
    with _open_eer(path) as (file, pages):
        shape, whole = _shape(file, pages, settings), len(pages) // settings.fraction_frames
        for start in range(0, whole * settings.fraction_frames, settings.fraction_frames):
            counts = np.zeros(shape, np.uint16)
            for index in pages[start : start + settings.fraction_frames]:
                page = file.pages[index]
                require_whole(page, path, f"{path}, hardware frame {index + 1}")
                decode(
                    _electrons(page),
                    shape,
                    *_widths(page),
                    superres=settings.upsampling - 1,
                    out=counts,
                )
            yield counts


@contextmanager
def _open_eer(path: Path) -> Generator[tuple[Any, list[int]]]:
    """The open file and those of its pages that hold electrons; it may also hold their sum as an
    ordinary image.
    """
    count = len(page_offsets(path))
    with open_tiff(path) as file:
        pages = [
            index
            for index, page in enumerate(islice(file.pages, count))
            if int(page.compression) in _COMPRESSIONS
        ]
        if not pages:
            wanted = "An EER movie is needed"
            raise UserError(
                "there are no electrons in it", where=path, wanted=wanted, do="check the name"
            )
        yield file, pages


def _shape(file: Any, pages: list[int], settings: EERSettings) -> tuple[int, int]:
    rows, columns = page_shape(file.pages[pages[0]], file.filehandle.path)
    return rows * settings.upsampling, columns * settings.upsampling


def _electrons(page: Any) -> bytes:
    """The encoded bytes of a page. They are padded with zeros, because imagecodecs reads whole
    words and would otherwise miss the last electron.
    """
    handle = page.parent.filehandle
    parts: list[bytes] = []
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(start)
        parts.append(handle.read(count))
    code = b"".join(parts)
    return code + b"\0" * (2 + len(code) % 2)


def _widths(page: Any) -> tuple[int, int, int]:
    """The number of bits for the distance to the next electron, and for its sub-pixel position
    along x and y.
    """
    widths = _COMPRESSIONS[int(page.compression)]
    if int(page.compression) == 65002:
        skip, x, y = (
            int(page.tags.valueof(tag, width))
            for tag, width in zip(_WIDTH_TAGS, widths, strict=True)
        )
        return skip, x, y
    return widths


def _decoder(path: Path) -> Any:
    imagecodecs = require_module("imagecodecs", path)
    version = tuple(int(part) for part in imagecodecs.__version__.split(".")[:2])
    if version < _OLDEST_IMAGECODECS:
        problem = f"imagecodecs {imagecodecs.__version__} is too old"
        wanted = f"EER movies need {'.'.join(map(str, _OLDEST_IMAGECODECS))} or newer"
        raise UserError(
            problem, where=path, wanted=wanted, do="run: pip install --upgrade imagecodecs"
        )
    return imagecodecs.eer_decode
