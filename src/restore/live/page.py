"""The page of a session: its latest micrographs, its curves, its outliers. It reloads itself in the
browser.
"""

import base64
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from restore.denoising.targets import Target
from restore.errors import UserError
from restore.evaluation.outliers import is_outlier
from restore.evaluation.records import Evaluation
from restore.image_tensors import read_tensor
from restore.inspection.findings import counted
from restore.io.atomic import write_text
from restore.report.document import data_uri, page_style, policy
from restore.report.panels import Panel, side_by_side

REFRESH_S = 20
_REFRESHED = f"This page loads itself again every {REFRESH_S} s."
_JPEG_QUALITY = 85
_MOST_NAMED = 20
_STYLE = "section { margin-top: 40px; } img { max-width: 100%; height: auto; background: #fff; }"
_CURVES = (
    ("errors.png", "Signal and errors by resolution"),
    ("shares.png", "Shares of the denoised images by resolution"),
)


@dataclass(frozen=True)
class SessionState:
    """The contents of a session's page: the model, the current activity, the number of denoised
    micrographs and the latest of them, the number that wait, failures with their reasons, and
    whether the session is still followed.
    """

    model: str
    doing: str
    denoised: int
    latest: Target | None
    waiting: int
    failed: Mapping[str, str]
    is_followed: bool = True


class SessionPage:
    """The page of a session, which is written repeatedly."""

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._source = path, source
        self._shown: Target | None = None
        self._latest = ""

    def write(self, state: SessionState, evaluation: Evaluation | None, folder: Path) -> None:
        """Write the page; ``folder`` is that of the evaluation, if there is one.

        Raises
        ------
        UserError
            The page cannot be written.
        """
        if state.latest is not self._shown:
            self._shown = state.latest
            self._latest = _picture(state.latest) if state.latest else ""
        style, title = page_style() + _STYLE, escape(self._source)
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(style, [])}">',
            f'<meta http-equiv="refresh" content="{REFRESH_S}">' if state.is_followed else "",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} – restore</title><style>{style}</style></head><body>",
            f'<header><p class="eyebrow">restore watch</p><h1>{title}</h1>',
            f'<p class="run">{escape(_summary(state))}</p></header><main>',
            self._latest,
            _failed(state.failed),
            _evaluated(evaluation, folder, self._path.parent),
            f"</main><footer>Written {time.strftime('%Y-%m-%d %H:%M:%S')}. "
            f"{_REFRESHED if state.is_followed else ''}</footer></body></html>\n",
        ]
        write_text(self._path, "".join(parts))


def _summary(state: SessionState) -> str:
    parts = [f"{counted(state.denoised, 'micrograph')} denoised"]
    if state.waiting:
        parts.append(f"{state.waiting} waiting")
    if state.failed:
        parts.append(f"{len(state.failed)} failed")
    return f"{', '.join(parts)}. Model: {state.model}. Now: {state.doing}."


def _picture(target: Target) -> str:
    """A micrograph, raw beside denoised; empty if one of the two no longer exists."""
    size_A = target.micrograph.pixel_size_A
    try:
        panels = [
            Panel(title, read_tensor(image), size_A)
            for title, image in (("raw", target.micrograph.image), ("denoised", target.path))
        ]
    except UserError:
        return ""
    picture = io.BytesIO()
    side_by_side(panels).save(picture, format="JPEG", quality=_JPEG_QUALITY)
    address = f"data:image/jpeg;base64,{base64.b64encode(picture.getvalue()).decode()}"
    name = escape(target.micrograph.name)
    return (
        f'<section><h2>Latest micrograph</h2><p class="quiet">{name}</p>'
        f'<img src="{address}" alt="{name}, raw beside denoised"></section>'
    )


def _failed(failed: Mapping[str, str]) -> str:
    if not failed:
        return ""
    named = list(failed.items())[-_MOST_NAMED:]
    items = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in named)
    return f"<section><h2>Not denoised</h2><ul>{items}</ul></section>"


def _evaluated(evaluation: Evaluation | None, folder: Path, beside: Path) -> str:
    """The curves, the outliers, and a link to the report."""
    if evaluation is None:
        return (
            '<section><p class="quiet">Nothing has been measured yet: that takes micrographs with '
            "halves.</p></section>"
        )
    measured = counted(len(evaluation.micrographs), "micrograph")
    address = escape((folder.relative_to(beside) / "report.html").as_posix())
    curves = "".join(
        f'<h3>{title}</h3><p><img src="{uri}" alt="{title}"></p>'
        for file, title in _CURVES
        if (folder / file).is_file() and (uri := data_uri((folder / file).read_bytes()))
    )
    summary = "".join(f"<p>{escape(sentence)}</p>" for sentence in evaluation.summary)
    return (
        f'<section><h2>Quality</h2><div class="summary">{summary}</div>'
        f'<p>{measured} measured: <a href="{address}">the whole report</a></p></section>'
        f"<section><h2>Outliers</h2>{_outliers(evaluation)}</section>"
        f"<section><h2>Curves</h2>{curves}</section>"
    )


def _outliers(evaluation: Evaluation) -> str:
    strange = sorted(
        (result for result in evaluation.micrographs if is_outlier(result.outlier or 0.0)),
        key=lambda result: -(result.outlier or 0.0),
    )[:_MOST_NAMED]
    if not strange:
        return '<p class="quiet">No micrograph is far from the others.</p>'
    items = "".join(
        f"<li>{escape(result.name)}. {escape(' '.join(result.remarks))}</li>" for result in strange
    )
    return f"<ul>{items}</ul>"
