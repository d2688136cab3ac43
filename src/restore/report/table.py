"""The table of micrographs, the most unusual first."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from html import escape

from restore.evaluation.records import MicrographResult
from restore.report.numerals import MISSING, figure, share


@dataclass(frozen=True)
class _Column:
    """A column: its heading, its meaning, a function that formats a row's value, and whether that
    is a ``number`` or a ``word``.
    """

    heading: str
    words: str
    cell: Callable[[MicrographResult], str]
    kind: str = "number"


def _number(key: str, say: Callable[[float | None], str]) -> Callable[[MicrographResult], str]:
    return lambda row: say(row.numbers[key].value) if key in row.numbers else MISSING


_COLUMNS = (
    _Column(
        "unusual",
        "Distance from the other micrographs (robust z-score of its most unusual value)",
        lambda row: _tenths(row.outlier),
    ),
    _Column(
        "corr. raw",
        "Estimated correlation with the noise-free image, raw",
        _number("correlation_raw", figure),
    ),
    _Column(
        "corr. Wiener",
        ("Estimated correlation after the Wiener filter"),
        _number("correlation_wiener", figure),
    ),
    _Column(
        "corr. denoised",
        ("Estimated correlation after denoising"),
        _number("correlation_denoised", figure),
    ),
    _Column(
        "SNR raw", "Signal-to-noise ratio of the full sum, raw", _number("snr_raw_full", figure)
    ),
    _Column(
        "SNR denoised",
        "Signal-to-noise ratio of the full sum, denoised",
        _number("snr_denoised_full", figure),
    ),
    _Column("signal kept", "Share of the signal’s amplitude that is kept", _number("gain", share)),
    _Column("bias", "Bias as a share of the signal’s variance", _number("bias_share", share)),
    _Column(
        "output for noise alone",
        "Variance of the output for noise alone, as a share of that of the output for a real half",
        _number("invented_share", share),
    ),
    _Column(
        "defocus, µm",
        "Mean defocus",
        lambda row: MISSING if row.defocus_A is None else f"{row.defocus_A / 1e4:.2f}",
    ),
    _Column(
        "hot pixels",
        "Hot pixels replaced",
        lambda row: MISSING if row.hot_pixels is None else str(row.hot_pixels),
    ),
)

_ROLE = _Column(
    "role", ("Whether the model was trained on this micrograph"), lambda row: row.role, "word"
)
_REMARKS = _Column("remarks", "Remarks", lambda row: " ".join(row.remarks), "word")


def table(rows: Sequence[MicrographResult], pictured: Container[int]) -> str:
    """All micrographs, one per row; the names of those whose indices are ``pictured`` link to their
    pictures.
    """
    prefix = shared_folder([row.name for row in rows])
    before = [_ROLE] if any(row.role for row in rows) else []
    after = [_REMARKS] if any(row.remarks for row in rows) else []
    numbers = [column for column in _COLUMNS if any(column.cell(row) != MISSING for row in rows)]
    columns = [*before, *numbers, *after]
    order = sorted(range(len(rows)), key=lambda index: -(rows[index].outlier or 0.0))
    body = "\n".join(
        _row(index, rows[index], columns, len(prefix), index in pictured) for index in order
    )
    heads = _head(
        _Column(
            "micrograph",
            f"All in {prefix}" if prefix else ("Name of the micrograph"),
            lambda row: row.name,
            "word",
        )
    )
    heads += "".join(_head(column) for column in columns)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"


def shared_folder(names: Sequence[str]) -> str:
    """The folder, including its slash, with which all the names begin; empty if there is none.

    >>> shared_folder(["a/b/one.mrc", "a/b/two.mrc"]), shared_folder(["a/one.mrc", "b/two.mrc"])
    ('a/b/', '')
    """
    folders = [name.split("/")[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "".join(f"{part}/" for part in shared)


def _tenths(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}".replace("-", "−")


def _head(column: _Column) -> str:
    order = ' aria-sort="descending"' if column.heading == "unusual" else ""
    button = f'<button type="button" title="{escape(column.words)}">{column.heading}</button>'
    return f'<th scope="col" class="{column.kind}"{order}>{button}</th>'


def _row(
    index: int, row: MicrographResult, columns: Sequence[_Column], cut: int, pictured: bool
) -> str:
    name = escape(row.name[cut:])
    first = f'<button type="button" data-view="{index}">{name}</button>' if pictured else name
    cells = "".join(
        f"<td>{column.cell(row)}</td>"
        if column.kind == "number"
        else f'<td class="word">{escape(column.cell(row))}</td>'
        for column in columns
    )
    return f'<tr><th scope="row">{first}</th>{cells}</tr>'
