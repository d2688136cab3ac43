"""Small sound files of every format that restore reads, and what reads each of them whole."""

import bz2
import gzip
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tifffile
import torch

from restore.evaluation.measure import load_measurement
from restore.evaluation.records import read_evaluation
from restore.inspection.dispatch import inspect
from restore.io.atomic_models import read_atoms
from restore.io.images.image import read_image
from restore.io.images.maps import read_map, read_map_header
from restore.io.images.movies import EERSettings, read_frames
from restore.io.images.mrc import write_mrc
from restore.io.micrographs import Needs, read_micrographs
from restore.io.particles import read_particles
from restore.io.relion.motion import read_motion
from restore.io.residues import read_residues
from restore.model.checkpoint import Model, load_model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe, prepare
from restore.simulation.movie_files import write_mrc_movie
from restore.training.patches import PatchFile, PatchWriter, Region
from restore.training.settings import TrainingSettings
from restore.training.state import TrainingState, load_run, restore_state, save_state

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "worlds"))

import cryosparc_files
import evaluation_example
from eer_example import random_electrons, write_eer

SHAPE = (40, 48)
NETWORK = NetworkSettings("unet", filters=2, blocks=1)
RUN = {"settings": asdict(TrainingSettings()), "inputs": {"patches": "patches.hdf"}}
ATOM = "ATOM  {n:5d}  {name:<3} ALA A{r:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           {e}\n"
STAR = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnMicrographPixelSize #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
1 1.25 300.0 2.7 0.1

data_{block}

loop_
_rln{name} #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnAngleRot #6
_rlnAngleTilt #7
_rlnAnglePsi #8
{rows}"""
MOTION = """data_general

_rlnImageSizeX 48
_rlnImageSizeY 40
_rlnImageSizeZ 3
_rlnMicrographMovieName a.mrcs
_rlnMicrographOriginalPixelSize 1.0
_rlnMotionModelVersion 0

data_global_shift

loop_
_rlnMicrographFrameNumber #1
_rlnMicrographShiftX #2
_rlnMicrographShiftY #3
1 0.0 0.0
2 0.5 1.5
3 0.7 2.5
"""


@dataclass(frozen=True)
class Sample:
    """A sound file, the format that it stands for, and what reads all of it."""

    kind: str
    path: Path
    read: Callable[[Path], object]


def samples(folder: Path) -> list[Sample]:
    """One sample and more of each format, written into ``folder``."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=SHAPE).astype(np.float32)
    return [
        *_images(folder, image, rng),
        *_tables(folder),
        *_own_files(folder, torch.from_numpy(image)),
        *_atomic_models(folder, rng),
    ]


def _images(folder: Path, image: np.ndarray, rng: np.random.Generator) -> Iterable[Sample]:
    write_mrc(folder / "a.mrc", image, 1.25, ["restore"])
    mrc = (folder / "a.mrc").read_bytes()
    (folder / "a.mrc.gz").write_bytes(gzip.compress(mrc))
    (folder / "a.mrc.bz2").write_bytes(bz2.compress(mrc))
    counts = rng.poisson(3, (3, *SHAPE)).astype(np.uint8)
    write_mrc_movie(folder / "movie.mrcs", counts.astype(np.int16), 1.0, "restore")
    tifffile.imwrite(folder / "a.tif", image, compression="zlib")
    tifffile.imwrite(folder / "movie.tif", counts, compression="lzw", photometric="minisblack")
    frames = [random_electrons(rng, SHAPE, 30) for _ in range(6)]
    write_eer(folder / "movie.eer", frames, SHAPE)
    yield Sample("MRC", folder / "a.mrc", lambda path: (read_image(path), _map(path)))
    yield Sample("MRC", folder / "movie.mrcs", _frames)
    yield Sample("gzip", folder / "a.mrc.gz", read_image)
    yield Sample("bzip2", folder / "a.mrc.bz2", read_image)
    yield Sample("TIFF", folder / "a.tif", read_image)
    yield Sample("TIFF", folder / "movie.tif", _frames)
    yield Sample("EER", folder / "movie.eer", _frames)


def _map(path: Path) -> object:
    return read_map(read_map_header(path))


def _frames(path: Path) -> int:
    return sum(1 for _ in read_frames(path, EERSettings(2)))


