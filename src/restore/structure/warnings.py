"""What would make the comparison mean something else than it seems to."""

from collections.abc import Iterator, Mapping
from typing import Any

from restore.io.denoised_mark import shows_denoised
from restore.structure.combinations import ComparisonSet

_SUSPICIOUS = 0.5  # of the median distance of orientations by chance
_ON = {"raw": "raw images", "denoised": "denoised images"}
_LIES_WRONG = {
    "model": (
        "The model hardly agrees with the map even where all that lies in its place agrees: is it "
        "fitted into a map of this refinement?"
    ),
    "truth": (
        "The true map hardly agrees with the reconstruction even at low resolution: is it turned, "
        "mirrored or moved against it?"
    ),
}


def doubts_of_particles(particles: ComparisonSet) -> Iterator[str]:
    """What is doubtful in the particles, before anything is made of them."""
    if shows_denoised(particles.images["raw"]):
        source = particles.images["raw"].particles.source
        yield (
            f"The images of {source} were denoised by restore, as their labels say: what is "
            "called raw here is not."
        )
    for which, refinement in particles.refinements.items():
        if refinement.half_sets is None:
            yield (
                f"The refinement on {_ON[which]} has no half sets, and they were drawn at random: "
                "where all particles were"
                " refined together, their orientations fit the same noise, and no FSC of half "
                "maps is to be trusted."
            )


def doubts_of_results(card: Mapping[str, Any]) -> Iterator[str]:
    """What is doubtful in the results."""
    for each in card["angles"]:
        if each["median_deg"] > _SUSPICIOUS * each["chance_median_deg"]:
            yield (
                f"{each['title']}: the orientations hardly agree (median "
                f"{each['median_deg']:.1f}°, by chance"
                f" {each['chance_median_deg']:.0f}°). Check the symmetry, and that both began "
                "from one reference."
            )
    raw = card["reconstructions"]["raw_by_raw"]
    yield from (
        words for key, words in _LIES_WRONG.items() if raw.get(key) and raw[key]["is_doubtful"]
    )
