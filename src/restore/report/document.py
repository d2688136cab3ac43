"""One self-contained HTML page: its security policy, its assets, and the parts common to all pages
of restore.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from restore.quantities import Values
from restore.report.charts import LEFT, PLOT_WIDTH, WIDTH, Chart, is_cut_off, svg, swatch, x_axis
from restore.report.palette import style


def asset(name: str) -> str:
    """The text of a file that pages are made from."""
    return (files("restore.report") / "assets" / name).read_text(encoding="utf-8")


def page_style(*names: str) -> str:
    """The style sheet of a page: the colours, the common rules, and these assets."""
    return style() + asset("page.css") + "".join(asset(name) for name in names)


def policy(sheet: str, scripts: Sequence[str]) -> str:
    """A content security policy that allows only this style sheet, these scripts, and pictures
    inside the page.
    """

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = " ".join(digest(script) for script in scripts)
    return (
        f"default-src 'none'; img-src data:; style-src {digest(sheet)}; script-src {allowed};"
        " base-uri 'none'; form-action 'none'"
    )


def warning_box(sentences: Sequence[str]) -> str:
    """The box of warnings at the top of a page; empty if there are none."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        '<section class="warnings" aria-label="Warnings"><h2>Before you read '
        f"on</h2><ul>{items}</ul></section>"
    )


def paragraphs(sentences: Sequence[str]) -> str:
    """Each sentence as a paragraph."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def chart_figure(key: str, chart: Chart) -> str:
    """A chart with its title, text and legend, in which a pointer's readings appear; ``key`` names
    its readings.
    """
    lines = "".join(
        f"<li>{swatch(line.look, line.dots)}<span>{escape(line.label)}</span><output "
        'class="reading"></output></li>'
        for line in chart.lines
    )
    cut = " Values beyond the axis are cut off." if is_cut_off(chart) else ""
    return (
        f'<figure class="chart" data-chart="{key}"><figcaption>'
        f"<h3>{chart.title}</h3><p>{chart.words}{cut}</p></figcaption>"
        f'{svg(chart)}<ul class="legend" aria-live="polite">{lines}</ul></figure>'
    )


def readings(charts: Mapping[str, Chart]) -> str:
    """The readings of a pointer over each chart, as JSON for the page's script."""
    return embedded({key: _reading(chart) for key, chart in charts.items()})


def embedded(data: object) -> str:
    """JSON for a script element: it cannot end the element, and holds no NaN."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def data_uri(picture: bytes) -> str | None:
    """A PNG or JPEG picture as a data URI; None if it is neither."""
    kind = next((kind for magic, kind in _MAGIC.items() if picture.startswith(magic)), None)
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}" if kind else None


_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def _reading(chart: Chart) -> dict[str, Any]:
    """The x values, their positions, and every line's values and intervals."""
    across = x_axis(chart)
    return {
        "unit": "Å" if chart.over_frequency else chart.x_reading,
        "x": _short(chart.x),
        "place": [round((LEFT + across.place(x) * PLOT_WIDTH) / WIDTH, 4) for x in chart.x],
        "lines": [
            [_short(part) for part in (line.curve.value, line.curve.low, line.curve.high)]
            for line in chart.lines
        ],
    }


def _short(values: Values) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]
