"""``restore fsc``: the Fourier shell correlation of two maps, images or stacks, or of a map and a
model.
"""

import argparse
import math
from pathlib import Path

from restore.cli.maps import (
    add_mask_option,
    add_output_options,
    add_voxel_option,
    crossing_words,
    grid_words,
    shell_words,
)
from restore.cli.options import add_settings, given, refuse_inapplicable, settings_from
from restore.errors import UsageError
from restore.maps.fsc import FSCSettings
from restore.postprocessing.half_map_fsc import HalfMapComparison, compare_half_maps
from restore.postprocessing.model_fsc import ModelComparison, compare_with_model
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore fsc``."""
    group = parser.add_argument_group("input (MRC volumes, images or stacks of images)")
    group.add_argument("half1", type=Path, help="first half map or image; with --model, a map")
    group.add_argument(
        "half2",
        type=Path,
        nargs="?",
        help="second half map or image; optional with --model, which is then compared with the "
        "mean of both",
    )
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="atomic model fitted into the map (PDB or mmCIF), to compare the map with",
    )
    group.add_argument(
        "--model_bfactors",
        choices=("file", "none"),
        help=(
            "B factors of the atoms: from the file (default), or none, which makes all atoms "
            "equally sharp"
        ),
    )
    add_mask_option(
        group,
        "soft mask, from 0 (solvent) to 1: adds the masked curve and, for halves, the curve "
        "corrected for the mask",
    )
    add_voxel_option(group)
    kinds = group.add_mutually_exclusive_group()
    for kind, words in (
        ("stack", "treat the sections of the file as separate images"),
        ("volume", "treat the sections of the file as one volume"),
    ):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=words)
    parser.set_defaults(kind="auto")
    add_output_options(
        parser,
        "STAR",
        "table of the curves, with RELION's names; a figure (.png) is written beside it",
    )
    add_settings(parser, "settings", FSCSettings)


def run(namespace: argparse.Namespace) -> int:
    """Compare the two, write the curves if requested, print a summary; returns the exit status."""
    settings = settings_from(namespace, FSCSettings)
    tune_malloc()
    if namespace.model is not None:
        return _run_against_model(namespace)
    if namespace.half2 is None:
        raise UsageError(
            "only one map is given",
            wanted="Two halves are needed",
            do="give the second half map, or --model",
        )
    typed = ["model_bfactors"] if namespace.model_bfactors is not None else []
    refuse_inapplicable(typed, "half maps", "only a model has atoms with B factors")
    comparison = compare_half_maps(
        namespace.half1,
        namespace.half2,
        settings,
        mask=namespace.mask,
        pixel_size_A=namespace.pixel_size,
        kind=namespace.kind,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_half_map_words(comparison), *comparison.files, sep="\n")
    return 0


def _run_against_model(namespace: argparse.Namespace) -> int:
    if namespace.kind == "stack":
        raise UsageError(
            "--stack is given", wanted="A model is compared with a volume", do="leave --stack out"
        )
    refuse_inapplicable(
        given(namespace, FSCSettings),
        "a comparison with a model",
        "the FSC with a model has no settings",
    )
    comparison = compare_with_model(
        [path for path in (namespace.half1, namespace.half2) if path is not None],
        namespace.model,
        bfactors=namespace.model_bfactors or "file",
        mask=namespace.mask,
        pixel_size_A=namespace.pixel_size,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_model_words(comparison, namespace.model), *comparison.files, sep="\n")
    return 0


def _half_map_words(comparison: HalfMapComparison) -> str:
    """The summary: the grid, where each curve crosses the thresholds, and remarks."""
    fsc, (half1, half2) = comparison.fsc, comparison.halves
    shells = "rings" if half1.shape[1] == 1 else "shells"
    lines = [
        f"{half1.path} and {half2.path}: {grid_words(half1, comparison.voxel_size_zyx_A)}; "
        f"{shell_words(fsc, shells)}",
        f"{'falls below':<14}{'0.5':>12}{'0.143':>12}",
    ]
    lines += [
        f"{name:<14}{crossing_words(fsc, name, 0.5):>12}{crossing_words(fsc, name, 0.143):>12}"
        for name in fsc.curves
        if name != "randomised"
    ]
    return "\n".join(lines + _remarks(comparison, shells.removesuffix("s")))


def _remarks(comparison: HalfMapComparison, shell: str) -> list[str]:
    """The words under the table."""
    fsc = comparison.fsc
    nyquist_A = 1 / float(fsc.frequency_per_A[-1])
    curves = [curve for name, curve in fsc.curves.items() if name != "randomised"]
    crossings = [fsc.crossing_A(curve, limit) for curve in curves for limit in (0.5, 0.143)]
    remarks: list[str] = []
    if None in crossings:
        remarks.append(f"never: not at any resolution up to Nyquist ({nyquist_A:.2f} Å)")
    if math.inf in crossings:
        remarks.append(f"already in the first {shell}")
    if comparison.is_masked and fsc.randomised_from is None:
        remarks.append(
            "Not corrected for the mask: the unmasked FSC never falls below "
            f"{comparison.settings.randomize_at_fsc:g}."
        )
    if fsc.randomised_from is not None:
        start_A = 1 / float(fsc.frequency_per_A[fsc.randomised_from])
        remarks.append(
            f"Phases are randomised from {start_A:.2f} Å on ({shell} {fsc.randomised_from})."
        )
    last = fsc.last_shell_above()
    resolution = (
        f"{1 / float(fsc.frequency_per_A[last]):.2f} Å ({shell} {last} of {len(fsc.best) - 1})"
        if last
        else "none"
    )
    remarks.append(
        f"Resolution by RELION's rule (the last {shell} before the best curve falls below 0.143): "
        f"{resolution}"
    )
    return remarks


def _model_words(comparison: ModelComparison, model: Path) -> str:
    """The summary: the grid, the model, and where each curve crosses 0.5."""
    fsc, maps = comparison.fsc, comparison.maps
    names = " and ".join(str(header.path) for header in maps)
    lines = [
        f"{names}{', their mean' if len(maps) == 2 else ''}: "
        f"{grid_words(maps[0], comparison.voxel_size_zyx_A)}; {shell_words(fsc)}",
        f"{model}: {comparison.atom_count} atoms",
        f"{'falls below':<14}{'0.5':>12}",
    ]
    lines += [f"{curve:<14}{crossing_words(fsc, curve, 0.5):>12}" for curve in fsc.curves]
    if fsc.masked is not None:
        lines.append("The masked curve is not corrected for the correlation that the mask adds.")
    return "\n".join(lines)
