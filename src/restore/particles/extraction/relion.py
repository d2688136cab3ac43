"""Extraction by ``relion_preprocess``."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.endings import ending_of
from restore.io.images.image import read_image, write_image
from restore.io.images.mrc import read_mrc_header
from restore.io.images.mrc_stack import read_stack
from restore.io.paths import resolved
from restore.io.star import Block, StarFile, write_star
from restore.particles.extraction.windows import ExtractionSettings

PROGRAM = "relion_preprocess"
_COORDINATES = ("rlnCoordinateX", "rlnCoordinateY")
_READ_ALIKE = (np.dtype("<f4"), np.dtype("<i2"))
_ANY_PIXEL_A = 1.0  # windows are in pixels, but the program requires a size


def is_installed() -> bool:
    """Whether RELION's program is installed."""
    return shutil.which(PROGRAM) is not None


def relion_windows(
    image: Path,
    coordinates_px: Float[NDArray[np.float64], "n 2"],
    settings: ExtractionSettings,
    norm: bool,
) -> Float[NDArray[np.float32], "n side side"]:
    """The windows about each particle, cut and rescaled by RELION, and normalised by their own
    backgrounds if ``norm`` is true.

    RELION runs in a temporary folder with a link to the micrograph, or with a float32 copy of it
    where RELION 3.1 would not read the file correctly.

    Raises
    ------
    UserError
        RELION is not installed, or fails.
    """
    if not is_installed():
        raise UserError(
            f"{PROGRAM} is not installed",
            wanted="The engine relion needs it",
            do="give `engine=own`",
        )
    with tempfile.TemporaryDirectory(prefix="restore_extract_") as folder:
        project = Path(folder)
        _place(image, project / "micrograph.mrc")
        _write_tables(project, coordinates_px)
        _run(_command(settings, norm), project, image)
        windows = np.stack(list(read_stack(project / "out" / "micrograph.mrcs")))
    if windows.shape != (len(coordinates_px), settings.image_px, settings.image_px):
        raise UserError(
            f"{PROGRAM} wrote {windows.shape[0]} of {len(coordinates_px)} particles", where=image
        )
    return windows.astype(np.float32, copy=False)


def _place(image: Path, link: Path) -> None:
    if ending_of(image.name) == ".mrc" and read_mrc_header(image).dtype in _READ_ALIKE:
        link.symlink_to(resolved(image))
    else:
        write_image(link, read_image(image).data, _ANY_PIXEL_A)


def _write_tables(project: Path, coordinates_px: Float[NDArray[np.float64], "n 2"]) -> None:
    size, name = f"{_ANY_PIXEL_A:.6f}", "micrograph.mrc"
    optics = Block(
        "optics",
        (
            "rlnOpticsGroupName",
            "rlnOpticsGroup",
            "rlnMicrographOriginalPixelSize",
            "rlnMicrographPixelSize",
            "rlnImagePixelSize",
            "rlnImageSize",
            "rlnImageDimensionality",
            "rlnVoltage",
            "rlnSphericalAberration",
            "rlnAmplitudeContrast",
        ),
        (("opticsGroup1", "1", size, size, size, "2", "2", "300", "2.7", "0.1"),),
    )
    micrographs = Block("micrographs", ("rlnMicrographName", "rlnOpticsGroup"), ((name, "1"),))
    columns = (*_COORDINATES, "rlnMicrographName", "rlnOpticsGroup")
    rows = tuple((repr(x), repr(y), name, "1") for x, y in coordinates_px.tolist())
    write_star(project / "micrographs.star", StarFile((optics, micrographs)))
    write_star(project / "particles.star", StarFile((optics, Block("particles", columns, rows))))


def _command(settings: ExtractionSettings, norm: bool) -> list[str]:
    command = [
        PROGRAM,
        "--i",
        "micrographs.star",
        "--reextract_data_star",
        "particles.star",
        "--extract",
    ]
    command += [
        "--extract_size",
        str(settings.box_px),
        "--part_dir",
        "out/",
        "--part_star",
        "out/particles.star",
    ]
    if settings.image_px != settings.box_px:
        command += ["--scale", str(settings.image_px)]
    if norm:
        command += [
            "--norm",
            "--bg_radius",
            str(settings.radius_px),
            *([] if settings.ramp else ["--no_ramp"]),
        ]
    return command


def _run(command: list[str], project: Path, image: Path) -> None:
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode or not (project / "out" / "micrograph.mrcs").exists():
        lines = [
            line.strip()
            for line in done.stderr.splitlines()
            if "ERROR" in line and line.strip() != "ERROR:"
        ]
        reason = lines[0] if lines else f"exit status {done.returncode}"
        raise UserError(f"{PROGRAM} failed: {reason}", where=image, do="give `engine=own`")
