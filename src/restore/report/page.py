"""An evaluation as one HTML page that needs nothing else: no network, no other file."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path, PurePath
from string import Template
from typing import Any

from restore.report.charts import LEFT, PLOT_WIDTH, WIDTH, Chart, is_cut_off, svg, swatch, x_axis
from restore.report.curves import charts_of, loss_chart
from restore.report.evaluation_file import Evaluation, Group, Values
from restore.report.pictures import Shown, choose, picker, view
from restore.report.provenance_words import method_list, one_line, training_list
from restore.report.table import table
from restore.report.verdict import ladder, large_figures


def page(evaluation: Evaluation, folder: Path, most_previews: int = 24) -> str:
    """The page's HTML, with the pictures of at most so many micrographs out of the evaluation's ``folder``."""
    groups = _told_apart(evaluation.groups)
    shown = choose(evaluation.micrographs, folder, most_previews)
    charts = [charts_of(evaluation, group) for group in groups]
    loss = loss_chart(evaluation.model)
    style, begin, script = (_asset(name) for name in ("page.css", "begin.js", "page.js"))
    parts = {
        "csp": _policy(style, [begin, script]),
        "style": style,
        "begin": begin,
        "script": script,
        "title": escape(_source(evaluation)),
        "one_line": escape(one_line(evaluation)),
        "warnings": _warnings(evaluation.warnings),
        "groups": _group_choice(groups),
        "summary": _paragraphs(evaluation.summary),
        "verdict": "".join(_verdict(number, group) for number, group in enumerate(groups)),
        "comparison": _comparison(shown, len(evaluation.micrographs)),
        "curves": "".join(_curves(number, group, charts[number]) for number, group in enumerate(groups)),
        "training": _training(evaluation, loss),
        "table": table(evaluation.micrographs, {each.index for each in shown}),
        "count": str(len(evaluation.micrographs)),
        "pictured": _pictured_words(shown),
        "method": method_list(evaluation),
        "glossary": _asset("glossary.html"),
        "data": _embedded(_readings(charts, loss)),
    }
    return Template(_asset("page.html")).substitute(parts)


def _asset(name: str) -> str:
    return (files("restore.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: Sequence[str]) -> str:
    """A content security policy: nothing but this style, these scripts and pictures that are inside the page."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = " ".join(digest(script) for script in scripts)
    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {allowed};"
        " base-uri 'none'; form-action 'none'"
    )


def _source(evaluation: Evaluation) -> str:
    inputs = evaluation.provenance.get("inputs")
    found = inputs.get("micrographs") if isinstance(inputs, Mapping) else None
    return PurePath(str(found)).name if found else "these micrographs"


def _warnings(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(each)}</li>" for each in sentences)
    return f'<section class="warnings" aria-label="Warnings"><h2>Before you read on</h2><ul>{items}</ul></section>'


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(each)}</p>" for each in sentences)


def _told_apart(groups: Sequence[Group]) -> list[Group]:
    """The groups, without one of all micrographs where another holds all of them."""
    largest = max((group.micrographs for group in groups if group.name != "all"), default=0)
    return [group for group in groups if group.name != "all" or group.micrographs > largest]


def _group_choice(groups: Sequence[Group]) -> str:
    """Radio buttons among the groups; nothing where there is no choice."""
    if len(groups) < 2:
        return ""
    buttons = "".join(
        f'<label><input type="radio" name="group" value="{number}"{" checked" if number == 0 else ""}>'
        f"<span>{escape(group.name)} <small>{group.micrographs}</small></span></label>"
        for number, group in enumerate(groups)
    )
    return f'<fieldset class="groups"><legend>Micrographs</legend>{buttons}</fieldset>'


def _of_group(number: int, group: Group, inner: str) -> str:
    many = f"{group.micrographs} micrograph{'s' if group.micrographs != 1 else ''}"
    made = f", intervals from resampling {escape(group.resampled)}" if group.resampled else ""
    words = f"{escape(group.name)}: {many}{made}"
    return f'<div class="of-group" data-group="{number}"><p class="quiet">{words}</p>{inner}</div>'


def _verdict(number: int, group: Group) -> str:
    bars = ladder(group.numbers)
    if bars:
        bars = (
            f"<figure><figcaption><h3>Estimated correlation with the noise-free image</h3>"
            f"<p>1 would be a picture free of noise and error. It is estimated from the two halves; nobody has seen "
            f"the noise-free image.</p></figcaption>{bars}</figure>"
        )
    return _of_group(number, group, bars + large_figures(group))


def _curves(number: int, group: Group, charts: Sequence[Chart]) -> str:
    drawn = "".join(_figure(f"{number}-{index}", chart) for index, chart in enumerate(charts))
    return _of_group(number, group, f'<div class="charts">{drawn}</div>')


def _figure(key: str, chart: Chart) -> str:
    lines = "".join(
        f'<li>{swatch(line.look)}<span>{escape(line.label)}</span><output class="reading"></output></li>'
        for line in chart.lines
    )
    cut = " Values beyond the axis are cut off." if is_cut_off(chart) else ""
    return (
        f'<figure class="chart" data-chart="{key}"><figcaption><h3>{chart.title}</h3><p>{chart.words}{cut}</p></figcaption>'
        f'{svg(chart)}<ul class="legend" aria-live="polite">{lines}</ul></figure>'
    )


def _training(evaluation: Evaluation, loss: Chart | None) -> str:
    if loss is None:
        return ""
    facts = f'<div class="facts beside">{training_list(evaluation.model)}</div>'
    return f'<div class="charts">{_figure("loss", loss)}{facts}</div>'


def _comparison(shown: Sequence[Shown], everything: int) -> str:
    if not shown:
        return '<p class="quiet">This evaluation has no pictures that could be shown.</p>'
    parts = {
        "picker": picker(shown),
        "views": "".join(view(each) for each in shown),
        "alone": " hidden" if len(shown) == 1 else "",
        "count": _count_words(len(shown), everything),
        "overlay": "" if any(each.support for each in shown) else " hidden",
    }
    return Template(_asset("comparison.html")).substitute(parts)


def _count_words(shown: int, everything: int) -> str:
    if shown < everything:
        return (
            f"{shown} of {everything} micrographs are shown: typical ones and the most unusual, those held out first."
        )
    return f"All {everything} micrographs are shown." if everything > 1 else ""


def _pictured_words(shown: Sequence[Shown]) -> str:
    return "The most unusual first." + (
        f" The {len(shown)} underlined names lead to pictures." if len(shown) > 1 else ""
    )


def _readings(charts: Sequence[Sequence[Chart]], loss: Chart | None) -> dict[str, Any]:
    """What a pointer over a chart reads: x, where it lies, and every line's values and intervals."""
    named = {f"{number}-{index}": chart for number, group in enumerate(charts) for index, chart in enumerate(group)}
    if loss:
        named["loss"] = loss
    return {key: _reading(chart) for key, chart in named.items()}


def _reading(chart: Chart) -> dict[str, Any]:
    across = x_axis(chart)
    return {
        "unit": "Å" if chart.over_frequency else "step",
        "x": _short(chart.x),
        "place": [round((LEFT + across.place(x) * PLOT_WIDTH) / WIDTH, 4) for x in chart.x],
        "lines": [
            [_short(part) for part in (each.curve.value, each.curve.low, each.curve.high)] for each in chart.lines
        ],
    }


def _short(values: Values) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]


def _embedded(found: object) -> str:
    """JSON that may stand inside a script element: it cannot end the element, and holds no NaN."""
    text = json.dumps(found, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
