"""``restore fsc``: how far two maps, images or stacks agree, by resolution."""

import argparse
import logging
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.allocator import keep_heap
from restore.cli.options import add_settings, settings_from
from restore.errors import UsageError, UserError
from restore.evaluation.fsc import FSC, FSCSettings, Voxel, half_map_fsc
from restore.io.atomic import require_writable, write_text
from restore.io.denoised_mark import is_denoised
from restore.io.maps import MapHeader, read_map, read_map_header
from restore.io.star import write_star
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure
from restore.report.fsc_file import fsc_star

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore fsc``."""
    group = parser.add_argument_group("input (MRC volumes, images or stacks of images)")
    group.add_argument("half1", type=Path, help="first half map or image")
    group.add_argument("half2", type=Path, help="second half map or image")
    group.add_argument(
        "--mask", type=Path, metavar="MASK", help="soft mask, from 0 (solvent) to 1; adds the correction"
    )
    group.add_argument("--pixel_size", type=float, metavar="X", help="voxel size in Å, whatever the headers say")
    kinds = group.add_mutually_exclusive_group()
    kinds.add_argument(
        "--stack", dest="kind", action="store_const", const="stack", help="sections are images, whatever the file says"
    )
    kinds.add_argument("--volume", dest="kind", action="store_const", const="volume", help="sections are one volume")
    parser.set_defaults(kind="auto")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output", "-o", type=Path, metavar="STAR", help="curves under RELION's names; a figure (.png) goes beside it"
    )
    output.add_argument("--overwrite", action="store_true", help="replace files that are already there")
    add_settings(parser, "settings", FSCSettings)


def run(namespace: argparse.Namespace) -> int:
    """Compare the two, print a summary, write the curves where that is asked for; the exit status comes back."""
    settings = settings_from(namespace, FSCSettings)
    keep_heap()
    _refuse_wrong_use(namespace, settings)
    written = _output_paths(namespace.output, namespace.overwrite)
    headers = [read_map_header(path, namespace.kind) for path in (namespace.half1, namespace.half2)]
    _refuse_other_shape(headers[0], headers[1])
    voxel_A = _voxel_size_zyx_A(headers, namespace.pixel_size)
    mask = _read_mask(namespace.mask, headers[0]) if namespace.mask else None
    _warn_of_what_halves_share(headers)
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
            star, fsc_star(fsc, str(namespace.half1), str(namespace.half2), namespace.mask and str(namespace.mask))
        )
        save_png(fsc_figure(fsc, f"{namespace.half1.name} and {namespace.half2.name}"), figure)
        print(star, figure, sep="\n")
    return 0


def _refuse_wrong_use(namespace: argparse.Namespace, settings: FSCSettings) -> None:
    if namespace.pixel_size is not None and not 0 < namespace.pixel_size < math.inf:
        raise UsageError(f"--pixel_size is {namespace.pixel_size:g}", wanted="A voxel has a size above 0 Å")
    if not 0 < settings.randomize_at_fsc <= 1:
        raise UsageError(
            f"--randomize_at_fsc is {settings.randomize_at_fsc:g}", wanted="A correlation from 0 to 1 is needed"
        )


def _output_paths(star: Path | None, overwrite: bool) -> list[Path]:
    """The STAR file, the figure and the record of a run; none of them there yet, unless they may be replaced."""
    if star is None:
        return []
    if star.suffix.lower() != ".star":
        raise UsageError(f'"{star}" is no name of a STAR file', wanted="The name must end in .star")
    paths = [star, star.with_suffix(".png"), star.with_suffix(".settings.json")]
    require_writable(star.parent)
    for path in paths:
        if path.exists() and not overwrite:
            raise UserError("the file is there already", where=path, do="give another --output, or --overwrite")
    return paths


def _refuse_other_shape(first: MapHeader, other: MapHeader) -> None:
    if first.shape != other.shape:
        found = f"it has {_sides(other)}, and {first.path} has {_sides(first)}"
        raise UserError(found, where=other.path, wanted="Both must have one shape", do="check the names")


def _sides(header: MapHeader) -> str:
    n, z, y, x = header.shape
    if n > 1:
        return f"{n} images of {x} x {y} pixels"
    return f"{x} x {y} pixels" if z == 1 else f"{x} x {y} x {z} voxels"


def _voxel_size_zyx_A(headers: list[MapHeader], given_A: float | None) -> Voxel:
    """The voxel size to compute with: the one given, else that of the headers, the first's where they differ."""
    if given_A is not None:
        return (given_A, given_A, given_A)
    known = [header for header in headers if header.voxel_size_zyx_A]
    sizes = [header.voxel_size_zyx_A for header in known if header.voxel_size_zyx_A]
    if not known:
        raise UserError("its header has no voxel size", where=headers[0].path, do="give --pixel_size in Å")
    if any(abs(one - other) > 0.01 * one for one, other in zip(sizes[0], sizes[-1], strict=True)):
        words = (
            "%s has voxels of %s Å and %s of %s Å in their headers; the first is taken (--pixel_size overrules both)"
        )
        log.warning(words, known[0].path, _voxel_words(sizes[0]), known[-1].path, _voxel_words(sizes[-1]))
    return sizes[0]


