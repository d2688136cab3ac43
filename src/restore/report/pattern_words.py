"""Sentences about lattices and spikes."""

from collections.abc import Sequence

from restore.evaluation.records import Group, Lattice, Spike
from restore.report.numerals import figure, share

_NAMED = 3


def pattern_warnings(group: Group) -> list[str]:
    """Warnings about the lattices and spikes of a group."""
    return [*_lattice_warnings(group.lattices), *_spike_warnings(group.spikes)]


def spike_words(spikes: Sequence[Spike]) -> str:
    """A sentence for the chart of the halves' correlation; empty if there are no spikes."""
    sentences = [
        f" Spike{'s' if len(places) > 1 else ''} at {_listed(places)} ({halves})."
        for halves in ("raw", "denoised")
        if (places := [f"{spike.resolution_A:.1f}" for spike in spikes if spike.halves == halves])
    ]
    return "".join(sentences)


def lattice_remark(lattices: Sequence[Lattice]) -> str:
    """A sentence on the lattices of one micrograph that the others do not have."""
    images = " and ".join(dict.fromkeys(lattice.image for lattice in lattices))
    return f"There is a lattice in the {images} image: {_periods(lattices)}."


def _lattice_warnings(lattices: Sequence[Lattice]) -> list[str]:
    raw = [lattice for lattice in lattices if lattice.image == "raw"]
    own = [
        lattice
        for lattice in lattices
        if lattice.image == "denoised"
        and not any(abs(lattice.period_A / other.period_A - 1) < 0.02 for other in raw)
    ]
    warned: list[str] = []
    if raw:
        warned.append(
            f"There is a lattice in the raw images: {_periods(raw)}. A pattern of the camera, or a "
            "crystalline support, is in both halves, and counts as signal here."
        )
    if own:
        warned.append(
            f"There is a lattice in the denoised images that the raw images do not have: "
            f"{_periods(own)}. It comes from the denoising, not from the specimen."
        )
    return warned


def _periods(lattices: Sequence[Lattice]) -> str:
    """The periods of the strongest lattices, and their total share of the variance."""
    strongest = sorted(lattices, key=lambda lattice: -lattice.share)[:_NAMED]
    words = [
        f"{lattice.period_A:.1f} Å ({lattice.period_px:.1f} pixels)"
        for lattice in dict.fromkeys(strongest)
    ]
    more = f" and {len(lattices) - _NAMED} more" if len(lattices) > _NAMED else ""
    period = "periods" if len(words) > 1 else "a period"
    total = share(sum(lattice.share for lattice in lattices))
    return f"{period} of {_joined(words)}{more}, with {total} of the variance"


def _spike_warnings(spikes: Sequence[Spike]) -> list[str]:
    warned: list[str] = []
    raw = [spike for spike in spikes if spike.halves == "raw"]
    own = [
        spike
        for spike in spikes
        if spike.halves == "denoised"
        and spike.resolution_A not in [other.resolution_A for other in raw]
    ]
    if raw:
        warned.append(
            f"The correlation of the raw halves has {_spikes(raw)}. Something repeats in both "
            "halves that is not the specimen, and it counts as signal here."
        )
    if own:
        warned.append(
            f"The correlation of the denoised halves has {_spikes(own)}, which that of the raw "
            "halves does not have. Something that comes from the denoising repeats in both."
        )
    return warned


def _spikes(spikes: Sequence[Spike]) -> str:
    strongest = max(spikes, key=lambda spike: spike.value - spike.around)
    places = [f"{spike.resolution_A:.1f}" for spike in spikes]
    noun = "spikes" if len(places) > 1 else "a spike"
    height = f"{figure(strongest.value)}, above {figure(strongest.around)} in the rings around it"
    return f"{noun} at {_listed(places)} ({height})"


def _listed(places: Sequence[str]) -> str:
    return f"{_joined(places)} Å"


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