def _tables(folder: Path) -> Iterable[Sample]:
    row = "{} 1 12000 11800 30.5 10 20 30\n"
    micrographs = "".join(row.format(f"m{number}.mrc") for number in range(3))
    particles = "".join(row.format(f"{number:06d}@a.mrcs") for number in range(1, 4))
    texts = {
        "micrographs.star": STAR.format(
            block="micrographs", name="MicrographName", rows=micrographs
        ),
        "particles.star": STAR.format(block="particles", name="ImageName", rows=particles),
        "motion.star": MOTION,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    yield Sample("STAR", folder / "micrographs.star", _micrographs)
    yield Sample("STAR", folder / "particles.star", read_particles)
    yield Sample("STAR", folder / "motion.star", read_motion)
    exposures = cryosparc_files.exposures([f"J1/{number}.mrc" for number in range(3)])
    cryosparc_files.save(folder / "exposures.cs", exposures)
    particles_cs = np.zeros(3, [("uid", "<u8"), ("alignments3D/pose", "<f4", (3,))])
    particles_cs["uid"] = range(3)
    cryosparc_files.save(folder / "particles.cs", particles_cs)
    cryosparc_files.job(folder / "J12", exposures)
    yield Sample("cs", folder / "exposures.cs", _micrographs)
    yield Sample("cs", folder / "particles.cs", read_particles)
    yield Sample("csg", folder / "J12" / "exposures.csg", _micrographs)


def _micrographs(path: Path) -> object:
    return read_micrographs(path, needs=Needs(ctf=True, halves=True))


def _own_files(folder: Path, image: torch.Tensor) -> Iterable[Sample]:
    recipe = Recipe(max_resolution_A=2.5, phase_flip=False)
    prepared = prepare(image, 1.25, None, recipe)
    with PatchWriter(folder / "patches.hdf", recipe) as writer:
        for name in ("a.mrc", "b.mrc"):
            writer.add(name, prepared, prepared)
        writer.finish({"program": "restore"})
    model, state = folder / "model.safetensors", folder / "run.state.safetensors"
    save_model(model, Model(_network(), recipe, {"steps": 3}, {"program": "restore"}))
    save_state(state, _state(), RUN)
    evaluation_example.write(folder / "evaluation", evaluation_example.evaluation(2, 1, False))
    facts = np.frombuffer(json.dumps({"name": "a.mrc", "weights": [1.0]}).encode(), np.uint8)
    np.savez(folder / "measurement.npz", blocks=np.ones((2, 3, 4), np.float32), facts=facts)
    yield Sample("HDF5", folder / "patches.hdf", _patches)
    yield Sample("safetensors", model, load_model)
    yield Sample("state", state, _resume)
    yield Sample("JSON", folder / "evaluation" / "evaluation.json", _evaluation)
    yield Sample("npz", folder / "measurement.npz", load_measurement)


def _network() -> torch.nn.Module:
    return build_network(NETWORK, torch.Generator().manual_seed(0))


def _state() -> TrainingState:
    network = _network()
    optimizer = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return TrainingState(network, optimizer, step=1)


def _resume(path: Path) -> None:
    load_run(path)
    restore_state(path, _state())


def _patches(path: Path) -> None:
    data = PatchFile(path)
    for index, pair in enumerate(data.pairs):
        data.window(Region(index, 0, pair.shape[0], 0, pair.shape[1]), min(pair.shape))
    data.close()


def _evaluation(path: Path) -> object:
    whole = path.with_name("evaluation.json")
    if path != whole:
        whole = path.parent / path.stem / "evaluation.json"
        whole.parent.mkdir(exist_ok=True)
        whole.write_bytes(path.read_bytes())
    return read_evaluation(whole.parent)


def _atomic_models(folder: Path, rng: np.random.Generator) -> Iterable[Sample]:
    places = rng.uniform(-20, 20, (12, 3))
    atoms = [
        SimpleNamespace(n=n, name="CA", r=n, x=x, y=y, z=z, e="C")
        for n, (x, y, z) in enumerate(places.tolist(), 1)
    ]
    helix = f"HELIX    1   1 ALA A{1:5d}  ALA A{9:5d}  1{'':>35}9\n"
    (folder / "a.pdb").write_text(helix + "".join(ATOM.format(**vars(a)) for a in atoms) + "END\n")
    import gemmi  # noqa: PLC0415

    gemmi.read_structure(str(folder / "a.pdb")).make_mmcif_document().write_file(
        str(folder / "a.cif")
    )
    for kind, name in (("PDB", "a.pdb"), ("mmCIF", "a.cif")):
        yield Sample(kind, folder / name, lambda path: (read_atoms(path), read_residues(path)))


def inspected(path: Path) -> None:
    """What `restore inspect` says of a file, which must never be a traceback."""
    inspect(path, Recipe())
