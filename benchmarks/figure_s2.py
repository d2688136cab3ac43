"""Does denoising help the structure? Figure S2 of Palovcak et al. (2020) on simulated data, whose
truth is known.

    python benchmarks/figure_s2.py FOLDER [--model 3j9i_t20s.pdb] [--micrographs 24] [--steps 3000]

A T20S proteasome (PDB 3J9I, D7) is put under a simulated microscope. A network is trained on the
halves, all micrographs are denoised, ``relion_preprocess`` cuts the same particles out of raw and
denoised micrographs, and ``relion_refine`` aligns both sets separately, by local search from the
same perturbed orientations. ``restore structure`` then makes every panel of the figure, beside the
truth. Needs RELION 3.1 or later (relion_preprocess, relion_refine_mpi, relion_image_handler,
relion_mask_create, mpirun). Stages that are finished are not run again: ``FOLDER/stages.csv`` has
the time of each. Options that are not known here, such as ``--architecture waunet``, go to
``restore train``.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial.transform import Rotation

import machine
from restore.io.star import Block, StarFile, read_star, write_star
from restore.symmetry import from_euler_deg, point_group

SYMMETRY, FOLD = "D7", 7
PIXEL_SIZE_A, IMAGE_PIXEL_SIZE_A, FINEST_A = 1.5, 2.5, 5.0
WINDOW_PX, BOX_PX, BACKGROUND_RADIUS_PX = 160, 96, 40
PARTICLE_DIAMETER_A, REFERENCE_A = 200, 15
PERTURBED_DEG, SHIFTED_A = 3.0, 3.0
MASK_LEVEL_V = 1.0
EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
KINDS = RAW, DENOISED = "raw", "denoised"


@dataclass(frozen=True)
class Experiment:
    """The folder in which everything runs, and how large the experiment is."""

    folder: Path
    model: Path
    micrographs: int
    steps: int
    processes: int
    training_options: Sequence[str] = ()

    def stage(self, name: str, result: str, work: Callable[[], None]) -> None:
        """Run ``work`` unless its result, a path in the folder, is there; note its seconds on the
        clock and of the CPUs.
        """
        if (self.folder / result).exists():
            print(f"{name}: {result} is there", flush=True)
            return
        print(f"{name} …", flush=True)
        wall, cpu = time.monotonic(), _cpu_seconds()
        work()
        taken = time.monotonic() - wall, _cpu_seconds() - cpu
        with (self.folder / "stages.csv").open("a", newline="") as file:
            csv.writer(file).writerow([name, f"{taken[0]:.0f}", f"{taken[1]:.0f}"])
        print(f"{name}: {taken[0]:.0f} s, {taken[1]:.0f} s of CPU", flush=True)

    def run(self, *command: str | Path, log: str = "") -> None:
        """Run a program in the folder; what it says goes to the screen or to a log there."""
        words = [str(word) for word in command]
        with (self.folder / log).open("w") if log else open(os.devnull, "w") as file:  # noqa: PTH123
            streams = {"stdout": file, "stderr": subprocess.STDOUT} if log else {}
            done = subprocess.run(words, cwd=self.folder, check=False, **streams)
        if done.returncode:
            raise SystemExit(
                f"{words[0]} ended with {done.returncode}: {' '.join(words)} (see {log or 'above'})"
            )

    def restore(self, *command: str | Path) -> None:
        """Run a command of restore in the folder."""
        self.run(sys.executable, "-m", "restore", *command)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def simulate(experiment: Experiment) -> None:
    """Micrographs, their halves and their particles, thin enough on the ice that few overlap."""
    microscope = [
        "--size_px",
        "2048",
        "--pixel_size_A",
        str(PIXEL_SIZE_A),
        "--defocus_um",
        "0.8",
        "2.0",
    ]
    specimen = [
        "--specimen",
        experiment.model,
        "--particles_per_um2",
        "800",
        "--seed",
        "1",
        "--overwrite",
    ]
    experiment.restore("simulate", ".", "-n", str(experiment.micrographs), *microscope, *specimen)


def train(experiment: Experiment) -> None:
    """A network on the halves, by its steps, so that it is the same network on every machine."""
    where = ["-d", ".", "-x", "t20s", "-f", "t20s.hdf", "--overwrite"]
    bounds = ["-r", str(FINEST_A), "--steps", str(experiment.steps)]
    experiment.restore(
        "train", "-m", "micrographs_ctf.star", *where, *bounds, *experiment.training_options
    )


def denoise(experiment: Experiment) -> None:
    """All micrographs, phases flipped back, since RELION corrects the CTF itself."""
    output = ["-o", DENOISED, "--flip_phases_back"]
    experiment.restore("denoise", "-m", "micrographs_ctf.star", "-p", "t20s.safetensors", *output)


def start(experiment: Experiment) -> None:
    """The particles as a refinement would be handed them: two half sets, orientations and shifts a
    little off.
    """
    star = read_star(experiment.folder / "particles.star")
    truth = _particles(star)
    rng = np.random.default_rng(7)
    halves = rng.permutation(np.arange(len(truth.rows)) % 2 + 1)
    truth = truth.with_column("rlnRandomSubset", [str(half) for half in halves])
    true = from_euler_deg(np.array([truth.column(name) for name in EULER], dtype=np.float64).T)
    off = Rotation.from_rotvec(rng.normal(0, PERTURBED_DEG, (len(truth.rows), 3)), degrees=True)
    begun = truth
    for name, values in zip(EULER, in_asymmetric_unit_deg(true * off).T, strict=True):
        begun = begun.with_column(name, [f"{value:.6f}" for value in values])
    for axis, values in zip("XY", rng.normal(0, SHIFTED_A, (2, len(truth.rows))), strict=True):
        begun = begun.with_column(f"rlnOrigin{axis}Angst", [f"{value:.6f}" for value in values])
    write_star(experiment.folder / "truth.star", star.with_block(truth))
    write_star(experiment.folder / f"start_{RAW}.star", star.with_block(begun))
    names = [f"{DENOISED}/{name}" for name in begun.column("rlnMicrographName")]
    denoised = begun.with_column("rlnMicrographName", names)
    write_star(experiment.folder / f"start_{DENOISED}.star", star.with_block(denoised))


def in_asymmetric_unit_deg(rotations: Rotation) -> np.ndarray:
    """The Euler angles of that symmetry copy which RELION samples: for Dn tilt to 90°, rot within
    180°/n of 90°.

    Its local searches go astray from any other: a third of the particles jump by 50° to 90° in the
    first iteration.
    """
    inside_deg = np.full((len(rotations), 3), np.nan)
    for operation in point_group(SYMMETRY):
        euler_deg = (operation * rotations).as_euler("ZYZ", degrees=True)
        inside = (euler_deg[:, 1] <= 90) & (np.abs(euler_deg[:, 0] - 90) <= 180 / FOLD)
        inside_deg[inside] = euler_deg[inside]
    return inside_deg


def extract(experiment: Experiment, kind: str) -> None:
    """The particles of one kind of micrograph through relion_preprocess."""
    micrographs = "micrographs_ctf.star" if kind == RAW else f"{DENOISED}/micrographs_ctf.star"
    folder = f"particles_{kind}/"
    experiment.run(
        "relion_preprocess", "--i", micrographs, "--reextract_data_star", f"start_{kind}.star",
        "--part_dir", folder, "--part_star", f"{folder}particles.star",
        "--extract", "--extract_size", str(WINDOW_PX), "--scale", str(BOX_PX),
        "--norm", "--bg_radius", str(BACKGROUND_RADIUS_PX), "--invert_contrast",
        log=f"extract_{kind}.log",
    )  # fmt: skip


def true_map(experiment: Experiment) -> None:
    """The specimen on the grid of the particle images, a mask around it, and its model moved into
    that grid.
    """
    padded, quiet = "specimen_padded.mrc", "true_map.log"
    experiment.run(
        "relion_image_handler",
        "--i",
        "specimen.mrc",
        "--o",
        padded,
        "--new_box",
        str(WINDOW_PX),
        log=quiet,
    )
    rescale = ["--rescale_angpix", str(IMAGE_PIXEL_SIZE_A), "--new_box", str(BOX_PX)]
    experiment.run(
        "relion_image_handler", "--i", padded, "--o", "true_map.mrc", *rescale, log=quiet
    )
    soft = [
        "--lowpass",
        "15",
        "--ini_threshold",
        str(MASK_LEVEL_V),
        "--extend_inimask",
        "2",
        "--width_soft_edge",
        "5",
    ]
    experiment.run("relion_mask_create", "--i", "true_map.mrc", "--o", "mask.mrc", *soft, log=quiet)
    move_model(experiment.model, experiment.folder / "model.pdb")


def move_model(source: Path, moved: Path) -> None:
    """The model with its middle at the middle of the particle images' box, as the simulator puts
    it.
    """
    structure = gemmi.read_structure(str(source))
    structure.remove_waters()
    places = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    moved_A = places + BOX_PX // 2 * IMAGE_PIXEL_SIZE_A - (places.min(0) + places.max(0)) / 2
    for site, place_A in zip(structure[0].all(), moved_A, strict=True):
        site.atom.pos = gemmi.Position(*place_A)
    structure.write_pdb(str(moved))


def refine(experiment: Experiment, kind: str) -> None:
    """A gold-standard refinement of one kind of particle: auto-refine, local searches only, from a
    15 Å reference.
    """
    (experiment.folder / f"refine_{kind}").mkdir(exist_ok=True)
    mpi = ["mpirun", "--oversubscribe", "-n", str(experiment.processes)]
    if os.geteuid() == 0:
        mpi.insert(1, "--allow-run-as-root")
    experiment.run(
        *mpi, "relion_refine_mpi",
        "--i", f"particles_{kind}/particles.star", "--o", f"refine_{kind}/run",
        "--ref", "true_map.mrc", "--ini_high", str(REFERENCE_A), "--firstiter_cc", "--auto_refine",
        "--split_random_halves", "--low_resol_join_halves", "40", "--ctf", "--ctf_corrected_ref",
        "--particle_diameter", str(PARTICLE_DIAMETER_A), "--flatten_solvent", "--zero_mask",
        "--sym", SYMMETRY, "--healpix_order", "4", "--auto_local_healpix_order", "4",
        "--sigma_ang", str(PERTURBED_DEG), "--offset", str(SHIFTED_A),
        "--offset_range", "4", "--offset_step", "2", "--oversampling", "1", "--norm", "--scale",
        "--pool", "10", "--j", "1", "--preread_images", "--dont_combine_weights_via_disc",
        "--random_seed", "1", log=f"refine_{kind}.log",
    )  # fmt: skip


def _particles(star: StarFile) -> Block:
    block = star.block("particles")
    assert block is not None
    return block


def compare(experiment: Experiment) -> None:
    """Every panel of the figure, and the truth beside it."""
    experiment.restore(
        "structure", "--raw_particles", f"refine_{RAW}/run_data.star",
        "--denoised_particles", f"refine_{DENOISED}/run_data.star",
        "--denoised_micrographs", f"{DENOISED}/micrographs_ctf.star", "--sym", SYMMETRY,
        "--box_px", str(WINDOW_PX), "--scale_px", str(BOX_PX), "--mask", "mask.mrc",
        "--model", "model.pdb", "--truth_map", "true_map.mrc", "--truth_particles", "truth.star",
        "-o", "structure",
    )  # fmt: skip


def main() -> None:
    """Run every stage that is not finished, and print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--model", type=Path, default=Path("../shared/data/structures/3j9i_t20s.pdb")
    )
    parser.add_argument("--micrographs", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3000, help="of training")
    parser.add_argument(
        "--processes", type=int, default=3, help="of relion_refine_mpi: a leader, and two or more"
    )
    chosen, training_options = parser.parse_known_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(
        chosen.folder.resolve(),
        chosen.model.resolve(),
        chosen.micrographs,
        chosen.steps,
        chosen.processes,
        training_options,
    )
    print(machine.describe())
    stages: tuple[tuple[str, str, Callable[[], None]], ...] = (
        ("simulate", "micrographs_ctf.star", partial(simulate, experiment)),
        ("start", f"start_{DENOISED}.star", partial(start, experiment)),
        ("true map", "model.pdb", partial(true_map, experiment)),
        ("train", "t20s.safetensors", partial(train, experiment)),
        ("denoise", f"{DENOISED}/micrographs_ctf.star", partial(denoise, experiment)),
        *(
            (
                f"extract {kind}",
                f"particles_{kind}/particles.star",
                partial(extract, experiment, kind),
            )
            for kind in KINDS
        ),
        *(
            (f"refine {kind}", f"refine_{kind}/run_data.star", partial(refine, experiment, kind))
            for kind in KINDS
        ),
        ("compare", "structure/structure.html", partial(compare, experiment)),
    )
    for name, result, work in stages:
        experiment.stage(name, result, work)
    print((experiment.folder / "stages.csv").read_text())


if __name__ == "__main__":
    main()
