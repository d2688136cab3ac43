"""How many particles are found, and how many false ones with them: pickers on raw images, filtered
ones, and those of restore and Topaz-Denoise, beside the true centres.

    python benchmarks/picking.py [--specimens barrel PDB ...] [--minutes 1] [--micrographs 2]
        [--pickers relion topaz] [--images raw "restore, general" ...] [--work FOLDER]
        [-o picking.json] [--figure picking.png]
    python benchmarks/picking.py --measured picking.json more.json [--figure picking.png]

Micrographs are simulated under several doses and defoci. Each picker is run with so low a threshold
that the figures of merit of its picks give the whole curve of precision and recall. Prints Markdown
tables: the recall at 90 % precision, and the average precision.

Rows can be made one at a time: each run adds to the file of results, leaves out what is there, and
prints all that is there.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
from peers.environments import NotRunError
from picking_figure import draw
from picking_images import PIXEL_SIZE_A, Files, ImageKind, Session, Shot, kinds_for, simulated
from picking_metrics import Verdict, judge
from picking_pickers import LOG_DIAMETERS, Picker, relion_log_for, topaz_for
from picking_tables import Group, Result, as_json, from_json, line_of, table, with_best_lowpass
from quality_data import Condition

IMAGES = ("raw", "low-pass", "Wiener", "Topaz-Denoise", "restore")
CONDITIONS = tuple(
    Condition(dose, defocus) for dose in (20.0, 50.0) for defocus in ((0.5, 0.8), (1.2, 1.8))
)


@dataclass(frozen=True)
class Task:
    """One picker, and one kind of image of every shot."""

    picker_name: str
    picker: Picker
    image_name: str
    files: Files


def picked(task: Task, shots: Sequence[Shot], folder: Path) -> Result:
    """What the picker found, specimen by specimen, for each has a size of its own."""
    verdicts: dict[Group, list[Verdict]] = {}
    print(f"  {task.picker_name}", file=sys.stderr, flush=True)
    try:
        for specimen in dict.fromkeys(shot.specimen for shot in shots):
            mine = {shot.key: shot for shot in shots if shot.specimen == specimen}
            place = folder / specimen
            place.mkdir(parents=True)
            diameter_A = next(iter(mine.values())).diameter_A
            files = {key: task.files[key] for key in mine}
            picks = task.picker(files, PIXEL_SIZE_A, diameter_A, place)
            for key, shot in mine.items():
                group = verdicts.setdefault((specimen, shot.condition), [])
                group.append(judge(picks[key], shot.truth))
    except NotRunError as reason:
        return Result(task.picker_name, task.image_name, {}, str(reason))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Result(task.picker_name, task.image_name, verdicts)


def examined(
    shots: Sequence[Shot],
    kinds: Mapping[str, ImageKind],
    pickers: Mapping[str, Picker],
    folder: Path,
) -> Iterator[list[Result]]:
    """Every picker on each kind of image, which is removed then."""
    for kind, make in kinds.items():
        print(kind, file=sys.stderr, flush=True)
        place = folder / "images" / kind
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            files = make(shots, place)
        except NotRunError as reason:
            yield [Result(name, kind, {}, str(reason)) for name in pickers]
            continue
        tasks = (Task(name, picker, kind, files) for name, picker in pickers.items())
        yield [picked(task, shots, folder / "picks") for task in tasks]
        shutil.rmtree(place)


def kinds_of(chosen: argparse.Namespace) -> dict[str, ImageKind]:
    """The kinds of images that are asked for: by their whole names, or by how these begin."""
    every = kinds_for(chosen.minutes, chosen.environments)
    whole = [name for name in chosen.images if name in every]
    starts = tuple(name for name in chosen.images if name not in every)
    return {name: kind for name, kind in every.items() if name in whole or name.startswith(starts)}


def measured(chosen: argparse.Namespace) -> list[Result]:
    """Simulate, denoise and pick as it was asked for, except what an earlier run has done."""
    every: dict[str, Picker] = {
        "relion": relion_log_for(tuple(chosen.log_diameters)),
        "topaz": topaz_for(chosen.environments),
    }
    conditions = CONDITIONS[:1] if chosen.quick else CONDITIONS
    size = chosen.micrographs, chosen.size, chosen.seed
    session = Session(chosen.specimens, conditions, *size)
    place_of = {name: n for n, name in enumerate(kinds_for(chosen.minutes, chosen.environments))}
    folder = chosen.work or Path(tempfile.mkdtemp(prefix="restore_picking_"))
    asked = question(chosen)
    results = earlier(chosen.output, asked)
    try:
        shots = simulated(folder, session)
        for name in chosen.pickers:
            done = [result.image for result in results if result.picker == name]
            kinds = {kind: make for kind, make in kinds_of(chosen).items() if kind not in done}
            for more in examined(shots, kinds, {name: every[name]}, folder):
                results += more
                results.sort(key=lambda result: place_of.get(result.image, len(place_of)))
                if chosen.output:
                    write(results, asked, chosen.output)
    finally:
        if chosen.work is None:
            shutil.rmtree(folder)
    return results


def question(chosen: argparse.Namespace) -> dict[str, object]:
    """What all rows of one table have in common."""
    names = ("micrographs", "size", "seed", "log_diameters", "quick")
    specimens = [Path(specimen).stem for specimen in chosen.specimens]
    return {"specimens": specimens} | {
        name: list(value) if isinstance(value := getattr(chosen, name), tuple) else value
        for name in names
    }


def earlier(path: Path | None, asked: Mapping[str, object]) -> list[Result]:
    """The results that a run of the same question has left; SystemExit where it was another."""
    if path is None or not path.is_file():
        return []
    record = json.loads(path.read_text())
    if record["asked"] != asked:
        sys.exit(f"{path} holds results of another run: {record['asked']}")
    results = [from_json(result) for result in record["results"]]
    return [result for result in results if not result.not_run]


def joined(paths: Sequence[Path]) -> tuple[list[str], list[Result]]:
    """The machines and the results of several runs of one question; SystemExit where the questions
    differ.
    """
    records = [json.loads(path.read_text()) for path in paths]
    for path, record in zip(paths, records, strict=True):
        if record["asked"] != records[0]["asked"]:
            sys.exit(
                f"{path} holds results of another run than {paths[0]}: {record['asked']}, not "
                f"{records[0]['asked']}. Print them one at a time"
            )
    machines = list(dict.fromkeys(record["machine"] for record in records))
    return machines, [from_json(result) for record in records for result in record["results"]]


def write(results: Sequence[Result], asked: Mapping[str, object], path: Path) -> None:
    """Everything that was measured so far, with the machine, as JSON."""
    record = {
        "machine": machine.describe(),
        "asked": asked,
        "results": [as_json(one) for one in results],
    }
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n")


def report(results: Sequence[Result], figure: Path | None) -> None:
    """Print a table for each picker, and draw the curves."""
    names = dict.fromkeys(result.picker for result in results)
    of_pickers = {
        name: with_best_lowpass([result for result in results if result.picker == name])
        for name in names
    }
    for name, mine in of_pickers.items():
        print(f"\n{name}\n\n" + "\n".join(table(mine)), flush=True)
    if figure:
        draw(
            figure,
            {
                name: [line_of(result) for result in mine if not result.not_run]
                for name, mine in of_pickers.items()
            },
        )


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--specimens", nargs="+", default=["barrel"], help='"barrel", atomic models or maps')
    add("--minutes", type=float, nargs="*", default=[1.0], help="of training, a row for each")
    add("--micrographs", type=int, default=2, help="for each specimen and condition")
    add("--size", type=int, default=1152, help="side of a micrograph, pixels of 1.5 Å")
    add("--pickers", nargs="+", default=["relion", "topaz"], choices=("relion", "topaz"))
    add(
        "--log-diameters",
        type=float,
        nargs=2,
        default=LOG_DIAMETERS,
        metavar=("MIN", "MAX"),
        help="of RELION's Laplacian of Gaussian, in diameters of the particle",
    )
    add("--images", nargs="+", default=IMAGES, help="rows: whole names, or how they begin")
    add("--seed", type=int, default=0, help="of the simulation")
    add("--quick", action="store_true", help="small: one condition, no training, RELION alone")
    add("-o", "--output", type=Path, help="everything that was measured, JSON; it is added to")
    add("--work", type=Path, help="folder in which the simulated micrographs stay for other runs")
    add(
        "--measured",
        type=Path,
        nargs="+",
        help="print what earlier runs of one question wrote, and run nothing",
    )
    add("--figure", type=Path, help="the curves, PNG")
    add(
        "--environments",
        type=Path,
        default=Path.home() / ".cache/restore-benchmarks",
        help="where Topaz is installed",
    )
    chosen = parser.parse_args(arguments)
    for specimen in chosen.specimens:
        if specimen != "barrel" and not Path(specimen).is_file():
            parser.error(f"{specimen}: there is no such file")
    if chosen.quick:
        chosen.minutes, chosen.pickers = [], ["relion"]
        chosen.images = [name for name in chosen.images if name != "Topaz-Denoise"]
        chosen.micrographs, chosen.size = 1, min(chosen.size, 768)
    return chosen


def main() -> None:
    """Simulate, denoise, pick, print."""
    chosen = parsed(None)
    if chosen.measured:
        machines, results = joined(chosen.measured)
        print("\n".join(machines))
    else:
        print(machine.describe(), flush=True)
        results = measured(chosen)
    report(results, chosen.figure)


if __name__ == "__main__":
    main()
