"""``restore angles``: the angular distance between two refinements of the same particles."""

import argparse
from pathlib import Path

from restore.cli.maps import add_output_options
from restore.particles.angle_comparison import AngleComparison, compare_angles
from restore.particles.angles import SHARES_BELOW_DEG
from restore.symmetry import KNOWN_GROUPS


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore angles``."""
    for name in ("first", "second"):
        parser.add_argument(
            name,
            type=Path,
            metavar=name.upper(),
            help="particles of a refinement: RELION STAR or cryoSPARC .cs or .csg file",
        )
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--sym",
        dest="symmetry",
        default="C1",
        metavar="GROUP",
        help=f"point group, in RELION's convention: {KNOWN_GROUPS} (default: C1)",
    )
    group.add_argument(
        "--tolerance_px",
        type=float,
        default=5.0,
        metavar="X",
        help=(
            "largest distance between the coordinates of a particle in the two files, in pixels "
            "of FIRST's micrographs, if particles are matched by coordinates rather than by image "
            "name (default: 5)"
        ),
    )
    add_output_options(
        parser,
        "TABLE",
        "table of particles, STAR or CSV according to its ending; the figure and the settings are "
        "written beside it (default: angles.star, or angles_2.star and so on if that exists)",
    )


def run(namespace: argparse.Namespace) -> int:
    """Compare the files, write table and figure, print the summary; returns the exit status."""
    comparison = compare_angles(
        namespace.first,
        namespace.second,
        symmetry=namespace.symmetry,
        tolerance_px=namespace.tolerance_px,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_words(comparison), *comparison.files, sep="\n")
    smaller = min(len(comparison.first), len(comparison.second))
    return 1 if 2 * comparison.matches.ambiguous > smaller else 0


def _words(comparison: AngleComparison) -> str:
    """The summary, in two columns."""
    statistics, order = comparison.summary, len(comparison.group)
    rows = [("matched", f"{statistics.count} particles, by {comparison.matches.way}")]
    for place, side in (("first", comparison.first), ("second", comparison.second)):
        left_out = len(side) - statistics.count
        rows.append((f"only in {place}", f"{left_out} of {len(side)}, {side.source}"))
    if comparison.matches.ambiguous:
        count = comparison.matches.ambiguous
        rows.append(("ambiguous", f"{count} whose name other particles have as well"))
    low_deg, high_deg = statistics.quartiles_deg
    rows += [
        ("symmetry", f"{comparison.symmetry.upper()}, {order} rotation{'s' * (order > 1)}"),
        (
            "median",
            f"{statistics.median_deg:.3f}° (random orientations: "
            f"{statistics.chance_median_deg:.0f}°)",
        ),
        ("quartiles", f"{low_deg:.3f}° and {high_deg:.3f}°"),
        ("mean", f"{statistics.mean_deg:.3f}°"),
    ]
    shares = zip(SHARES_BELOW_DEG, statistics.shares_below, strict=True)
    rows += [(f"below {limit_deg:g}°", f"{100 * share:.1f} %") for limit_deg, share in shares]
    rows += [
        ("median, viewing directions", f"{statistics.viewing_median_deg:.3f}°"),
        ("median, in plane", f"{statistics.in_plane_median_deg:.3f}°"),
    ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {words}" for label, words in rows)
