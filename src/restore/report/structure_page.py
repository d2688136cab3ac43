"""Everything in Figure S2 as one self-contained HTML page."""

import logging
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path, PurePath
from string import Template

from restore.errors import UserError
from restore.io.paths import resolved
from restore.records import read_record
from restore.report.charts import Chart
from restore.report.document import (
    asset,
    chart_figure,
    data_uri,
    page_style,
    paragraphs,
    policy,
    readings,
    warning_box,
)
from restore.report.numerals import MISSING, figure
from restore.report.provenance_words import facts_of
from restore.report.scene_figures import scene_figure, scene_scripts, viewer_scripts
from restore.report.scenes import FILE, SceneRow, Scenes
from restore.report.structure_charts import LABELS, Row, rows_of
from restore.structure.records import Angles, Picture, Reconstruction, Structure

log = logging.getLogger(__name__)

_LARGEST_BYTES = 4_000_000
_CREDIT = " Maps are drawn by 3Dmol.js (BSD-3-Clause)."
_BESIDE = (
    "The FSC of denoised half maps is no evidence of resolution: both can hold what the network "
    'hallucinated (<a href="#summary">'
    "more</a>)."
)


def structure_page(structure: Structure, folder: Path) -> str:
    """The page's HTML, with the pictures and the scenes from the result's ``folder``."""
    before, after = rows_of(structure)
    named = {
        row.key: {f"{row.key}-{number}": chart for number, chart in enumerate(row.charts)}
        for row in before + after
    }
    scenes = {key: _scene_rows(pictures, folder) for key, pictures in _scene_files(structure)}
    rows = [row for part in scenes.values() for row in part]
    style = page_style("structure.css", "scenes.css")
    begin, script = asset("begin.js"), asset("page.js")

    def drawn(rows: Sequence[Row]) -> str:
        return "".join(_row(structure, row, named[row.key]) for row in rows)

    parts = {
        "csp": policy(style, [begin, script, *(viewer_scripts() if rows else [])]),
        "style": style,
        "begin": begin,
        "script": script,
        "one_line": escape(_one_line(structure)),
        "warnings": warning_box(structure.warnings),
        "summary": paragraphs(structure.summary),
        "table": _table(structure),
        "caution": _caution(structure),
        "before": drawn(before),
        "views": _views(structure, folder, scenes["views"]),
        "after": drawn(after),
        "regions": _regions(structure, folder, scenes["regions"], len(scenes["views"])),
        "angles": _angles(structure, folder),
        "method": facts_of(structure.provenance, []),
        "scene_scripts": scene_scripts(rows),
        "credit": _CREDIT if rows else "",
        "data": readings(
            {key: chart for charts in named.values() for key, chart in charts.items()}
        ),
    }
    return Template(asset("structure.html")).substitute(parts)


def _one_line(structure: Structure) -> str:
    origin = structure.provenance
    parts = [
        f"{MISSING if structure.particles.count is None else structure.particles.count} particles",
        f"symmetry {structure.symmetry}",
        f"box {structure.box_px} px of {structure.pixel_size_A:.4g} Å",
        f"{origin.get('program', 'restore')} {origin.get('version', '')}".strip(),
    ]
    return " · ".join([*parts, str(origin["time"])[:10]] if origin.get("time") else parts)


def _supported(structure: Structure, name: str, reconstruction: Reconstruction) -> str:
    """The resolution that the raw halves support for a denoised map; for a raw map, its own."""
    if reconstruction.images == "raw":
        return reconstruction.fsc.crossings["0.143"].words
    bias = structure.bias.get(reconstruction.orientations)
    return bias.supported_crossing.words if bias and name.startswith("denoised") else MISSING


_Cell = Callable[[Structure, str, Reconstruction], str]
_HEADS: tuple[tuple[str, _Cell], ...] = (
    ("half maps, 0.143", lambda _, __, reconstruction: reconstruction.fsc.crossings["0.143"].words),
    ("supported, 0.143", _supported),
    ("half maps, 0.5", lambda _, __, reconstruction: reconstruction.fsc.crossings["0.5"].words),
    (
        "truth, 0.5",
        lambda _, __, reconstruction: (
            reconstruction.truth.crossings["0.5"].words if reconstruction.truth else MISSING
        ),
    ),
    (
        "model, 0.5",
        lambda _, __, reconstruction: (
            reconstruction.model.crossings["0.5"].words if reconstruction.model else MISSING
        ),
    ),
    ("B-factor, Å²", lambda _, __, reconstruction: figure(reconstruction.bfactor_A2.value)),
)


