"""How fast restore is here: beside Topaz-Denoise, beside plain PyTorch, and beside what the machine
can do at all.

    python benchmarks/speed.py [--repeats 3] [--size 4096] [--only SECTION ...] [--no-topaz] [-o
    speed.json]

All in one run, on the CPU, in turns: each turn runs every command once, as a process of its own,
and a ratio is the median of the ratios within the turns. Micrographs are simulated, or are noise.
Linux charges a process with the most memory that the one which started it ever had, so this one
stays small: what is large is done by machine_limits.py.

The default network is measured throughout, the paper's beside it in the sections "denoise" and
"train".
"""

import argparse
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

import machine
import machine_limits
from machine_limits import Runs, Table, dtype_name, in_turns, middle, number, typical
from peers.environments import TOPAZ, NotRunError, python_of
from quality_methods import PEERS, call
from restore.io.micrographs import read_micrographs
from restore.io.relion.micrographs import NAME
from restore.io.star import read_star, write_star
from restore.model.checkpoint import Model, save_model
from restore.model.general import load_general_model
from restore.model.network import ARCHITECTURES, Network, NetworkSettings, build_network
from restore.preprocessing import Recipe

RESTORE = (sys.executable, "-m", "restore")
WITHIN = (sys.executable, str(Path(__file__).with_name("machine_limits.py")))
RESOLUTION_A = 4.5
MODEL, PAPERS_MODEL = "model.safetensors", "papers.safetensors"
UNFLIPPED_MODEL = "unflipped.safetensors"
PRECISIONS = ("auto",) if dtype_name("auto") == "float32" else ("auto", "float32")
STARS = {1: "one.star", 4: "micrographs_ctf.star", 12: "dozen.star"}
LARGE_PIXELS_A = (0.5, 1.0)
RIVALS = ("one auto", "topaz", "eager", "papers", "one float32", "calibrated")
"""What is compared directly; in each turn these run one after the other."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is. ``training`` lists patches in a step, their side in pixels, and how
    many steps are timed.
    """

    micrograph_px: int = 4096
    large_px: tuple[int, int] = (8184, 11520)
    network: NetworkSettings = ARCHITECTURES["unet"].usual
    papers: NetworkSettings = ARCHITECTURES["waunet"].usual
    training: tuple[tuple[int, int, int], ...] = ((4, 128, 10), (10, 192, 3))
    limits: tuple[str, ...] = ()


QUICK = Sizes(
    512,
    (400, 600),
    NetworkSettings("unet", 2, 1),
    NetworkSettings("waunet", 2, 1),
    ((4, 128, 2), (10, 192, 1)),
    ("tiny",),
)


@dataclass(frozen=True)
class Contender:
    """A command that has its turn, or the first one only; ``own`` reads what it measured itself."""

    command: Sequence[str]
    own: Callable[[], Mapping[str, Any]] = dict
    once: bool = False


@dataclass(frozen=True)
class Session:
    """Where a run's files lie, how large they are, and the commands that work on them."""

    folder: Path
    environments: Path
    sizes: Sizes

    def paths(self, *names: str) -> list[str]:
        """Files of the run, as a command is given them."""
        return [str(self.folder / name) for name in names]

    def denoise(self, source: str, *options: str, model: str = MODEL) -> Contender:
        """``restore denoise``."""
        images, weights, output = self.paths(source, model, "out")
        files = ["-m", images, "-p", weights, "-o", output, "--overwrite"]
        return Contender([*RESTORE, "denoise", *files, "--device=cpu", *options])

    def prepare(self, star: str, patches: str) -> Contender:
        """``restore prepare``."""
        images, output = self.paths(star, patches)
        return Contender(
            [
                *RESTORE,
                "prepare",
                "-m",
                images,
                "-f",
                output,
                "--overwrite",
                "-r",
                str(RESOLUTION_A),
            ]
        )

    def within(self, name: str, *arguments: str) -> Contender:
        """One of machine_limits.py's measurements."""
        path = self.folder / f"{name}.json"
        return Contender(
            [*WITHIN, str(path), name, *arguments], lambda: json.loads(path.read_text())
        )


