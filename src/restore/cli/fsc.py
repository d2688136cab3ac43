"""``restore fsc``: how far two maps, images or stacks agree, by resolution."""

import argparse
import logging
import math
from pathlib import Path

import torch

from restore.cli.fsc_model import run_against_model
from restore.cli.maps import (
    crossing_words,
    mask_for,
    refuse_other_shape,
    refuse_voxel,
    sides,
    voxel_size_zyx_A,
    voxel_words,
    warn_of_what_halves_share,
)
from restore.cli.options import add_settings, settings_from
from restore.cli.results import output_paths
from restore.errors import UsageError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader, read_map, read_map_header
from restore.io.star import write_star
from restore.maps.fsc import FSC, FSCSettings, Voxel, half_map_fsc
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure
from restore.report.fsc_file import fsc_star
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore fsc``."""
    group = parser.add_argument_group("input (MRC volumes, images or stacks of images)")
    group.add_argument("half1", type=Path, help="first half map or image; with --model a map")
    group.add_argument(
        "half2",
        type=Path,
        nargs="?",
        help=(
            "second half map or image; with --model it may be left out, else the mean of both is "
            "compared"
        ),
    )
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help=(
            "atomic model fitted into the map (PDB or mmCIF): compare the map with its density, "
            "not half with half"
        ),
    )
    group.add_argument(
        "--model_bfactors",
        choices=("file", "none"),
        default="file",
        help=(
            "B factors of the model's atoms: those of the file (default), or none, all atoms as "
            "sharp"
        ),
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="MASK",
        help=(
            "soft mask, from 0 (solvent) to 1; adds the curve under it, and between halves its "
            "correction"
        ),
    )
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="voxel size in Å, whatever the headers say"
    )
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument(
        "--stack",
        dest="kind",
        action="store_const",
        const="stack",
        help="sections are images, whatever the file says",
    )
    kinds.add_argument(
        "--volume",
        dest="kind",
        action="store_const",
        const="volume",
        help="sections are one volume",
    )
    parser.set_defaults(kind="auto")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="STAR",
        help="curves under RELION's names; a figure (.png) goes beside it",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )
    add_settings(parser, "settings", FSCSettings)


def run(namespace: argparse.Namespace) -> int:
    """Compare the two, print a summary, write the curves where that is asked for; the exit status
    comes back.
    """
    settings = settings_from(namespace, FSCSettings)
    keep_heap()
    _refuse_wrong_use(namespace, settings)
    if namespace.model is not None:
        return run_against_model(namespace)
    written = output_paths(
        namespace.output, ".star", [".png", ".settings.json"], namespace.overwrite
    )
    headers = [read_map_header(path, namespace.kind) for path in (namespace.half1, namespace.half2)]
    refuse_other_shape(headers[0], headers[1])
    voxel_A = voxel_size_zyx_A(headers, namespace.pixel_size)
    mask = mask_for(namespace.mask, headers[0])
    warn_of_what_halves_share(headers)
    first, second = (torch.from_numpy(read_map(header)) for header in headers)
    fsc = half_map_fsc(first, second, voxel_A, settings, mask)
    print(_summary(fsc, headers, voxel_A, settings, mask is not None))
    if written:
        star, figure, record = written
        inputs = {
            "half1": namespace.half1,
            "half2": namespace.half2,
            "mask": namespace.mask,
            "voxel_size_zyx_A": voxel_A,
        }
        write_text(record, as_json(provenance(settings, inputs)) + "\n")
        write_star(
            star,
            fsc_star(
                fsc,
                str(namespace.half1),
                str(namespace.half2),
                namespace.mask and str(namespace.mask),
            ),
        )
        save_png(fsc_figure(fsc, f"{namespace.half1.name} and {namespace.half2.name}"), figure)
        print(star, figure, sep="\n")
    return 0


def _refuse_wrong_use(namespace: argparse.Namespace, settings: FSCSettings) -> None:
    refuse_voxel(namespace.pixel_size)
    if namespace.model is None and namespace.half2 is None:
        raise UsageError(
            "one map is given", wanted="Two halves are needed", do="give the other half, or --model"
        )
    if not 0 < settings.randomize_at_fsc <= 1:
        raise UsageError(
            f"--randomize_at_fsc is {settings.randomize_at_fsc:g}",
            wanted="A correlation from 0 to 1 is needed",
        )


def _summary(
    fsc: FSC, headers: list[MapHeader], voxel_A: Voxel, settings: FSCSettings, masked: bool
) -> str:
    """What a person wants to know at once."""
    shells = "rings" if headers[0].shape[1] == 1 else "shells"
    width_A = 1 / float(fsc.frequency_per_A[1])
    lines = [
        f"{headers[0].path} and {headers[1].path}: {sides(headers[0])}, {voxel_words(voxel_A)} Å "
        "each; "
        f"{len(fsc.frequency_per_A)} {shells}, 1/{width_A:.4g} Å wide",
        f"{'falls under':<14}{'0.5':>12}{'0.143':>12}",
    ]
    names = [name for name in fsc.curves if name != "randomised"]
    lines += [
        f"{name:<14}{crossing_words(fsc, name, 0.5):>12}{crossing_words(fsc, name, 0.143):>12}"
        for name in names
    ]
    return "\n".join(lines + _remarks(fsc, settings, masked, shells.removesuffix("s")))


def _remarks(fsc: FSC, settings: FSCSettings, masked: bool, shell: str) -> list[str]:
    """The words under the table."""
    nyquist_A = 1 / float(fsc.frequency_per_A[-1])
    last = fsc.last_shell_above()
    remarks: list[str] = []
    crossings = [
        fsc.crossing_A(curve, each)
        for name, curve in fsc.curves.items()
        if name != "randomised"
        for each in (0.5, 0.143)
    ]
    if None in crossings:
        remarks.append(f"nowhere: none up to Nyquist ({nyquist_A:.2f} Å)")
    if math.inf in crossings:
        remarks.append(f"at once: under it from the first {shell} on")
    if masked and fsc.randomised_from is None:
        remarks.append(
            "Not corrected for the mask: the unmasked correlation never falls under "
            f"{settings.randomize_at_fsc:g}."
        )
    if fsc.randomised_from is not None:
        start_A = 1 / float(fsc.frequency_per_A[fsc.randomised_from])
        remarks.append(
            f"Phases are random from {start_A:.2f} Å on ({shell} {fsc.randomised_from})."
        )
    said = (
        f"{1 / float(fsc.frequency_per_A[last]):.2f} Å ({shell} {last} of {len(fsc.best) - 1})"
        if last
        else "none"
    )
    remarks.append(
        f"Resolution by RELION's rule, the last {shell} before the best curve falls under 0.143: "
        f"{said}"
    )
    return remarks
