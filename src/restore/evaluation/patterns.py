"""Lattices of one micrograph, and those that the micrographs of a set have in common."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from restore.evaluation.covariances import Sampling
from restore.evaluation.estimators.patterns import lattices
from restore.evaluation.records import Lattice
from restore.evaluation.views import Views

_SAME = 0.02  # periods that differ by less are one


def lattices_of(views: Views, sampling: Sampling) -> tuple[Lattice, ...]:
    """The lattices of the raw image (the sum of the halves) and of the denoised one."""
    return tuple(
        lattice
        for name, halves in (("raw", views.raw), ("denoised", views.denoised))
        for lattice in lattices(
            halves[0] + halves[1],
            views.grid.pixel_size_yx_A,
            sampling.patch_px,
            views.blank,
            name=name,
        )
    )


def common_lattices(micrographs: Sequence[Sequence[Lattice]]) -> tuple[Lattice, ...]:
    """The lattices that at least half of the micrographs have, the strongest first; their shares
    are means over the micrographs that have them. A period is listed once for each kind of image.
    """
    return tuple(sorted(_common(micrographs), key=lambda lattice: -lattice.share))


def _common(micrographs: Sequence[Sequence[Lattice]]) -> Iterator[Lattice]:
    remaining = [lattice for of_one in micrographs for lattice in of_one]
    while remaining:
        first = remaining[0]
        owners = [
            of_one for of_one in micrographs if any(is_same(first, other) for other in of_one)
        ]
        alike = [lattice for lattice in remaining if is_same(first, lattice)]
        remaining = [lattice for lattice in remaining if not is_same(first, lattice)]
        if 2 * len(owners) >= len(micrographs):
            share = fmean(lattice.share for lattice in alike)
            yield Lattice(first.image, first.period_A, first.period_px, share)


def is_same(first: Lattice, second: Lattice) -> bool:
    """Whether two lattices have the same period (within 2 %) in the same kind of image."""
    ratio = first.period_A / second.period_A
    return first.image == second.image and abs(ratio - 1) < _SAME
