"""A Fourier shell correlation as a STAR file under RELION's names."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from restore.evaluation.fsc import FSC
from restore.io.star import Block, StarFile

_COLUMNS = {
    "corrected": "rlnFourierShellCorrelationCorrected",
    "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
    "masked": "rlnFourierShellCorrelationMaskedMaps",
    "randomised": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}
_NO_RESOLUTION_A = 999.0  # what RELION writes for shell 0


def fsc_star(fsc: FSC, half1: str, half2: str, mask: str | None = None) -> StarFile:
    """``data_general`` and ``data_fsc``, as ``relion_postprocess`` writes them; only the curves that there are."""
    general = {
        "rlnFinalResolution": _number(_resolution_A(fsc, fsc.last_shell_above())),
        "rlnUnfilteredMapHalf1": half1,
        "rlnUnfilteredMapHalf2": half2,
    }
    if mask is not None:
        general["rlnMaskName"] = mask
    if fsc.randomised_from is not None:
        general["rlnRandomiseFrom"] = _number(_resolution_A(fsc, fsc.randomised_from))
    return StarFile((_values("general", general), _table("fsc", _columns(fsc))))


def _columns(fsc: FSC) -> dict[str, list[str]]:
    resolutions_A = [_resolution_A(fsc, shell) for shell in range(len(fsc.frequency_per_A))]
    table = {
        "rlnSpectralIndex": [str(shell) for shell in range(len(resolutions_A))],
        "rlnResolution": [_number(1 / each) for each in resolutions_A],
        "rlnAngstromResolution": [_number(each) for each in resolutions_A],
    }
    return table | {name: _numbers(fsc.curves[key]) for key, name in _COLUMNS.items() if key in fsc.curves}


def _resolution_A(fsc: FSC, shell: int) -> float:
    return 1 / float(fsc.frequency_per_A[shell]) if shell else _NO_RESOLUTION_A


def _numbers(curve: Float[Tensor, "shells"]) -> list[str]:
    return [_number(float(each)) for each in curve]


def _number(value: float) -> str:
    return f"{value:.6f}"


def _values(name: str, values: Mapping[str, str]) -> Block:
    return Block(name, tuple(values), (tuple(values.values()),), is_loop=False)


def _table(name: str, columns: Mapping[str, Sequence[str]]) -> Block:
    return Block(name, tuple(columns), tuple(zip(*columns.values(), strict=True)))
