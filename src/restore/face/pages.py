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

    The function is not called ``report`` because that is the name of the subpackage that draws the
    page.

    Parameters
    ----------
    evaluation
        The folder that `evaluate` has written.
    path
        The page. None stands for ``report.html`` in that folder.
    previews
        Largest number of micrographs that are shown with pictures.

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
    >>> evaluated = restore.evaluate("session/micrographs_ctf.star", "Models/model.safetensors")
    >>> restore.write_report("evaluation")
    PosixPath('evaluation/report.html')
    """
    folder = Path(evaluation)
    destination = Path(path) if path is not None else folder / "report.html"
    evaluated = read_evaluation(folder)
    require_writable(destination.parent)
    write_text(destination, page(evaluated, folder, previews))
    return destination
