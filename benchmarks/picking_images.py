"""What is picked on: simulated micrographs with known centres, and the images that each method
makes of them, as files of their shape and pixel size.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from peers.environments import TOPAZ, python_of
from picking_metrics import Truth
from quality_data import Condition
from quality_methods import PEERS, call, flat
from quality_metrics import RING_PER_A, Image
from quality_restore import PROGRAM
from restore import fourier
from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.spectra import ring_covariances
from restore.image_tensors import read_halves, read_tensor
from restore.io.images.image import write_image
from restore.io.micrographs import Needs, read_micrographs
from restore.io.star import Block, StarFile, read_star, write_star
from restore.micrograph import Micrograph
from restore.preprocessing import Prepared, Recipe, prepare_alike, restored_spectrum
from restore.simulation.session import (
    CTF_STAR_NAME,
    PARTICLE_STAR_NAME,
    SETTINGS_NAME,
    simulate,
)
from restore.simulation.settings import SimulationSettings
from restore.simulation.specimen import load_specimen

PIXEL_SIZE_A = 1.5
PARTICLES_PER_UM2 = 600.0
TOLERANCE = 0.5
"""How far from the true centre a pick may be, in radii of the particle."""
LOWPASS_A = (15.0, 30.0, 60.0)
RECIPE = Recipe(4.5)
RESOLUTION = ["-r", f"{RECIPE.max_resolution_A:g}"]


@dataclass(frozen=True)
class Session:
    """What is simulated: so many micrographs, each of ``size_px`` squared, of every specimen under
    every condition.
    """

    specimens: Sequence[str]
    conditions: Sequence[Condition]
    micrographs: int
    size_px: int
    seed: int = 0


@dataclass(frozen=True)
class Shot:
    """One simulated micrograph: how it was taken, its files, and where its particles are.

    ``diameter_A`` is that of the sphere about the particle's centre that holds it.
    """

    key: str
    specimen: str
    condition: str
    star: Path
    micrograph: Micrograph
    truth: Truth
    diameter_A: float


Files = Mapping[str, Path]
ImageKind = Callable[[Sequence[Shot], Path], Files]
"""From the shots and a folder to work in, beside those of the other kinds, to an MRC file for each
shot's key, full size. Raises NotRunError with the reason.
"""


def simulated(folder: Path, session: Session) -> list[Shot]:
    """The micrographs of a session; those that an earlier run left in the folder are taken."""
    shots: list[Shot] = []
    for specimen in session.specimens:
        name, diameter_A = Path(specimen).stem, load_specimen(specimen, 4.0).diameter_A
        for condition in session.conditions:
            print(f"simulating {name}, {condition.name}", file=sys.stderr, flush=True)
            settings = SimulationSettings(
                specimen=specimen,
                micrographs=session.micrographs,
                particles_per_um2=PARTICLES_PER_UM2,
                size_px=(session.size_px,),
                pixel_size_A=PIXEL_SIZE_A,
                dose_e_per_A2=condition.dose_e_per_A2,
                defocus_um=condition.defocus_um,
                seed=1000 * session.seed + len(shots),
            )
            star = _session(settings, folder / f"session{len(shots)}")
            for micrograph in read_micrographs(str(star), needs=Needs(halves=True)).micrographs:
                truth = _truth_of(micrograph, star, session.size_px, diameter_A)
                key = f"m{len(shots):03d}"
                shots.append(Shot(key, name, condition.name, star, micrograph, truth, diameter_A))
    return shots


def _session(settings: SimulationSettings, folder: Path) -> Path:
    """The STAR file of simulated micrographs, which are simulated unless they are there."""
    star, record = folder / CTF_STAR_NAME, folder / SETTINGS_NAME
    wanted = json.loads(json.dumps(asdict(settings)))
    if star.is_file() and json.loads(record.read_text()) == wanted:
        return star
    return simulate(settings, folder, overwrite=True)


def _truth_of(micrograph: Micrograph, star: Path, size_px: int, diameter_A: float) -> Truth:
    """Where the simulator has put the particles of one micrograph."""
    particles = read_star(star.with_name(PARTICLE_STAR_NAME)).block("particles")
    assert particles is not None
    names = particles.column("rlnMicrographName")
    centres = np.array([
        [float(value) for value in particles.column(f"rlnCoordinate{axis}")] for axis in "XY"
    ]).T.reshape(-1, 2)  # fmt: skip
    mine = centres[[name == micrograph.name for name in names]]
    radius_px = diameter_A / 2 / PIXEL_SIZE_A
    return Truth(mine, (size_px, size_px), TOLERANCE * radius_px, radius_px)


def raw(shots: Sequence[Shot], folder: Path) -> Files:  # noqa: ARG001
    """The full sums as they are."""
    return {shot.key: shot.micrograph.image for shot in shots}


def lowpass_for(cutoff_A: float) -> ImageKind:
    """Full sums without hot pixels and smooth background, under a soft low-pass."""

    def filter_all(shots: Sequence[Shot], folder: Path) -> Files:
        files: dict[str, Path] = {}
        for shot in shots:
            image = flat(shot.micrograph.image, RECIPE)
            shape = image.shape[0], image.shape[1]
            frequency = fourier.frequency_per_A(shape, (PIXEL_SIZE_A, PIXEL_SIZE_A))
            gains = fourier.soft_lowpass(frequency, 0.9 / cutoff_A, 1.1 / cutoff_A)
            image = fourier.image_of(fourier.spectrum_of(image) * gains, shape)
            files[shot.key] = folder / f"{shot.key}.mrc"
            write_image(files[shot.key], image.numpy(), PIXEL_SIZE_A)
        return files

    return filter_all


def wiener(shots: Sequence[Shot], folder: Path) -> Files:
    """Full sums prepared as for the network (background and hot pixels off, phases flipped, nothing
    coarser than 200 Å), under the Wiener filter that the halves imply.
    """
    files: dict[str, Path] = {}
    for shot in shots:
        micrograph = shot.micrograph
        images = [read_tensor(micrograph.image), *read_halves(micrograph)]
        full, even, odd = prepare_alike(images, PIXEL_SIZE_A, micrograph.ctf, RECIPE)
        pixels = full.grid.pixel_size_yx_A
        halves = torch.stack([even.image, odd.image])
        frc = ring_covariances(halves, pixels, RING_PER_A).correlation(0, 1)
        rings = fourier.ring_index(fourier.frequency_per_A(full.grid.shape, pixels), RING_PER_A)
        weights = wiener_filter(frc, images=2).float()
        gains = torch.cat([weights, torch.zeros(int(rings.max()) + 1)])[rings]
        files[shot.key] = _written(full, gains, folder / f"{shot.key}.mrc")
    return files


def _written(prepared: Prepared, gains: torch.Tensor, path: Path) -> Path:
    """Write a filtered image at full size, in the grey values of the raw one."""
    grid = prepared.grid
    filtered: Image = fourier.image_of(fourier.spectrum_of(prepared.image) * gains, grid.shape)
    spectrum = restored_spectrum(filtered, prepared)
    image = fourier.padded_image_of(spectrum, grid.shape, grid.full_shape)
    write_image(path, image.numpy(), PIXEL_SIZE_A)
    return path


def topaz_denoise_for(environments: Path) -> ImageKind:
    """Topaz-Denoise's shipped U-Net on the full sums as they are."""

    def denoise(shots: Sequence[Shot], folder: Path) -> Files:
        topaz = [str(python_of(TOPAZ, environments)), str(PEERS / "topaz_command.py")]
        inputs = [folder / "in" / f"{shot.key}.mrc" for shot in shots]
        for shot, link in zip(shots, inputs, strict=True):
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(shot.micrograph.image.resolve())
        call([*topaz, "denoise", "-d", "-1", "-o", f"{folder}/out", *map(str, inputs)])
        return {shot.key: folder / "out" / f"{shot.key}.mrc" for shot in shots}

    return denoise


