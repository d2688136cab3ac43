"""The micrographs shown on a page, and their pictures inside the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain, zip_longest
from pathlib import Path

from restore.evaluation.records import MicrographResult, Previews
from restore.io.paths import resolved
from restore.report.document import data_uri
from restore.report.numerals import figure, interval, length, round_length, share

LARGEST_BYTES = 8_500_000
"""Largest total size of a page's encoded pictures; the rest of a page of 50 micrographs is below 1
MB.
"""


@dataclass(frozen=True)
class Shown:
    """A micrograph with its pictures as data URIs; ``index`` is its position in the evaluation."""

    index: int
    row: MicrographResult
    preview: Previews
    raw: str
    denoised: str
    support: str | None


def choose(rows: Sequence[MicrographResult], folder: Path, most: int) -> list[Shown]:
    """At most ``most`` micrographs with readable pictures, and no more than a page can hold; those
    never trained on are chosen first.

    One in three is among the most unusual, the others are typical. They are returned in the order
    in which to look at them: those held out first, and among these the typical ones first.
    """
    chosen: list[Shown] = []
    room = LARGEST_BYTES
    for index in _by_importance(rows):
        if len(chosen) == most:
            break
        loaded = _load(index, rows[index], folder)
        if loaded is not None and (size := _bytes(loaded)) <= room:
            chosen.append(loaded)
            room -= size
    return sorted(chosen, key=lambda shown: (_rank(shown.row), shown.row.outlier or 0.0))


def _by_importance(rows: Sequence[MicrographResult]) -> list[int]:
    """The indices of rows with pictures: two typical ones, an unusual one, and so on."""
    pictured = [index for index, row in enumerate(rows) if row.previews is not None]
    typical = sorted(pictured, key=lambda index: (_rank(rows[index]), rows[index].outlier or 0.0))
    strange = sorted(pictured, key=lambda index: -(rows[index].outlier or 0.0))
    mixed = chain.from_iterable(zip_longest(typical[::2], typical[1::2], strange))
    return [index for index in dict.fromkeys(mixed) if index is not None]


def _rank(row: MicrographResult) -> int:
    return {"held out": 0, "trained on": 1}.get(row.role, 2)


def _load(index: int, row: MicrographResult, folder: Path) -> Shown | None:
    preview = row.previews
    if preview is None:
        return None
    raw, denoised = _picture(folder, preview.raw), _picture(folder, preview.denoised)
    if raw is None or denoised is None:
        return None
    support = _picture(folder, preview.support) if preview.support else None
    return Shown(index, row, preview, raw, denoised, support)


def _picture(folder: Path, name: str) -> str | None:
    """The picture, or None if there is none. Only pictures inside the evaluation's folder are put
    into a page.
    """
    path = resolved(folder / name)
    if not path.is_relative_to(resolved(folder)) or not path.is_file():
        return None
    return data_uri(path.read_bytes())


def _bytes(shown: Shown) -> int:
    return len(shown.raw) + len(shown.denoised) + len(shown.support or "")


def view(shown: Shown) -> str:
    """The HTML of one micrograph: the raw image, over it the denoised image with the overlay, then
    its name and numbers.
    """
    name = escape(shown.row.name)
    bar, size = (
        scale_bar(shown.preview),
        f'width="{shown.preview.width_px}" height="{shown.preview.height_px}"',
    )
    overlay = (
        f'<img class="support" src="{shown.support}" {size} alt="" loading="lazy">'
        if shown.support
        else ""
    )
    return (
        f'<article class="view" id="view-{shown.index}" data-name="{name}"><div class="stage">'
        f'<div class="pane"><img src="{shown.raw}" {size} alt="{name}, raw" loading="lazy" '
        f'draggable="false">{bar}</div>'
        f'<div class="pane over"><img src="{shown.denoised}" {size} alt="{name}, denoised" '
        'loading="lazy" draggable="false">'
        f'{overlay}{bar}</div><span class="tag">raw</span><span class="tag '
        'right">denoised</span></div>'
        f"{_facts(shown.row)}</article>"
    )


def picker(everything: Sequence[Shown]) -> str:
    """The menu of the micrographs shown, by role."""
    roles = {shown.row.role for shown in everything}
    ordered = [role for role in ("held out", "trained on", *sorted(roles)) if role in roles]
    drawn: list[str] = []
    for role in dict.fromkeys(ordered):
        options = "".join(_option(shown) for shown in everything if shown.row.role == role)
        drawn.append(f'<optgroup label="{escape(role)}">{options}</optgroup>' if role else options)
    return "".join(drawn)


def _option(shown: Shown) -> str:
    strange = shown.row.outlier is not None and shown.row.outlier > 3
    name = escape(shown.row.name.rpartition("/")[2])
    return f'<option value="{shown.index}">{name}{" · unusual" if strange else ""}</option>'


def scale_bar(preview: Previews) -> str:
    """A scale bar of about a fifth of the width, drawn over the picture."""
    width, height = preview.width_px, preview.height_px
    extent_A = width * preview.pixel_size_A
    if extent_A <= 0:
        return ""
    bar_A = round_length(extent_A / 5)
    bar, size = bar_A / extent_A * width, max(width, height) / 30
    pad = size * 0.5
    return (
        f'<svg class="scale" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<rect class="back" x="{size:.1f}" y="{height - 3.4 * size:.1f}" '
        f'width="{bar + 2 * pad:.1f}"'
        f' height="{2.4 * size:.1f}" rx="{size / 4:.1f}"/>'
        f'<text x="{size + pad + bar / 2:.1f}" y="{height - 2.15 * size:.1f}" '
        f'font-size="{size:.1f}">{length(bar_A)}</text>'
        f'<rect class="rule" x="{size + pad:.1f}" y="{height - 1.75 * size:.1f}" width="{bar:.1f}"'
        f' height="{size / 4:.1f}"/></svg>'
    )


def _facts(row: MicrographResult) -> str:
    numbers = row.numbers
    facts = [
        ("correlation*, raw", "correlation_raw", False),
        ("correlation*, Wiener filter", "correlation_wiener", False),
        ("correlation*, denoised", "correlation_denoised", False),
        ("signal kept", "gain", True),
        ("bias", "bias_share", True),
    ]
    known = [(words, numbers[key], as_share) for words, key, as_share in facts if key in numbers]
    items = "".join(
        f"<div><dt>{words}</dt><dd>{(share if as_share else figure)(number.value)}"
        f' <span class="interval">{interval(number, as_share)}</span></dd></div>'
        for words, number, as_share in known
        if number.value is not None
    )
    defocus = f"{row.defocus_A / 1e4:.2f} µm defocus" if row.defocus_A is not None else ""
    line = " · ".join(part for part in (row.role, defocus) if part)
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>' for remark in row.remarks)
    return (
        f'<div class="facts"><h3>{escape(row.name.rpartition("/")[2])}</h3><p '
        f'class="quiet">{escape(line)}</p>'
        f'<dl>{items}</dl>{remarks}<p class="note">* estimated correlation with the noise-free '
        "image</p></div>"
    )