def denoise_section(session: Session) -> dict[str, Contender]:
    """One micrograph and four without their halves, one with them, one by the paper's network; and
    the networks alone.
    """
    alone = "--calibration=none"
    contenders = {
        "papers": session.denoise(STARS[1], alone, model=PAPERS_MODEL),
        "calibrated": session.denoise(STARS[1]),
    }
    for precision in PRECISIONS:
        for name, star in (("one", STARS[1]), ("four", STARS[4])):
            contenders[f"{name} {precision}"] = session.denoise(
                star, alone, f"--precision={precision}"
            )
        contenders[f"network {precision}"] = session.within(
            "network", *session.paths(STARS[1], MODEL), precision
        )
    papers = session.paths(STARS[1], PAPERS_MODEL)
    return contenders | {"papers network": session.within("network", *papers, "auto")}


def topaz_section(session: Session) -> dict[str, Contender]:
    """Topaz-Denoise's shipped U-Net on the whole micrograph. NotRunError where it cannot be
    installed.
    """
    python = python_of(TOPAZ, session.environments)
    image = read_micrographs(session.folder / STARS[1]).micrographs[0].image
    command = [
        str(python),
        str(PEERS / "topaz_command.py"),
        "denoise",
        "-d",
        "-1",
        "-o",
        *session.paths("topaz"),
    ]
    return {"topaz": Contender([*command, str(image)])}


def large_section(session: Session) -> dict[str, Contender]:
    """A K3's super-resolution image, and one whose pixels leave four times as much of it to
    denoise.
    """
    contenders: dict[str, Contender] = {}
    for pixel_A in LARGE_PIXELS_A:
        name, sides = f"large_{pixel_A:g}.mrc", map(str, session.sizes.large_px)
        call(session.within("noise", *session.paths(name), *sides, str(pixel_A)).command)
        contenders[f"large {pixel_A:g}"] = session.denoise(
            name, f"--pixel_size={pixel_A:g}", model=UNFLIPPED_MODEL
        )
    return contenders


def prepare_section(session: Session) -> dict[str, Contender]:
    """The patch files of one and of four micrographs."""
    return {f"prepare {count}": session.prepare(STARS[count], "speed.hdf") for count in (1, 4)}


def memory_section(session: Session) -> dict[str, Contender]:
    """Twelve micrographs denoised and prepared, for the memory that they take."""
    commands = {
        "twelve auto": session.denoise(STARS[12], "--calibration=none"),
        "prepare 12": session.prepare(STARS[12], "speed.hdf"),
    }
    return {name: replace(contender, once=True) for name, contender in commands.items()}


def train_section(session: Session) -> dict[str, Contender]:
    """Two epochs for each network and size of step; the second one is timed."""
    call(session.prepare(STARS[4], "train.hdf").command)
    contenders: dict[str, Contender] = {}
    networks = (session.sizes.network, session.sizes.papers)
    for settings, (batch, patch_px, steps) in product(networks, session.sizes.training):
        name = f"train_{settings.name}_{patch_px}"
        patches, folder = session.paths("train.hdf", "Models")
        files = ["-t", patches, "-d", folder, "-x", name, "--overwrite"]
        length = [
            "--number_of_epochs=2",
            f"--batches_per_epoch={steps}",
            "--held_out=0",
            "--device=cpu",
        ]
        network = [
            "--from_scratch",
            f"--architecture={settings.name}",
            f"--filters={settings.filters}",
            f"--blocks={settings.blocks}",
        ]
        size = [f"--patch_px={patch_px}", f"--batch_size={batch}"]
        own = partial(trained, session.folder / f"Models/{name}.csv", settings, (batch, patch_px))
        contenders[name] = Contender([*RESTORE, "train", *files, *length, *network, *size], own)
    return contenders


SECTIONS: dict[str, Callable[[Session], dict[str, Contender]]] = {
    "machine": lambda session: {"limits": session.within("limits", *session.sizes.limits)},
    "denoise": denoise_section,
    "eager": lambda session: {"eager": session.within("eager", *session.paths(STARS[1], MODEL))},
    "topaz": topaz_section,
    "large": large_section,
    "prepare": prepare_section,
    "memory": memory_section,
    "train": train_section,
}


def trained(
    table: Path, settings: NetworkSettings, patches: tuple[int, int]
) -> dict[str, float | str]:
    """What a step of ``patches`` (how many, their side in pixels) cost by the run's own log, a
    saving of the state included; backward is twice forward's work.
    """
    batch, patch_px = patches
    with table.open() as lines:
        first, *_, last = csv.DictReader(lines)
    step_s = (float(last["seconds"]) - float(first["seconds"])) / (
        int(last["step"]) - int(first["step"])
    )
    what = f"training step of {batch} × {patch_px}², {settings.name}, {dtype_name('auto')}"
    flop_per_px = machine_limits.flop_per_px(build_network(settings, torch.Generator()))
    pixels = batch * patch_px**2
    work = machine_limits.work_of(what, dtype_name("auto"), step_s, 3 * flop_per_px * pixels)
    return work | {"px_per_s": pixels / step_s}


