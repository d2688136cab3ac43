"""Scenes of maps as parts of an HTML page, and as a page of their own."""

from collections.abc import Sequence
from html import escape
from string import Template

from restore.report.document import asset, embedded, page_style, policy
from restore.report.scenes import SceneRow, plain_rows

_HOW = "Drag to turn, scroll to zoom; the maps of a row turn together."


def scene_figure(row: SceneRow, number: int) -> str:
    """A row of scenes with its buttons; ``number`` is the row's position in the page's data."""
    heads = "".join(
        f'<div><p class="scene-head">{escape(scene.title)}</p>'
        f'<p class="scene-caption">{escape(scene.caption)}</p><div class="scene"></div></div>'
        for scene in row.scenes
    )
    title = f"<h3>{escape(row.words[:1].upper() + row.words[1:])}</h3>" if row.words else ""
    buttons = "".join(
        f'<button type="button" data-turn="{escape(name)}">{escape(name)}</button>'
        for name in row.turns
    )
    return (
        f'<figure class="scenes" data-row="{number}"><figcaption>{title}'
        f'<p class="scene-note">{_HOW}</p>'
        f"{buttons}</figcaption>"
        f'<div class="scene-row">{heads}</div></figure>'
    )


def scene_data(rows: Sequence[SceneRow]) -> str:
    """The rows' maps, as JSON for the page's script."""
    return embedded(plain_rows(rows))


def scene_scripts(rows: Sequence[SceneRow]) -> str:
    """The scripts that draw the rows, with the data; empty if there are no rows."""
    if not rows:
        return ""
    data = f'<script type="application/json" id="scenes">{scene_data(rows)}</script>'
    return data + "".join(f"<script>{script}</script>" for script in viewer_scripts())


def viewer_scripts() -> list[str]:
    """3Dmol.js, the script that finds surfaces, and the script that draws scenes with both."""
    return [asset(name) for name in ("3Dmol-min.js", "surface.js", "scenes.js")]


def scenes_page(rows: Sequence[SceneRow], title: str, settings: str) -> str:
    """One self-contained HTML page with these rows; ``settings`` says how they were made."""
    style = page_style("scenes.css")
    parts = {
        "csp": policy(style, viewer_scripts()),
        "title": escape(title),
        "style": style,
        "rows": "".join(scene_figure(row, number) for number, row in enumerate(rows)),
        "settings": escape(settings),
        "scripts": scene_scripts(rows),
    }
    return Template(asset("scenes.html")).substitute(parts)
