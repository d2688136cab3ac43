"""Pages of results."""

from os import PathLike
from pathlib import Path

from restore.evaluation.records import read_evaluation
from restore.io.atomic import require_writable, write_text
from restore.report.page import page


def write_report(
    evaluation: str | PathLike[str] = "evaluation",
    path: str | PathLike[str] | None = None,
    *,
    previews: int = 24,
) -> Path:
    """Write an evaluation as one HTML page that needs no other file.

    It is not called ``report``: that is the room of the package in which the page is drawn.

    Parameters
    ----------
    evaluation
        The folder that `evaluate` wrote.
    path
        The page; ``report.html`` in that folder where it is None.
    previews
        At most so many micrographs are shown with pictures.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UserError
        The folder holds no evaluation, or the page cannot be written.

    Examples
    --------
    >>> found = restore.evaluate("session/micrographs_ctf.star", "Models/model.safetensors")
    >>> restore.write_report("evaluation")
    PosixPath('evaluation/report.html')
    """
    folder = Path(evaluation)
    destination = Path(path) if path is not None else folder / "report.html"
    require_writable(destination.parent)
    write_text(destination, page(read_evaluation(folder), folder, previews))
    return destination
