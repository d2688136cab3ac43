"""Checks that a run is resumed as it was started."""

from pathlib import Path

from restore.errors import UserError
from restore.training.patches import PatchFile
from restore.training.state import RunRecord


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
    if initial_model is None:
        return
    if before.initial is None or Path(initial_model).resolve() != Path(before.initial).resolve():
        start = before.initial or (before.start or {}).get("model", "random weights")
        raise UserError(
            f"initial_model is {initial_model}, but the run to resume started from {start}",
            field="initial_model",
            do="leave the model out, or start a run with another name",
        )


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
