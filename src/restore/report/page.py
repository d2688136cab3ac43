"""An evaluation as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path, PurePath
from string import Template

from restore.evaluation.records import Evaluation, Group
from restore.report.charts import Chart
from restore.report.curves import charts_of, loss_chart
from restore.report.document import (
    asset,
    chart_figure,
    page_style,
    paragraphs,
    policy,
    readings,
    warning_box,
)
from restore.report.pictures import Shown, choose, picker, view
from restore.report.provenance_words import method_list, one_line, training_list
from restore.report.table import table
from restore.report.verdict import ladder, large_figures


def page(evaluation: Evaluation, folder: Path, most_previews: int = 24) -> str:
    """The page's HTML, with the pictures of at most ``most_previews`` micrographs from the
    evaluation's ``folder``.
    """
    groups = _distinct(evaluation.groups)
    shown = choose(evaluation.micrographs, folder, most_previews)
    charts = [charts_of(evaluation, group) for group in groups]
    loss = loss_chart(evaluation.model)
    style, begin, script = page_style(), asset("begin.js"), asset("page.js")
    parts = {
        "csp": policy(style, [begin, script]),
        "style": style,
        "begin": begin,
        "script": script,
        "title": escape(_source(evaluation)),
        "one_line": escape(one_line(evaluation)),
        "warnings": warning_box(evaluation.warnings),
        "groups": _group_choice(groups),
        "headline": paragraphs(evaluation.summary[:1]),
        "summary": paragraphs(evaluation.summary[1:]),
        "verdict": "".join(_verdict(number, group) for number, group in enumerate(groups)),
        "comparison": _comparison(shown, len(evaluation.micrographs)),
        "curves": "".join(
            _curves(number, group, charts[number]) for number, group in enumerate(groups)
        ),
        "training": _training(evaluation, loss),
        "table": table(evaluation.micrographs, {view.index for view in shown}),
        "count": str(len(evaluation.micrographs)),
        "pictured": _pictured_words(shown),
        "method": method_list(evaluation),
        "glossary": asset("glossary.html"),
        "data": _readings(charts, loss),
    }
    return Template(asset("page.html")).substitute(parts)


def _source(evaluation: Evaluation) -> str:
    inputs = evaluation.provenance.get("inputs")
    source = inputs.get("micrographs") if isinstance(inputs, Mapping) else None
    return PurePath(str(source)).name if source else "these micrographs"


def _distinct(groups: Sequence[Group]) -> list[Group]:
    """The groups, without that of all micrographs if another group holds the same."""
    largest = max((group.micrographs for group in groups if group.name != "all"), default=0)
    return [group for group in groups if group.name != "all" or group.micrographs > largest]


def _group_choice(groups: Sequence[Group]) -> str:
    """Radio buttons for the groups; empty if there is only one."""
    if len(groups) < 2:
        return ""
    buttons = "".join(
        '<label><input type="radio" name="group" '
        f'value="{number}"{" checked" if number == 0 else ""}>'
        f"<span>{escape(group.name)} <small>{group.micrographs}</small></span></label>"
        for number, group in enumerate(groups)
    )
    return f'<fieldset class="groups"><legend>Micrographs</legend>{buttons}</fieldset>'


def _of_group(number: int, group: Group, inner: str) -> str:
    many = f"{group.micrographs} micrograph{'s' if group.micrographs != 1 else ''}"
    intervals = f", intervals from resampling {escape(group.resampled)}" if group.resampled else ""
    words = f"{escape(group.name)}: {many}{intervals}"
    return f'<div class="of-group" data-group="{number}"><p class="quiet">{words}</p>{inner}</div>'


def _verdict(number: int, group: Group) -> str:
    bars = ladder(group.numbers)
    if bars:
        bars = (
            "<figure><figcaption><h3>Estimated correlation with the noise-free image</h3><p>A "
            "value of 1 would mean an image free of noise and error. The correlation is estimated "
            "from the two halves, as the noise-free image is not "
            f"known.</p></figcaption>{bars}</figure>"
        )
    return _of_group(number, group, bars + large_figures(group))


def _curves(number: int, group: Group, charts: Sequence[Chart]) -> str:
    drawn = "".join(chart_figure(f"{number}-{index}", chart) for index, chart in enumerate(charts))
    return _of_group(number, group, f'<div class="charts">{drawn}</div>')


def _training(evaluation: Evaluation, loss: Chart | None) -> str:
    if loss is None:
        return ""
    facts = f'<div class="facts beside">{training_list(evaluation.model)}</div>'
    return f'<div class="charts">{chart_figure("loss", loss)}{facts}</div>'


def _comparison(shown: Sequence[Shown], everything: int) -> str:
    if not shown:
        return '<p class="quiet">This evaluation has no pictures to show.</p>'
    parts = {
        "picker": picker(shown),
        "views": "".join(view(micrograph) for micrograph in shown),
        "alone": " hidden" if len(shown) == 1 else "",
        "count": _count_words(len(shown), everything),
        "overlay": "" if any(micrograph.support for micrograph in shown) else " hidden",
    }
    return Template(asset("comparison.html")).substitute(parts)


def _count_words(shown: int, everything: int) -> str:
    if shown < everything:
        return (
            f"{shown} of {everything} micrographs are shown: typical ones and the most unusual. "
            "Those that the model was not trained on come first."
        )
    return f"All {everything} micrographs are shown." if everything > 1 else ""


def _pictured_words(shown: Sequence[Shown]) -> str:
    return "The most unusual first." + (
        f" The {len(shown)} underlined names lead to pictures." if len(shown) > 1 else ""
    )


def _readings(charts: Sequence[Sequence[Chart]], loss: Chart | None) -> str:
    """The readings of a pointer over the charts, by name."""
    named = {
        f"{number}-{index}": chart
        for number, group in enumerate(charts)
        for index, chart in enumerate(group)
    }
    return readings(named | ({"loss": loss} if loss else {}))
