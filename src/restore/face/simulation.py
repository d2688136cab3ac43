"""Simulation of micrographs with known truth."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from restore.simulation import session
from restore.simulation.settings import SimulationSettings


def simulate(
    folder: str | PathLike[str],
    settings: SimulationSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Simulate a session of micrographs whose noise-free images are known.

    Parameters
    ----------
    folder
        Folder of the session. Its images are written to the folder ``Micrographs`` in it.
    settings
        The specimen, the microscope and the number of micrographs.
    overwrite
        Replace the session that is already there.
    progress
        Called after each micrograph with the number of those that are finished, and of all.

    Returns
    -------
    Path
        The STAR file of the micrographs, ``FOLDER/micrographs_ctf.star``.

    Raises
    ------
    UserError
        A setting is out of range, or the folder already holds a session.

    Examples
    --------
    >>> settings = restore.SimulationSettings(micrographs=1, size_px=(128, 128), pixel_size_A=4.0)
    >>> restore.simulate("tiny", settings)
    PosixPath('tiny/micrographs_ctf.star')
    """
    return session.simulate(settings or SimulationSettings(), Path(folder), overwrite, progress)