@dataclass(frozen=True)
class RestoreUse:
    """How restore is used: minutes of training on the micrographs that are then picked (0: the
    general model), with their halves at hand or not, and whether the raw image's low frequencies
    are kept.
    """

    minutes: float = 0
    halves: bool = True
    low_frequencies: bool = False

    @property
    def name(self) -> str:
        """As it stands in a table."""
        words = f"restore, trained {self.minutes:g} min" if self.minutes else "restore, general"
        words += "" if self.halves else ", no halves"
        return f"{words}, low frequencies kept" if self.low_frequencies else words


def restore_for(use: RestoreUse) -> ImageKind:
    """The program as its commands run it, one specimen's micrographs (a data set) at a time."""

    def denoise(shots: Sequence[Shot], folder: Path) -> Files:
        files: dict[str, Path] = {}
        for specimen in dict.fromkeys(shot.specimen for shot in shots):
            mine = [shot for shot in shots if shot.specimen == specimen]
            place = folder / specimen
            place.mkdir()
            files |= _denoised(mine, use, place)
        return files

    return denoise


def _denoised(shots: Sequence[Shot], use: RestoreUse, place: Path) -> Files:
    star = place / "set.star"
    _write_set(shots, star)
    options = ["-o", str(place / "out")]
    options += ["-p", str(_trained(shots, star, use))] if use.minutes else RESOLUTION
    options.append(f"--calibration={'rings' if use.halves else 'model'}")
    options += ["--keep_low_frequencies"] if use.low_frequencies else []
    call([*PROGRAM, "denoise", "-m", str(star), *options])
    denoised = read_micrographs(str(place / "out" / star.name), needs=Needs()).micrographs
    return {shot.key: image.image for shot, image in zip(shots, denoised, strict=True)}