def set_up(session: Session, sections: Sequence[str]) -> Runs:
    """Write models and, where they are needed, micrographs; what simulating these took."""
    sizes = session.sizes
    for name, settings, flip in (
        (MODEL, sizes.network, True),
        (PAPERS_MODEL, sizes.papers, True),
        (UNFLIPPED_MODEL, sizes.network, False),
    ):
        recipe = Recipe(RESOLUTION_A, phase_flip=flip)
        save_model(session.folder / name, Model(network_for_speed(settings), recipe))
    if set(sections) <= {"machine", "large"}:
        return {}
    star, size = session.folder / STARS[4], f"--size_px={sizes.micrograph_px}"
    cost = call([*RESTORE, "simulate", str(session.folder), "--micrographs=4", size])
    rewrite(star, STARS[1], 1)
    rewrite(star, STARS[12], 4, ("", "a", "b"))
    return {"simulate": [asdict(cost)]}


def network_for_speed(settings: NetworkSettings) -> Network:
    """A network with any weights; with the general model's where it has these settings, for the
    output must resemble the halves to be calibrated by them.
    """
    general = load_general_model().network
    if general.settings == settings:
        return general
    return build_network(settings, torch.Generator().manual_seed(0))


def rewrite(star: Path, name: str, count: int, prefixes: Sequence[str] = ("",)) -> None:
    """Write beside a STAR file one of its first micrographs, once under each prefix, with copies
    of the images.
    """
    whole = read_star(star)
    block = whole.block("micrographs")
    assert block is not None
    rows = block.keeping(list(range(count)) * len(prefixes))
    old = [Path(path) for path in rows.column(NAME)]
    new = [path.with_name(prefixes[index // count] + path.name) for index, path in enumerate(old)]
    write_star(
        star.with_name(name), whole.with_block(rows.with_column(NAME, [str(path) for path in new]))
    )
    for image in sorted((star.parent / old[0]).parent.glob("mic_*.mrc")):
        for prefix in filter(None, prefixes):
            shutil.copyfile(image, image.with_name(prefix + image.name))


def contenders_of(
    session: Session, sections: Sequence[str], not_run: dict[str, str]
) -> dict[str, Contender]:
    """Everything that is to be timed, rivals first; why a section cannot be made ready is put into
    ``not_run``.
    """
    contenders: dict[str, Contender] = {}
    for name in sections:
        try:
            contenders |= SECTIONS[name](session)
        except NotRunError as reason:
            not_run[name] = str(reason)
    return dict(sorted(contenders.items(), key=lambda item: item[0] not in RIVALS))


def take_turn(
    turn: int, contenders: Mapping[str, Contender], runs: Runs, not_run: dict[str, str]
) -> None:
    """Run each contender, unless it has failed before or is to run in the first turn only."""
    for name, contender in contenders.items():
        if name in not_run or (contender.once and turn > 0):
            continue
        print(f"turn {turn + 1}: {name}", file=sys.stderr, flush=True)
        try:
            cost = call(contender.command)
            runs.setdefault(name, []).append({**asdict(cost), **contender.own()})
        except NotRunError as reason:
            not_run[name] = str(reason)


def processes_table(runs: Runs, not_run: Mapping[str, str]) -> Table:
    """Seconds and memory of whole processes, and how many times as long as restore's each took."""
    labels = {
        f"one {precision}": f"restore denoise, {dtype_name(precision)}, without halves"
        for precision in PRECISIONS
    }
    labels |= {
        "calibrated": f"restore denoise, {dtype_name('auto')}, calibrated by its own halves",
        "papers": f"restore denoise, {dtype_name('auto')}, without halves, the paper's network",
        "eager": "PyTorch eager, float32, whole, nothing written",
        "topaz": "Topaz-Denoise, its own U-Net",
    }
    labels |= {
        f"large {pixel_A:g}": f"restore denoise, K3 image, {pixel_A:g} Å/px"
        for pixel_A in LARGE_PIXELS_A
    }
    rows = [["whole process", "s", "GB", "× restore"]]
    for name, label in labels.items():
        if name in runs:
            ratio = middle(its / ours for its, ours in in_turns(runs, "wall_s", name, "one auto"))
            costs = [typical(runs, name, figure) for figure in ("wall_s", "peak_GB")]
            rows.append([label, *map(number, costs), number(ratio) if name in RIVALS else ""])
        elif name in not_run:
            rows.append([label, f"not run: {not_run[name]}", "", ""])
    return rows


def rates_table(runs: Runs) -> Table:
    """What further micrographs cost."""
    rows = [
        ["", ""],
        [
            "simulate, s for each of four micrographs",
            number(typical(runs, "simulate", "wall_s") / 4),
        ],
    ]
    for precision in PRECISIONS:
        pairs = in_turns(runs, "wall_s", f"four {precision}", f"one {precision}")
        further_s = [(four - one) / 3 for four, one in pairs]
        rows += [
            [
                f"denoise, each further micrograph, s ({dtype_name(precision)})",
                number(middle(further_s)),
            ]
        ]
    rates = [3 / (four - one) for four, one in in_turns(runs, "wall_s", "prepare 4", "prepare 1")]
    rows += [["prepare, pairs of halves per second", number(middle(rates))]]
    rows += [
        [tries[0]["what"].replace("step", "rate") + ", million pixels per second",
         number(1e-6 * typical(runs, name, "px_per_s"))]
        for name, tries in runs.items()
        if "px_per_s" in tries[0]
    ]  # fmt: skip
    peaks = {
        "denoise": ("one auto", "four auto", "twelve auto"),
        "prepare": [f"prepare {count}" for count in STARS],
    }
    for command, names in peaks.items():
        peaks_GB = " / ".join(number(typical(runs, name, "peak_GB")) for name in names)
        rows += [[f"{command}, peak memory for 1 / 4 / 12 micrographs, GB", peaks_GB]]
    return [row for row in rows if row[1].strip("– /") or row == rows[0]]


def tables(runs: Runs, not_run: Mapping[str, str]) -> list[Table]:
    """Every table that has more than a head."""
    parts = [machine_limits.limits_table(runs), processes_table(runs, not_run)]
    parts += [machine_limits.arithmetic_table(runs), rates_table(runs)]
    return [rows for rows in parts if len(rows) > 1]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument(
        "--size", type=int, help="side of a simulated micrograph, pixels of 1 Å (default: 4096)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=tuple(SECTIONS), default=tuple(SECTIONS), help="(default: all)"
    )
    parser.add_argument(
        "--topaz", action=argparse.BooleanOptionalAction, default=True, help="beside Topaz-Denoise"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes and a tiny network, to see that all runs"
    )
    parser.add_argument("-o", "--output", type=Path, help="where every figure is written, JSON")
    parser.add_argument(
        "--environments", type=Path, default=Path.home() / ".cache/restore-benchmarks"
    )
    chosen = parser.parse_args(arguments)
    chosen.sections = [
        name for name in SECTIONS if name in chosen.only and (chosen.topaz or name != "topaz")
    ]
    sizes = QUICK if chosen.quick else Sizes()
    chosen.sizes = replace(sizes, micrograph_px=chosen.size or sizes.micrograph_px)
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status says whether all of restore's own ran."""
    chosen = parsed(arguments)
    session = Session(
        Path(tempfile.mkdtemp(prefix="restore_speed_")), chosen.environments, chosen.sizes
    )
    not_run: dict[str, str] = {}
    try:
        runs = set_up(session, chosen.sections)
        record: dict[str, object] = {
            "machine": machine.describe(),
            "sizes": asdict(chosen.sizes),
            "runs": runs,
            "not_run": not_run,
        }
        contenders = contenders_of(session, chosen.sections, not_run)
        for turn in range(chosen.repeats):
            take_turn(turn, contenders, runs, not_run)
            if chosen.output:
                record["tables"] = tables(runs, not_run)
                chosen.output.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    finally:
        shutil.rmtree(session.folder)
    print("\n\n".join([machine.describe(), *map(machine_limits.markdown, tables(runs, not_run))]))
    for name, reason in not_run.items():
        print(f"\nNot run: {name}: {reason}")
    return 1 if set(not_run) - {"eager", "topaz"} else 0


if __name__ == "__main__":
    sys.exit(main())
