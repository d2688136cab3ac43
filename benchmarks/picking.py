"""How many particles are found, and how many false ones with them: pickers on raw images, filtered
ones, and those of restore and Topaz-Denoise, beside the true centres.

    python benchmarks/picking.py [--specimens barrel PDB ...] [--minutes 1] [--micrographs 2]
        [--pickers relion topaz] [-o picking.json] [--figure picking.png]

Micrographs are simulated under several doses and defoci. Each picker is run with so low a threshold
that the figures of merit of its picks give the whole curve of precision and recall. Prints Markdown
tables: the recall at 90 % precision, and the average precision.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import machine
from peers.environments import NotRunError
from picking_figure import Line, draw
from picking_images import (
    LOWPASS_A,
    PIXEL_SIZE_A,
    Files,
    ImageKind,
    Shot,
    kinds_for,
    lowpass_name,
    simulated,
)
from picking_metrics import (
    Verdict,
    average_precision,
    curve_of,
    judge,
    precision_at,
    recall_at,
    recall_error,
    together,
)
from picking_pickers import Picker, relion_log, topaz_for
from quality_data import Condition

PRECISION = 0.9
BEST_LOWPASS = "best low-pass"
CONDITIONS = tuple(
    Condition(dose, defocus) for dose in (20.0, 50.0) for defocus in ((0.5, 0.8), (1.2, 1.8))
)
Group = tuple[str, str]


@dataclass(frozen=True)
class Result:
    """The verdicts on one picker with one kind of image, by specimen and condition, one for each
    micrograph; or why there are none. ``chosen`` is the cut-off that was best in each group.
    """

    picker: str
    image: str
    verdicts: Mapping[Group, Sequence[Verdict]]
    not_run: str = ""
    chosen: Mapping[Group, str] | None = None

    def average_precision(self, group: Group) -> float:
        """Of the micrographs of one group together."""
        return average_precision(curve_of(together(self.verdicts[group])))

    def recall(self, group: Group) -> float:
        """The recall of one group at 90 % precision."""
        return recall_at(curve_of(together(self.verdicts[group])), PRECISION)


def picked(
    name: str, picker: Picker, kind: str, files: Files, shots: Sequence[Shot], folder: Path
) -> Result:
    """One picker on one kind of image, specimen by specimen, for each has a size of its own."""
    verdicts: dict[Group, list[Verdict]] = {}
    try:
        for specimen in dict.fromkeys(shot.specimen for shot in shots):
            mine = {shot.key: shot for shot in shots if shot.specimen == specimen}
            place = folder / specimen
            place.mkdir(parents=True)
            diameter_A = next(iter(mine.values())).diameter_A
            picks = picker({key: files[key] for key in mine}, PIXEL_SIZE_A, diameter_A, place)
            for key, shot in mine.items():
                group = verdicts.setdefault((specimen, shot.condition), [])
                group.append(judge(picks[key], shot.truth))
    except NotRunError as reason:
        return Result(name, kind, {}, str(reason))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Result(name, kind, verdicts)


def examined(
    shots: Sequence[Shot],
    kinds: Mapping[str, ImageKind],
    pickers: Mapping[str, Picker],
    folder: Path,
) -> list[Result]:
    """Every picker on every kind of image; the images are gone afterwards."""
    results: list[Result] = []
    for kind, make in kinds.items():
        print(kind, file=sys.stderr, flush=True)
        place = folder / "images"
        place.mkdir()
        try:
            files = make(shots, place)
            results += [
                picked(name, picker, kind, files, shots, folder / "picks")
                for name, picker in pickers.items()
            ]
        except NotRunError as reason:
            results += [Result(name, kind, {}, str(reason)) for name in pickers]
        finally:
            shutil.rmtree(place)
    return results


def with_best_lowpass(results: Sequence[Result]) -> list[Result]:
    """The results of one picker, those of the low-passes as one: in every group the cut-off with
    the highest average precision, which only the truth can tell.
    """
    names = [lowpass_name(cutoff) for cutoff in LOWPASS_A]
    low = [result for result in results if result.image in names]
    others = [result for result in results if result.image not in names]
    failed = [result for result in low if result.not_run]
    if not low or failed:
        return [*failed[:1], *others]
    best = {
        group: max(low, key=lambda result, group=group: result.average_precision(group))
        for group in low[0].verdicts
    }
    merged = Result(
        low[0].picker,
        BEST_LOWPASS,
        {group: result.verdicts[group] for group, result in best.items()},
        chosen={group: result.image for group, result in best.items()},
    )
    first = results.index(low[0])
    return [*others[:first], merged, *others[first:]]


def table(results: Sequence[Result]) -> list[str]:
    """A Markdown table of one picker: for each kind of image the recall at 90 % precision, by
    specimen, by condition and over all, and the average precision over all.
    """
    groups = next((list(result.verdicts) for result in results if not result.not_run), [])
    names = [*dict.fromkeys(s for s, _ in groups), *dict.fromkeys(c for _, c in groups)]
    head = ["image", *names, "all", "average precision"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in results:
        if result.not_run:
            lines.append(f"| {result.image} | not run: {result.not_run} |" + " |" * (len(head) - 2))
            continue
        cells = [
            percent(fmean(result.recall(group) for group in groups if name in group))
            for name in names
        ]
        error = recall_error(list(result.verdicts.values()), PRECISION)
        whole = percent(fmean(result.recall(group) for group in groups))
        cells += [
            f"{whole} ± {100 * error:.0f}",
            f"{fmean(result.average_precision(group) for group in groups):.3f}",
        ]
        lines.append(f"| {result.image} | {' | '.join(cells)} |")
    return lines


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f} %"


def line_of(result: Result) -> Line:
    """The mean over all groups of the precision that each recall costs."""
    curves = [curve_of(together(verdicts)) for verdicts in result.verdicts.values()]
    recalls = [n / 100 for n in range(1, 101)]
    means = [fmean(precision_at(curve, recall) for curve in curves) for recall in recalls]
    return Line(result.image, recalls, means)


def as_json(result: Result) -> dict[str, object]:
    """Everything that was measured."""
    return {
        "picker": result.picker,
        "image": result.image,
        "not_run": result.not_run,
        "groups": [
            {
                "specimen": specimen,
                "condition": condition,
                "chosen": (result.chosen or {}).get((specimen, condition)),
                "micrographs": [
                    {
                        "particles": verdict.particles,
                        "figure_of_merit": verdict.figure_of_merit.tolist(),
                        "is_true": verdict.is_true.tolist(),
                    }
                    for verdict in verdicts
                ],
            }
            for (specimen, condition), verdicts in result.verdicts.items()
        ],
    }


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
    add("--no-topaz-denoise", action="store_true", help="leave Topaz-Denoise out")
    add("--seed", type=int, default=0, help="of the simulation")
    add("--quick", action="store_true", help="small: one condition, no training, RELION alone")
    add("-o", "--output", type=Path, help="everything that was measured, JSON")
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
        chosen.minutes, chosen.pickers, chosen.no_topaz_denoise = [], ["relion"], True
        chosen.micrographs, chosen.size = 1, min(chosen.size, 768)
    return chosen


def main() -> None:
    """Simulate, denoise, pick, print."""
    chosen = parsed(None)
    every: dict[str, Picker] = {"relion": relion_log, "topaz": topaz_for(chosen.environments)}
    pickers = {name: every[name] for name in chosen.pickers}
    conditions = CONDITIONS[:1] if chosen.quick else CONDITIONS
    kinds = kinds_for(chosen.minutes, not chosen.no_topaz_denoise, chosen.environments)
    folder = Path(tempfile.mkdtemp(prefix="restore_picking_"))
    print(machine.describe())
    try:
        size = chosen.micrographs, chosen.size
        shots = simulated(folder, chosen.specimens, conditions, *size, chosen.seed)
        results = examined(shots, kinds, pickers, folder)
    finally:
        shutil.rmtree(folder)
    of_pickers = {
        name: with_best_lowpass([result for result in results if result.picker == name])
        for name in pickers
    }
    for name, mine in of_pickers.items():
        print(f"\n{name}\n\n" + "\n".join(table(mine)), flush=True)
    if chosen.output:
        record = {"machine": machine.describe(), "results": [as_json(one) for one in results]}
        chosen.output.write_text(json.dumps(record, ensure_ascii=False) + "\n")
    if chosen.figure:
        lines = {
            name: [line_of(result) for result in mine if not result.not_run]
            for name, mine in of_pickers.items()
        }
        draw(chosen.figure, lines)


if __name__ == "__main__":
    main()
