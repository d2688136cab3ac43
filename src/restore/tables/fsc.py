"""A Fourier shell correlation as a STAR file under RELION's names."""

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from restore.io.star import Block, StarFile
from restore.maps.fsc import FSC

_COLUMNS = {
    "corrected": "rlnFourierShellCorrelationCorrected",
    "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
    "masked": "rlnFourierShellCorrelationMaskedMaps",
    "randomised": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}
_NO_RESOLUTION_A = 999.0  # what RELION writes for shell 0


def fsc_star(fsc: FSC, half1: str, half2: str, mask: str | None = None) -> StarFile:
    """``data_general`` and ``data_fsc``, as ``relion_postprocess`` writes them; only the curves
    that there are.
    """
    general = {
        "rlnFinalResolution": number(_resolution_A(fsc, fsc.last_shell_above())),
        "rlnUnfilteredMapHalf1": half1,
        "rlnUnfilteredMapHalf2": half2,
    }
    if mask is not None:
        general["rlnMaskName"] = mask
    if fsc.randomised_from is not None:
        general["rlnRandomiseFrom"] = number(_resolution_A(fsc, fsc.randomised_from))
    return StarFile((values("general", general), table("fsc", _columns(fsc))))


def map_model_star(fsc: FSC, maps: Sequence[str], model: str, mask: str | None = None) -> StarFile:
    """``data_general`` and ``data_fsc`` of a map (or the mean of two half maps) and a model."""
    names = (
        ("restoreMapName",)
        if len(maps) == 1
        else ("rlnUnfilteredMapHalf1", "rlnUnfilteredMapHalf2")
    )
    general = dict(zip(names, maps, strict=True)) | {"restoreModelName": model}
    if mask is not None:
        general["rlnMaskName"] = mask
    for key, name in (
        ("unmasked", "restoreUnmaskedResolution"),
        ("masked", "restoreMaskedResolution"),
    ):
        crossing_A = fsc.crossing_A(fsc.curves[key], 0.5) if key in fsc.curves else None
        if crossing_A is not None and math.isfinite(crossing_A):
            general[name] = number(crossing_A)
    return StarFile((values("general", general), table("fsc", _columns(fsc))))


def _columns(fsc: FSC) -> dict[str, list[str]]:
    resolutions_A = [_resolution_A(fsc, shell) for shell in range(len(fsc.frequency_per_A))]
    columns = {
        "rlnSpectralIndex": [str(shell) for shell in range(len(resolutions_A))],
        "rlnResolution": [number(1 / resolution_A) for resolution_A in resolutions_A],
        "rlnAngstromResolution": [number(resolution_A) for resolution_A in resolutions_A],
    }
    return columns | {
        name: _numbers(fsc.curves[key]) for key, name in _COLUMNS.items() if key in fsc.curves
    }


def _resolution_A(fsc: FSC, shell: int) -> float:
    return 1 / float(fsc.frequency_per_A[shell]) if shell else _NO_RESOLUTION_A


def _numbers(curve: Float[Tensor, "shells"]) -> list[str]:
    return [number(float(value)) for value in curve]


def number(value: float) -> str:
    """A number as these tables have it."""
    return f"{value:.6f}"


def values(name: str, texts: Mapping[str, str]) -> Block:
    """A block of single values."""
    return Block(name, tuple(texts), (tuple(texts.values()),), is_loop=False)


def table(name: str, columns: Mapping[str, Sequence[str]]) -> Block:
    """A block of columns."""
    return Block(name, tuple(columns), tuple(zip(*columns.values(), strict=True)))
