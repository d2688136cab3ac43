"""Checks that a run is resumed as it was started."""

import logging
from pathlib import Path

from restore.errors import UserError
from restore.model.checkpoint import load_model
from restore.training.patches import PatchFile
from restore.training.split import Split, kept_out, split
from restore.training.state import RunInputs, RunRecord

log = logging.getLogger(__name__)


def require_same_start(
    resumed: RunRecord, preset: str | None, initial_model: str | Path | None
) -> None:
    """Raise UserError if a preset or an initial model is given that is not that of the run to
    resume. Runs of older versions have not recorded their preset, and any is accepted.
    """
    before = resumed.inputs
    if preset is not None and before.preset is not None and preset != before.preset:
        raise UserError(
            f"preset is {preset}, but the run to resume has {before.preset}",
            field="preset",
            do="leave the preset out, or start a run with another name",
        )
    if initial_model is not None and not _is_start(Path(initial_model), before):
        start = before.initial or (before.start or {}).get("model", "random weights")
        raise UserError(
            f"initial_model is {initial_model}, but the run to resume started from {start}",
            field="initial_model",
            do="leave the model out, or start a run with another name",
        )


def _is_start(initial_model: Path, before: RunInputs) -> bool:
    """Whether a run began with this model: by its path, or by its contents, because a relative path
    may have been given in another folder.
    """
    if before.initial is not None and initial_model.resolve() == Path(before.initial).resolve():
        return True
    digest = (before.start or {}).get("digest")
    return bool(digest) and initial_model.is_file() and load_model(initial_model).digest() == digest


def require_same_data(resumed: RunRecord, data: PatchFile) -> None:
    """Raise UserError if the patches are not those of the run to resume."""
    before = resumed.inputs
    if data.provenance.get("made_of") != before.made_of:
        raise UserError(
            "these are not the patches that the run to resume was trained on",
            where=data.path,
            wanted=f"the run was trained on {before.patches}",
            do="leave the patches out, or start a run with another name",
        )


def newly_held_out(resumed: RunRecord, data: PatchFile, parts: Split) -> list[str]:
    """The names of micrographs of which something is held out now that was not before, and that the
    run has therefore been trained on. If other areas are held out than before, a warning is logged.

    Runs of older versions have not recorded what they held out: they divided whole micrographs
    (`split`), also those of which a part holds no data.
    """
    names = [pair.name for pair in data.pairs]
    before, now = resumed.inputs.kept_out, kept_out(parts, names)
    if before is None:
        before = kept_out(split(data.pairs, resumed.settings), names)
    held_out = zip(parts.calibration, now, strict=True)
    seen = [names[region.pair] for region, words in held_out if words not in before]
    if now and set(now) != set(before):
        shown = ", ".join(seen[:3]) + (", …" if len(seen) > 3 else "")
        log.warning(
            "other areas are held out for validation and calibration than before the run was "
            "resumed: validation losses before and after may not be comparable%s",
            f"; the run may have been trained on what is held out now of {shown}" if seen else "",
        )
    return seen
