"""The pickers: programs that are given images and no truth but the particle's size."""

import csv
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from peers.environments import TOPAZ, NotRunError, python_of
from picking_metrics import Picks
from quality_methods import PEERS, call
from restore.io.star import read_star

LOG_DIAMETERS = (0.75, 1.1)
"""Smallest and largest diameter for the Laplacian of Gaussian, in diameters of the sphere that
holds the particle.
"""
LOG_THRESHOLD = -5
"""RELION's adjustment of the threshold: so low that every local maximum is picked, and the curve
shows what each threshold would give.
"""
TOPAZ_PIXEL_A = 6.0
"""About the pixel size that Topaz's picker gets: its images are reduced by a whole number."""
TOPAZ_THRESHOLD = -12
"""Log-likelihood ratio below which Topaz stops, so low that the curve is whole."""

Picker = Callable[[Mapping[str, Path], float, float, Path], dict[str, Picks]]
"""From MRC files by key, their pixel size and the particle's diameter (both Å), and a folder to
work in, to the picks of each. Raises NotRunError with the reason.
"""


def relion_log_for(diameters: tuple[float, float] = LOG_DIAMETERS) -> Picker:
    """`relion_autopick --LoG`, which sees dark particles on a bright ground."""

    def pick(
        files: Mapping[str, Path], pixel_size_A: float, diameter_A: float, folder: Path
    ) -> dict[str, Picks]:
        program = shutil.which("relion_autopick")
        if program is None:
            raise NotRunError("relion_autopick is not installed")
        for key, path in files.items():
            _linked(path, folder / "in" / f"{key}.mrc")
        least, most = (round(share * diameter_A) for share in diameters)
        call([
            program, "--i", f"{folder}/in/*.mrc", "--angpix", f"{pixel_size_A:g}",
            "--odir", f"{folder}/out/", "--pickname", "log", "--LoG", "--LoG_diam_min", str(least),
            "--LoG_diam_max", str(most), "--LoG_adjust_threshold", str(LOG_THRESHOLD),
        ])  # fmt: skip
        written = {path.name: path for path in (folder / "out").rglob("*_log.star")}
        if not written:
            raise NotRunError("relion_autopick wrote no coordinates")
        nothing = Picks(np.empty((0, 2)), np.empty(0))
        paths = {key: written.get(f"{key}_log.star") for key in files}
        return {key: read_relion_picks(path) if path else nothing for key, path in paths.items()}

    return pick


def read_relion_picks(path: Path) -> Picks:
    """The picks in a STAR file of `relion_autopick`: places in pixels of the micrograph, and the
    figure of merit.
    """
    table = read_star(path).blocks[0]
    columns = ("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit")
    x, y, merit = (np.array(table.column(name), dtype=float) for name in columns)
    return Picks(np.stack([x, y], axis=1), merit)


def topaz_for(environments: Path) -> Picker:
    """Topaz's own pretrained picker (`topaz extract`), in its environment."""

    def pick(
        files: Mapping[str, Path], pixel_size_A: float, diameter_A: float, folder: Path
    ) -> dict[str, Picks]:
        topaz = [str(python_of(TOPAZ, environments)), str(PEERS / "topaz_command.py")]
        shrink = max(math.floor(TOPAZ_PIXEL_A / pixel_size_A), 1)
        places = [_linked(path, folder / "in" / f"{key}.mrc") for key, path in files.items()]
        inputs = [str(path) for path in places]
        call([*topaz, "preprocess", "-s", str(shrink), "-o", f"{folder}/small/", *inputs])
        small = [f"{folder}/small/{path.name}" for path in places]
        radius_px = round(diameter_A / 2 / (shrink * pixel_size_A))
        options = ["-r", str(radius_px), "-x", str(shrink), "-t", str(TOPAZ_THRESHOLD), "-d", "-1"]
        call([*topaz, "extract", *options, "-o", f"{folder}/picks.txt", *small])
        return read_topaz_picks(folder / "picks.txt", list(files))

    return pick


def read_topaz_picks(path: Path, keys: Sequence[str]) -> dict[str, Picks]:
    """The picks in a table of `topaz extract`, by the names of the images."""
    rows: dict[str, list[tuple[float, float, float]]] = {key: [] for key in keys}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            place = float(row["x_coord"]), float(row["y_coord"])
            rows[row["image_name"]].append((*place, float(row["score"])))
    tables = {key: np.array(found, dtype=float).reshape(-1, 3) for key, found in rows.items()}
    return {key: Picks(table[:, :2], table[:, 2]) for key, table in tables.items()}


def _linked(path: Path, link: Path) -> Path:
    """A link to a file, under a name that tells images apart."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(path.resolve())
    return link