def _table(structure: Structure) -> str:
    """The reconstructions, one per row, with their resolutions."""
    reconstructions = structure.reconstructions
    columns = [
        (
            head,
            [
                cell(structure, name, reconstruction)
                for name, reconstruction in reconstructions.items()
            ],
        )
        for head, cell in _HEADS
    ]
    columns = [(head, cells) for head, cells in columns if any(cell != MISSING for cell in cells)]
    heads = "".join(f'<th scope="col">{head}</th>' for head, _ in columns)
    rows = "".join(
        f'<tr><th scope="row"><i class="mark {name}"></i>{LABELS[name]}</th>'
        + "".join(f"<td>{escape(_short(cells[number]))}</td>" for _, cells in columns)
        + "</tr>"
        for number, name in enumerate(reconstructions)
    )
    return (
        '<table class="maps"><thead><tr><th '
        f'scope="col">map</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _short(words: str) -> str:
    """A short form of "better than 5.00 Å (Nyquist)" for a table."""
    return words.replace("better than", "<").replace(" (Nyquist)", "")


def _caution(structure: Structure) -> str:
    return "".join(f"<p>{escape(caution)}</p>" for caution in structure.cautions)


def _row(structure: Structure, row: Row, charts: dict[str, Chart]) -> str:
    drawn = "".join(chart_figure(key, chart) for key, chart in charts.items())
    caution = f'<p class="caution">{_BESIDE}</p>' if row.caution and structure.cautions else ""
    inner = f'<p class="lead">{row.words}</p>{caution}<div class="charts">{drawn}</div>'
    return _section(
        structure, row.key, f"{row.letters} · {row.title}" if row.letters else row.title, inner
    )


def _section(structure: Structure, key: str, title: str, inner: str) -> str:
    """A row of the figure under its title, with the command that makes only this row at its end."""
    command = structure.commands.get(key)
    alone = f'<p class="quiet alone">Alone: <code>{escape(command)}</code></p>' if command else ""
    return f'<section id="{key}"><h2>{title}</h2>{inner}{alone}</section>'


def _views(structure: Structure, folder: Path, rows: Sequence[SceneRow]) -> str:
    words = (
        "The maps from the side and from the top, before and after sharpening. Each is drawn at "
        "the level that encloses the same volume, so that differences in grey scale do not matter."
    )
    inner = _scene_figures(rows, 0) + _pictures(structure.views, folder)
    return (
        _section(structure, "views", "C, D · Views", f'<p class="lead">{words}</p>{inner}')
        if inner
        else ""
    )


def _regions(structure: Structure, folder: Path, rows: Sequence[SceneRow], first: int) -> str:
    """The section of residues; ``first`` is the position of its first row in the page's data."""
    words = (
        "The density around some residues, with the model in it. The model is drawn in its "
        "original position, without refitting."
    )
    inner = _scene_figures(rows, first) + _pictures(structure.regions, folder)
    return (
        _section(structure, "regions", "H, I · Details", f'<p class="lead">{words}</p>{inner}')
        if inner
        else ""
    )


def _angles(structure: Structure, folder: Path) -> str:
    words = (
        "Angular distances between two sets of orientations of the same particles, given the "
        "symmetry of the particle (Palovcak et al. 2020, S2.5). Shifts are ignored."
    )
    pictures = [
        Picture(title=angles.title, words=_angle_words(angles), path=angles.picture)
        for angles in structure.angles
    ]
    inner = _pictures(pictures, folder)
    return (
        _section(structure, "angles", "S2.5 · Orientations", f'<p class="lead">{words}</p>{inner}')
        if inner
        else ""
    )


def _angle_words(angles: Angles) -> str:
    low, high = angles.quartiles_deg
    return (
        f"{angles.count} particles: median {angles.median_deg:.2f}°, interquartile range "
        f"{low:.2f}° to {high:.2f}°; random orientations would have "
        f"{angles.chance_median_deg:.0f}°."
    )


def _scene_files(structure: Structure) -> list[tuple[str, Sequence[Picture]]]:
    return [("views", structure.views), ("regions", structure.regions)]


def _scene_rows(pictures: Sequence[Picture], folder: Path) -> list[SceneRow]:
    """The scenes in the files among the pictures; empty if a file is missing or damaged."""
    rows: list[SceneRow] = []
    for picture in pictures:
        path = _inside(picture, folder)
        if path is not None and path.suffix == ".json":
            try:
                rows += read_record(path, Scenes, FILE).rows
            except UserError as error:
                log.warning("the page shows no maps: %s", error)
    return rows


def _scene_figures(rows: Sequence[SceneRow], first: int) -> str:
    return "".join(scene_figure(row, first + number) for number, row in enumerate(rows))


def _pictures(pictures: Sequence[Picture], folder: Path) -> str:
    drawn = "".join(_one_picture(picture, folder) for picture in pictures)
    return f'<div class="plates">{drawn}</div>' if drawn else ""


def _one_picture(picture: Picture, folder: Path) -> str:
    """A picture for the page; empty if it is not a picture in the folder."""
    path = _inside(picture, folder)
    address = None if path is None else data_uri(path.read_bytes())
    if address is None:
        return ""
    title = escape(picture.title)
    return (
        f'<figure class="plate"><figcaption>'
        f"<h3>{title}</h3><p>{escape(picture.words)}</p></figcaption>"
        f'<img src="{address}" alt="{title} ({escape(PurePath(picture.path).name)})"></figure>'
    )


def _inside(picture: Picture, folder: Path) -> Path | None:
    """The picture's file; None if it is not in the folder, or too large for a page."""
    path = resolved(folder / picture.path)
    if not path.is_relative_to(resolved(folder)) or not path.is_file():
        return None
    if path.stat().st_size > _LARGEST_BYTES:
        log.warning("%s: larger than %d MB, not shown in the page", path, _LARGEST_BYTES // 10**6)
        return None
    return path
