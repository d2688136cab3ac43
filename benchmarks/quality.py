"""The product's own exam: restore beside what needs no network and beside other programs, with
truth and without.

    python benchmarks/quality.py [--minutes 0 1 8] [--seeds 3] [--peers all] [--unseen PDB ...]
        [--k2 STAR] [-o quality.json]

Simulated micrographs under several doses and defoci, of the specimen that was trained on ("seen",
but other micrographs) and of others; and, with --k2, a real field, trained on five eighths of it
and examined on the rest. Prints a Markdown table. Options that are not known here go to
`restore train`.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

import machine
from peers.environments import NotRunError
from quality_data import CONDITIONS, Exam, Sizes, field_exam, simulated_exam
from quality_methods import (
    Method,
    Work,
    bm3d_for,
    careamics_for,
    grid_of,
    lowpass,
    raw,
    topaz_for,
    triple_of,
    truth_of,
    wiener,
)
from quality_metrics import Score, band_name, score_by_halves, score_by_truth, with_whole
from quality_restore import Variant, forget_models, restore_for
from restore.model.calibration import CALIBRATION_KINDS
from restore.model.inference.ensemble import ORIENTATIONS

PEERS = ("bm3d", "topaz", "careamics")


@dataclass(frozen=True)
class Outcome:
    """How one method did in one exam: a score for each shot, in order, and the cost; or why it was
    not run.
    """

    method: str
    scores: tuple[Score, ...] = ()
    seconds: float = math.nan
    training_s: float = math.nan
    peak_GB: float = math.nan
    not_run: str = ""
    seeds: int = 1

    def of_shots(self, indices: Sequence[int]) -> list[list[Score]]:
        """The scores of some shots, seed by seed."""
        count = len(self.scores) // self.seeds
        return [
            [self.scores[seed * count + index] for index in indices] for seed in range(self.seeds)
        ]


def methods_for(chosen: argparse.Namespace) -> dict[str, Method]:
    """Every method but restore by its name in the table."""
    peers = PEERS if "all" in chosen.peers else tuple(chosen.peers)
    minutes = chosen.care_minutes or max([*chosen.minutes, 2.0])
    methods: dict[str, Method] = {"raw": raw, "best low-pass": lowpass, "Wiener": wiener}
    if "bm3d" in peers:
        methods["BM3D"] = bm3d_for(chosen.environments, len(os.sched_getaffinity(0)))
    if "topaz" in peers:
        methods["Topaz-Denoise, full size"] = topaz_for(chosen.environments, cropped=False)
        methods["Topaz-Denoise, cropped"] = topaz_for(chosen.environments, cropped=True)
    if "careamics" in peers:
        methods[f"CAREamics noise2noise, {minutes:g} min"] = careamics_for(
            chosen.environments, minutes
        )
    return methods


def variants_for(chosen: argparse.Namespace, options: Sequence[str]) -> list[list[Variant]]:
    """How restore is used: for each row of the table, a variant for each seed."""
    rows = [
        (minutes, start == "scratch", calibration, orientations)
        for minutes in chosen.minutes
        for start in (chosen.starts if minutes else ["general"])
        for calibration in chosen.calibrations
        for orientations in chosen.self_ensembles
    ]
    seeds = [range(chosen.seeds if minutes else 1) for minutes, *_ in rows]
    return [
        [Variant(*row, seed, options) for seed in of_row]
        for row, of_row in zip(rows, seeds, strict=True)
    ]


def examine(
    exam: Exam, methods: dict[str, Method], variants: Sequence[Sequence[Variant]], folder: Path
) -> list[Outcome]:
    """Every method in turn, and every variant of restore with all its seeds."""
    reference = raw(exam, folder)
    outcomes = [one(exam, name, method, reference, folder) for name, method in methods.items()]
    for row in variants:
        name = row[0].name
        of_seeds = [one(exam, name, restore_for(variant), reference, folder) for variant in row]
        outcomes.append(together(of_seeds))
    forget_models(exam, folder)
    return outcomes


def one(exam: Exam, name: str, method: Method, reference: Work, folder: Path) -> Outcome:
    """The outcome of one method, in a fresh folder, gone afterwards."""
    print(f"{exam.name}: {name}", file=sys.stderr, flush=True)
    place = folder / "method"
    place.mkdir()
    try:
        work = method(exam, place)
        costs = (work.seconds, work.training_s, work.peak_GB)
        return Outcome(name, scored(exam, reference, work), *costs)
    except NotRunError as reason:
        return Outcome(name, not_run=str(reason))
    finally:
        shutil.rmtree(place)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of several seeds as one: all scores, mean times, the largest memory."""
    failed = [outcome for outcome in outcomes if outcome.not_run]
    if failed:
        return failed[0]
    return Outcome(
        outcomes[0].method,
        tuple(score for outcome in outcomes for score in outcome.scores),
        fmean(outcome.seconds for outcome in outcomes),
        fmean(outcome.training_s for outcome in outcomes),
        max(outcome.peak_GB for outcome in outcomes),
        seeds=len(outcomes),
    )