def _trained(shots: Sequence[Shot], star: Path, use: RestoreUse) -> Path:
    """The model that so many minutes give, which the uses of one specimen share: trained on these
    shots (``star``), or on others that were simulated in the same way.
    """
    place = star.parent
    folder = place.parent.parent / "models" / f"{place.name}_{use.minutes:g}"
    model, record = folder / "model.safetensors", folder / "sessions.json"
    stars = dict.fromkeys(shot.star for shot in shots)
    sessions = [json.loads(path.with_name(SETTINGS_NAME).read_text()) for path in stars]
    there = model.is_file() and record.is_file()
    if there and json.loads(record.read_text()) == sessions:
        return model
    shutil.rmtree(folder, ignore_errors=True)
    call([
        *PROGRAM, "train", "-m", str(star), f"--minutes={use.minutes:g}", *RESOLUTION,
        "-d", str(folder), "-x", "model", "-f", str(place / "patches.hdf"),
    ])  # fmt: skip
    record.write_text(json.dumps(sessions))
    return model


def _write_set(shots: Sequence[Shot], path: Path) -> None:
    """One STAR file of several sessions with the same optics; names are made absolute."""
    tables: list[Block] = []
    sources: list[StarFile] = []
    for shot in shots:
        sources.append(read_star(shot.star))
        block = sources[-1].block("micrographs")
        assert block is not None
        name = str(shot.micrograph.image.resolve())
        row = block.keeping([shot.micrograph.row]).with_column("rlnMicrographName", [name])
        tables.append(row)
    rows = tuple(row for table in tables for row in table.rows)
    write_star(path, sources[0].with_block(Block("micrographs", tables[0].columns, rows)))


def kinds_for(minutes: Sequence[float], environments: Path) -> dict[str, ImageKind]:
    """Every kind of image by its name in the table, in its order."""
    kinds: dict[str, ImageKind] = {"raw": raw}
    kinds |= {lowpass_name(cutoff): lowpass_for(cutoff) for cutoff in LOWPASS_A}
    kinds["Wiener"] = wiener
    kinds["Topaz-Denoise"] = topaz_denoise_for(environments)
    uses = [
        RestoreUse(some, halves, low_frequencies)
        for some, halves in ((0, False), (0, True), *((one, True) for one in minutes if one))
        for low_frequencies in (False, True)
    ]
    return kinds | {use.name: restore_for(use) for use in uses}


def lowpass_name(cutoff_A: float) -> str:
    """A low-pass as it stands in the record."""
    return f"low-pass {cutoff_A:g} Å"
