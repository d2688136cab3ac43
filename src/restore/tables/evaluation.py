"""The numbers of an evaluation, one row a micrograph, as STAR and CSV."""

from collections.abc import Sequence

from restore.evaluation.records import MicrographResult
from restore.io.csv_text import csv_text
from restore.io.star import Block, StarFile

TABLE_COLUMNS: tuple[str, ...] = (
    "var_signal", "var_noise_raw", "var_noise_denoised", "var_bias", "snr_raw", "snr_denoised",
    "snr_raw_full", "snr_denoised_full", "sbr", "bias_share", "gain", "var_invented",
    "invented_share", "signal_to_error_denoised", "signal_to_error_wiener",
    "signal_to_error_lowpass", "advantage_over_wiener", "calibration", "correlation_raw",
    "correlation_lowpass", "correlation_wiener", "correlation_denoised", "lowpass_A",
)  # fmt: skip
"""The numbers that a table has for each micrograph, each with the two ends of its interval."""


def _table(micrographs: Sequence[MicrographResult]) -> tuple[list[str], list[list[str]]]:
    """The columns' names, and one row a micrograph: name, role, remarkable facts, then every number
    with its interval; "nan" where there is none.
    """
    columns = ["micrograph", "role", "outlier", "hot_pixels", "confirmed", "refuted"]
    columns += [name for key in TABLE_COLUMNS for name in (key, f"{key}_low", f"{key}_high")]
    rows: list[list[str]] = []
    for micrograph in micrographs:
        numbers = [micrograph.numbers[key] for key in TABLE_COLUMNS]
        rows.append([
            micrograph.name,
            micrograph.role.replace(" ", "_") or "none",
            f"{micrograph.outlier or 0.0:g}",
            str(micrograph.hot_pixels),
            _cell(micrograph.confirmed),
            _cell(micrograph.refuted),
            *(_cell(end) for number in numbers for end in (number.value, number.low, number.high)),
        ])  # fmt: skip
    return columns, rows


def _cell(value: float | None) -> str:
    return "nan" if value is None else f"{value:.6g}"


def evaluation_star(micrographs: Sequence[MicrographResult]) -> StarFile:
    """The table as a STAR file: rlnMicrographName, then columns of restore's own (``restoreSnrRaw``
    …).
    """
    columns, rows = _table(micrographs)
    names = (
        "rlnMicrographName",
        *("restore" + name.title().replace("_", "") for name in columns[1:]),
    )
    return StarFile((Block("micrographs", names, tuple(tuple(row) for row in rows)),))


def evaluation_csv(micrographs: Sequence[MicrographResult]) -> str:
    """The table as CSV text."""
    columns, rows = _table(micrographs)
    return csv_text([columns, *rows])