def scored(exam: Exam, reference: Work, work: Work) -> tuple[Score, ...]:
    """The score of every shot: by the truth where it is known, else by the halves."""
    scores: list[Score] = []
    for shot in exam.shots:
        pixels = grid_of(shot, exam.recipe).pixel_size_yx_A
        images = triple_of(reference.images, shot), triple_of(work.images, shot)
        if shot.truth is None:
            scores.append(score_by_halves(*images, pixels, exam.bands))
        else:
            scores.append(score_by_truth(truth_of(shot, exam.recipe), *images, pixels, exam.bands))
    return tuple(scores)


def table(exam: Exam, outcomes: Sequence[Outcome]) -> list[str]:
    """A Markdown table of one exam: for each group of shots, a row for each method."""
    names = [band_name(band) for band in with_whole(exam.bands)]
    head = ["test", "method", *names, "bias", "unexplained", "s", "training s", "GB"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for group in dict.fromkeys(shot.group for shot in exam.shots):
        inside = [index for index, shot in enumerate(exam.shots) if shot.group == group]
        for outcome in outcomes:
            if outcome.not_run:
                lines.append(
                    f"| {group} | {outcome.method} | not run: {outcome.not_run} |"
                    + " |" * (len(head) - 3)
                )
                continue
            by_seed = outcome.of_shots(inside)
            scores = [score for of_seed in by_seed for score in of_seed]
            cells = [
                decibels(*([score.gain_dB[name] for score in of_seed] for of_seed in by_seed))
                for name in names
            ]
            cells += [
                percent([score.bias for score in scores]),
                percent([score.unexplained for score in scores]),
            ]
            cells += [
                figure(outcome.seconds, 1),
                figure(outcome.training_s, 0),
                figure(outcome.peak_GB, 1),
            ]
            lines.append(f"| {group} | {outcome.method} | {' | '.join(cells)} |")
    return lines


def conditions_table(exam: Exam, outcomes: Sequence[Outcome]) -> list[str]:
    """A Markdown table: the gain over the whole band under each condition."""
    whole = band_name(with_whole(exam.bands)[-1])
    columns = list(dict.fromkeys((shot.group, shot.condition) for shot in exam.shots))
    lines = [
        "| method | " + " | ".join(f"{group}: {condition}" for group, condition in columns) + " |"
    ]
    lines.append("|---|" + "---:|" * len(columns))
    for outcome in (outcome for outcome in outcomes if not outcome.not_run):
        cells = [
            decibels(*(
                [score.gain_dB[whole] for score in of_seed]
                for of_seed in outcome.of_shots([
                    index for index, shot in enumerate(exam.shots)
                    if (shot.group, shot.condition) == column
                ])
            ))
            for column in columns
        ]  # fmt: skip
        lines.append(f"| {outcome.method} | {' | '.join(cells)} |")
    return lines


def decibels(*by_seed: Sequence[float]) -> str:
    """The mean gain with its sign, and where there are several seeds the deviation of their means;
    −∞ where the truth is lost, a dash where a band is empty or nothing can be said.
    """
    means = [fmean(values) for values in by_seed]
    mean = fmean(means)
    if not math.isfinite(mean):
        return "–" if math.isnan(mean) else "−∞"
    return f"{mean:+.1f}" + (f" ± {stdev(means):.1f}" if len(means) > 1 else "")


def percent(values: Sequence[float]) -> str:
    """The mean of shares, in percent."""
    mean = fmean(values)
    return f"{100 * mean:.0f} %" if math.isfinite(mean) else "–"


def figure(value: float, digits: int) -> str:
    """A number, or a dash."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def as_json(exam: Exam, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Everything that was measured, not-a-numbers as null."""
    shots = [{"key": s.key, "group": s.group, "condition": s.condition} for s in exam.shots]
    return {
        "exam": exam.name,
        "bands_A": exam.bands,
        "shots": shots,
        "outcomes": [_plain(asdict(o)) for o in outcomes],
    }


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def exams(chosen: argparse.Namespace, folder: Path) -> list[Exam]:
    """The simulated exam, and the field's where one is given."""
    sizes = Sizes(2, 2304, chosen.test_micrographs, chosen.size)
    if chosen.quick:
        sizes = Sizes(1, 768, 1, 576, CONDITIONS[:1])
    chosen_exams = [simulated_exam(folder / "simulated", sizes, chosen.unseen)]
    if chosen.k2 is not None:
        (folder / "field").mkdir()
        chosen_exams.append(field_exam(folder / "field", chosen.k2))
    return chosen_exams


def parsed(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """What was asked for; options that are not known here go to ``restore train``."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # Shortened options would take what is meant for `restore train`, such as --seed.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--minutes",
        type=float,
        nargs="*",
        default=[0.0, 1.0, 8.0],
        help="restore's training budgets; 0 is the general model",
    )
    parser.add_argument(
        "--starts",
        nargs="+",
        default=["general", "scratch"],
        choices=("general", "scratch"),
        help="restore's training starts from the general model, or from random weights",
    )
    parser.add_argument(
        "--calibrations",
        nargs="+",
        default=["rings"],
        choices=CALIBRATION_KINDS,
        help="of restore's output",
    )
    parser.add_argument(
        "--self_ensembles",
        type=int,
        nargs="+",
        default=[1],
        choices=ORIENTATIONS,
        help="orientations of each image that restore averages",
    )
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each kind")
    parser.add_argument(
        "--care-minutes", type=float, help="CAREamics' training budget (default: restore's longest)"
    )
    parser.add_argument("--peers", nargs="+", default=["all"], choices=("all", "none", *PEERS))
    parser.add_argument(
        "--unseen",
        type=Path,
        nargs="*",
        default=[],
        help="atomic models or maps to test on as well",
    )
    parser.add_argument("--k2", type=Path, help="STAR file of one real field with halves")
    parser.add_argument(
        "--size",
        type=int,
        default=1152,
        help="side of a simulated test micrograph, pixels of 1.5 Å",
    )
    parser.add_argument("--test-micrographs", type=int, default=1, help="for each condition")
    parser.add_argument(
        "--quick", action="store_true", help="tiny images and one condition, to see that all runs"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="where everything that was measured is written, JSON"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path.home() / ".cache/restore-benchmarks",
        help="where peers are installed",
    )
    chosen, options = parser.parse_known_args(arguments)
    if "none" in chosen.peers:
        chosen.peers = []
    for path in (
        path for path in (*chosen.unseen, chosen.k2) if path is not None and not path.is_file()
    ):
        parser.error(f"{path}: there is no such file")
    return chosen, options


def main() -> None:
    """Simulate, examine, print."""
    chosen, options = parsed(None)
    methods, variants = methods_for(chosen), variants_for(chosen, options)
    folder = Path(tempfile.mkdtemp(prefix="restore_quality_"))
    record: dict[str, object] = {
        "machine": machine.describe(),
        "command": sys.argv[1:],
        "exams": (done := []),
    }
    print(machine.describe())
    try:
        for exam in exams(chosen, folder):
            outcomes = examine(exam, methods, variants, folder)
            print(f"\n{exam.name}\n\n" + "\n".join(table(exam, outcomes)), flush=True)
            if exam.shots[0].truth is not None:
                print("\n" + "\n".join(conditions_table(exam, outcomes)), flush=True)
            done.append(as_json(exam, outcomes))
            if chosen.output:
                chosen.output.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    finally:
        shutil.rmtree(folder)
    for note in absences(chosen):
        print(f"\n{note}")


def absences(chosen: argparse.Namespace) -> list[str]:
    """What was left out because it was not asked for."""
    notes: list[str] = (
        [] if chosen.unseen else ["No unseen specimen: none was given (--unseen PDB)."]
    )
    notes += [] if chosen.k2 else ["No real field: none was given (--k2 STAR)."]
    left_out = [] if "all" in chosen.peers else [name for name in PEERS if name not in chosen.peers]
    return [*notes, f"Not asked for (--peers): {', '.join(left_out)}."] if left_out else notes


if __name__ == "__main__":
    main()
