"""Following a session while it is collected: micrographs are denoised as they arrive."""

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from restore.denoising.settings import DenoisingSettings, merge_band
from restore.denoising.targets import OutputSettings
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.half_names import Suffixes, parse_suffixes
from restore.io.lock import locked
from restore.io.micrographs import is_table
from restore.live.denoised import SessionImages
from restore.live.evaluation import SessionEvaluation
from restore.live.files import ArrivingFiles
from restore.live.following import Session, Shown, WatchedSession
from restore.live.page import SessionPage
from restore.live.settings import WatchSettings
from restore.live.sources import source_of
from restore.live.training import SessionTraining, ShowTraining, unseen_training
from restore.model.checkpoint import Model, NamedModel, load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model
from restore.preprocessing import Recipe
from restore.runtime.distributed import launch, pick_device
from restore.runtime.progress import Bars, no_bars
from restore.training.settings import LENGTHS

log = logging.getLogger(__name__)


def watch(
    source: str | Path,
    output_directory: str | Path,
    model: Model | str | Path | None = None,
    *,
    model_name: str = "",
    settings: WatchSettings | None = None,
    denoising: DenoisingSettings | None = None,
    training: Mapping[str, Any] | None = None,
    suffixes: str | None = None,
    pixel_size_A: float | None = None,
    device: str = "auto",
    bars: Bars = no_bars,
    show_training: ShowTraining = unseen_training,
) -> WatchedSession:
    """Denoise the micrographs of a session as they appear.

    When enough of them have arrived with halves, a model is trained on these, replaces the first
    model, and denoises all of them again. Meanwhile, new ones are denoised with the first model.
    ``session.html`` in the output folder shows the latest micrograph, curves and outliers.

    Started again, it continues where it stopped, however it ended.

    Parameters
    ----------
    source
        A RELION STAR file, or a cryoSPARC ``.cs`` or ``.csg`` file, that is rewritten during the
        session and need not exist yet; or a folder in which images appear.
    output_directory
        Folder of all output.
    model
        The model to begin with, or the path of a model file. None stands for the general model that
        comes with the package (`load_model` makes it for another finest resolution). Either is
        replaced by one that is trained on the session; ``train_after=0`` in the settings keeps it.
    model_name
        Name of the model in labels and records. It is needed only if ``model`` is a `Model`.
    settings
        How files are checked, and when to end.
    denoising
        What is done with the network's output.
    training
        Settings of the training that differ from the device's defaults.
    suffixes
        How the names of a full sum and its halves differ, as ``"DW,EVN,ODD"``.
    pixel_size_A
        Pixel size in Å of images that no table lists. None stands for that in their headers.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; ``"auto"`` is a GPU if there is one.
    bars
        Shows the progress of each step.
    show_training
        Shows the progress of the training.

    Returns
    -------
    WatchedSession
        The result, once the session was idle for long enough; without such a limit the function
        does not return.

    Raises
    ------
    UserError
        There is no such folder, an output would replace a file that restore did not write, another
        process follows the same session, or the disk is full; or, at the end, the table could not
        be read or no image has arrived.
    KeyboardInterrupt
        After ^C or SIGTERM. What is finished is kept.

    Examples
    --------
    Without an end, ``watch`` follows the session until it is interrupted; this one ends as soon as
    all micrographs are denoised.

    >>> settings = restore.WatchSettings(until_idle=0, settle=0, train_after=0, evaluate=False)
    >>> watched = restore.watch("session/micrographs_ctf.star", "Live", settings=settings)
    >>> len(watched.denoised), watched.failed, watched.table
    (2, {}, PosixPath('Live/micrographs_ctf.star'))
    """
    settings, denoising = settings or WatchSettings(), denoising or DenoisingSettings()
    folder = Path(output_directory)
    named = _named(model, model_name, source)
    model = named.model
    if launch(os.environ) is not None:
        raise UserError("a session is followed by one process", do="start it without torchrun")
    merge_band(denoising, model.recipe.max_resolution_A)
    files = ArrivingFiles(settings.settle)
    listing = source_of(
        source,
        pattern=settings.pattern,
        not_in=folder,
        files=files,
        suffixes=parse_suffixes(suffixes) if suffixes else Suffixes(),
        pixel_size_A=pixel_size_A,
        phase_flip=model.recipe.phase_flip,
    )
    require_writable(folder)
    own_length = any((training or {}).get(name) is not None for name in LENGTHS)
    length = {} if own_length else {"minutes": settings.minutes}
    trainer = SessionTraining(folder, model.recipe, device, {**(training or {}), **length})
    with _followed(source, folder):
        session = Session(
            listing,
            images=SessionImages(
                (trainer.trained_before() if settings.train_after else None) or named,
                denoising,
                OutputSettings(output_directory=folder),
                pick_device(device),
                files,
            ),
            files=files,
            training=trainer,
            evaluation=SessionEvaluation(folder / "evaluation", device, files),
            page=SessionPage(folder / "session.html", str(source)),
            settings=settings,
            shown=Shown(bars, show_training),
        )
        log.info("watching %s; ^C ends it. Its page is %s", source, folder / "session.html")
        session.follow()
        return session.results()


def _named(model: Model | str | Path | None, name: str, source: str | Path) -> NamedModel:
    """The model to begin with, and its name; the general one flips phases where a table has the
    CTF.
    """
    if isinstance(model, Model):
        return NamedModel(model, name)
    if model is None:
        recipe = Recipe(phase_flip=is_table(source))
        return NamedModel(load_general_model(recipe), name or GENERAL_MODEL_PATH.name)
    return NamedModel(load_model(Path(model)), name or str(model))


@contextmanager
def _followed(source: str | Path, folder: Path) -> Generator[None]:
    """A block within which no other process follows a session into ``folder``."""
    try:
        with locked(folder / "session"):
            yield
    except UserError as error:
        if error.where != str(folder / "session"):
            raise
        problem = error.problem.replace("is writing it", "is following this session")
        raise error.instead(
            problem=problem, where=source, do="give another `output_directory`"
        ) from None