def _voxel_words(voxel_zyx_A: Voxel) -> str:
    """One number where the axes agree, else x, y and z."""
    smallest, largest = min(voxel_zyx_A), max(voxel_zyx_A)
    same = largest - smallest < 1e-3 * largest
    return f"{largest:.5g}" if same else " x ".join(f"{each:.5g}" for each in reversed(voxel_zyx_A))


def _read_mask(path: Path, half: MapHeader) -> Float[Tensor, "z y x"]:
    header = read_map_header(path, "volume")
    if header.shape[1:] != half.shape[1:]:
        found = f"the mask has {_sides(header)}, and {half.path} has {_sides(half)}"
        raise UserError(found, where=path, wanted="A mask must have the shape of what it masks", do="resample it")
    mask = torch.from_numpy(read_map(header))[0]
    lowest, highest = float(mask.min()), float(mask.max())
    if lowest < -1e-4 or highest > 1 + 1e-4:
        found = f"its values go from {lowest:g} to {highest:g}"
        raise UserError(found, where=path, wanted="A mask lies between 0 and 1", do="make it with relion_mask_create")
    return mask


def _warn_of_what_halves_share(headers: list[MapHeader]) -> None:
    """Say where an agreement of the two would prove nothing."""
    if headers[0].path.resolve() == headers[1].path.resolve():
        log.warning("both are one file, %s: that it agrees with itself says nothing", headers[0].path)
    for header in headers:
        if is_denoised(header.labels):
            words = "%s was denoised by restore. What the network adds can be common to both halves: their correlation may be too high (see the bias in docs/evaluation.md)"
            log.warning(words, header.path)
            return


def _summary(fsc: FSC, headers: list[MapHeader], voxel_A: Voxel, settings: FSCSettings, masked: bool) -> str:
    """What a person wants to know at once."""
    shells = "rings" if headers[0].shape[1] == 1 else "shells"
    width_A = 1 / float(fsc.frequency_per_A[1])
    lines = [
        f"{headers[0].path} and {headers[1].path}: {_sides(headers[0])}, {_voxel_words(voxel_A)} Å each; "
        f"{len(fsc.frequency_per_A)} {shells}, 1/{width_A:.4g} Å wide",
        f"{'falls under':<14}{'0.5':>12}{'0.143':>12}",
    ]
    names = [name for name in fsc.curves if name != "randomised"]
    lines += [f"{name:<14}{_crossing(fsc, name, 0.5):>12}{_crossing(fsc, name, 0.143):>12}" for name in names]
    return "\n".join(lines + _remarks(fsc, settings, masked, shells.removesuffix("s")))


def _crossing(fsc: FSC, name: str, threshold: float) -> str:
    crossing_A = fsc.crossing_A(fsc.curves[name], threshold)
    if crossing_A is None:
        return "nowhere"
    return "at once" if math.isinf(crossing_A) else f"{crossing_A:.2f} Å"


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
            f"Not corrected for the mask: the unmasked correlation never falls under {settings.randomize_at_fsc:g}."
        )
    if fsc.randomised_from is not None:
        start_A = 1 / float(fsc.frequency_per_A[fsc.randomised_from])
        remarks.append(f"Phases are random from {start_A:.2f} Å on ({shell} {fsc.randomised_from}).")
    said = f"{1 / float(fsc.frequency_per_A[last]):.2f} Å ({shell} {last} of {len(fsc.best) - 1})" if last else "none"
    remarks.append(f"Resolution by RELION's rule, the last {shell} before the best curve falls under 0.143: {said}")
    return remarks
