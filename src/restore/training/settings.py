"""How a network is trained: every choice with its default, and the presets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch.nn.functional import l1_loss, mse_loss

from restore.errors import UserError
from restore.model.architecture import NETWORKS
from restore.model.network import ARCHITECTURES, NetworkSettings
from restore.records import python_number
from restore.runtime.precision import PRECISIONS
from restore.settings import require, setting
from restore.training.schedules import SCHEDULES, Budget, budget

LOSSES = {"l2": mse_loss, "l1": l1_loss}


def _at_least(number: int | None, least: int) -> bool:
    """Whether an optional number is large enough."""
    return number is None or number >= least


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained. Each field is an option of ``restore train``."""

    exact: ClassVar[bool] = True
    """A training state must have all of these fields and no others, so that a resumed run is the
    same run.
    """

    batch_size: int = setting(10, "patches per step, in each process; 4 on a CPU", "-b")
    learning_rate: float = setting(2e-3, "highest learning rate of Adam (1e-4 in the paper)", "-lr")
    schedule: str = setting(
        "cosine",
        "shape of the decay of the learning rate, in a run of a given length",
        choices=tuple(SCHEDULES),
    )
    number_of_epochs: int | None = setting(
        None,
        "number of epochs, if neither steps nor minutes are given (100 in the paper); without any "
        "of the three, training ends when it no longer improves",
    )
    batches_per_epoch: int = setting(500, "number of steps in an epoch")
    steps: int | None = setting(None, "number of steps after which training ends")
    minutes: float | None = setting(None, "number of minutes after which training ends")
    patch_px: int = setting(
        192,
        "side of a training patch, in pixels of the cropped image, a multiple of 16; 128 on a CPU",
    )
    loss: str = setting("l2", "loss to minimise", choices=tuple(LOSSES))
    held_out: float = setting(0.05, "share of the micrographs held out for validation")
    precision: str = setting(
        "auto",
        "precision of the arithmetic; auto is bf16 where it is fast",
        choices=PRECISIONS,
    )
    gradient_checkpointing: bool = setting(
        False, "recompute activations instead of keeping them: less memory, more time"
    )
    gradient_clip: float = setting(
        5.0, "norm to which longer gradients are clipped; 0 turns clipping off"
    )
    weight_average: float = setting(
        0.99, "decay of the moving average of the weights, per step; 0 turns averaging off"
    )
    architecture: str = setting(
        "unet", "network: compact (unet) or the paper's (waunet)", choices=NETWORKS
    )
    filters: int | None = setting(None, "number of feature maps of the network (32 for both)")
    blocks: int | None = setting(
        None, "number of blocks or layers of the network (1 for unet, 4 for waunet)"
    )
    workers: int = setting(
        -1, "number of processes that read patches; −1 stands for 0 on a CPU and 4 per GPU"
    )
    seed: int = setting(
        0, "seed of the weights, the patches and the choice of the validation micrographs"
    )
    from_scratch: bool = setting(
        False,
        "start from random weights, not from the general model that comes with restore (used where "
        "network and resolution allow it)",
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "number_of_epochs", "batches_per_epoch", "steps", "blocks"):
            require(self, name, _at_least(getattr(self, name), 1), "1 or more")
        require(self, "filters", _at_least(self.filters, 2), "2 or more")
        require(self, "minutes", self.minutes is None or self.minutes > 0, "above 0")
        require(self, "minutes", 60 * (self.minutes or 0) < math.inf, "finite")
        require(self, "learning_rate", 0 < self.learning_rate < 1, "above 0 and below 1")
        require(self, "gradient_clip", 0 <= self.gradient_clip < math.inf, "0 or more and finite")
        for name in ("held_out", "weight_average"):
            require(self, name, 0 <= getattr(self, name) < 1, "0 or more and below 1")
        networks = ", ".join(NETWORKS)
        require(self, "architecture", self.architecture in ARCHITECTURES, f"one of {networks}")
        choices = {"schedule": SCHEDULES, "loss": LOSSES, "precision": PRECISIONS}
        for name, allowed in choices.items():
            require(self, name, getattr(self, name) in allowed, f"one of {', '.join(allowed)}")
        stride = ARCHITECTURES[self.architecture].stride
        fits = self.patch_px >= 16 and self.patch_px % stride == 0
        require(self, "patch_px", fits, f"16 or more, and a multiple of {stride}")

    @property
    def network(self) -> NetworkSettings:
        """The network that these settings ask for."""
        usual = ARCHITECTURES[self.architecture].usual
        return NetworkSettings(
            self.architecture, self.filters or usual.filters, self.blocks or usual.blocks
        )

    @property
    def budget(self) -> Budget:
        """How long the run is."""
        return budget(self.steps, self.minutes, self.number_of_epochs, self.batches_per_epoch)


PRESETS = {
    "gpu": TrainingSettings(),
    "cpu": TrainingSettings(batch_size=4, patch_px=128),
    "paper": TrainingSettings(
        learning_rate=1e-4,
        schedule="staircase",
        number_of_epochs=100,
        precision="float32",
        gradient_clip=0.0,
        weight_average=0.0,
        architecture="waunet",
        from_scratch=True,
    ),
}


LENGTHS = ("steps", "minutes", "number_of_epochs")
"""The settings that determine the length of a run, of which one at a time can be given."""

_MAY_CHANGE = (*LENGTHS, "workers")
"""Settings that may change when a run is resumed."""


def resolve_settings(
    settings: TrainingSettings | Mapping[str, Any] | None,
    preset: str | None,
    device: torch.device,
    resumed: TrainingSettings | None = None,
) -> TrainingSettings:
    """The preset's settings, or the resumed run's, with the given ones in their place, as Python's
    numbers. A length that is given when resuming replaces the run's, whichever of the `LENGTHS`
    that was.

    Raises
    ------
    UserError
        A setting is unknown, or cannot change and has another value in the resumed run; several
        lengths are given; there is no such preset; or a schedule is given for an open-ended run,
        which has its own.
    """
    if isinstance(settings, TrainingSettings):
        given = {field.name: getattr(settings, field.name) for field in fields(settings)}
    else:
        given = dict(settings or {})
    _refuse_unknown(given)
    given = {name: python_number(value) for name, value in given.items()}
    lengths = [name for name in LENGTHS if given.get(name) is not None]
    if len(lengths) > 1:
        raise UserError(
            f"{' and '.join(f'`{name}`' for name in lengths)} are given",
            wanted="a run has one length",
            do="leave the others out",
        )
    usual = preset_of(preset, device)
    if resumed is None:
        chosen = replace(PRESETS[usual], **given)
    else:
        _refuse_changes(given, resumed)
        other = dict.fromkeys(LENGTHS) if lengths else {}
        chosen = replace(resumed, **{**other, **given})
    _refuse_unused_schedule(given, chosen)
    return chosen


def preset_of(preset: str | None, device: torch.device) -> str:
    """The name of the given preset, or of the device's. Raises UserError if there is none."""
    if preset is not None and preset not in PRESETS:
        raise UserError(
            f"there is no preset called {preset}",
            field="preset",
            do=f"give one of {', '.join(PRESETS)}",
        )
    return preset or ("cpu" if device.type == "cpu" else "gpu")


def _refuse_changes(given: Mapping[str, Any], resumed: TrainingSettings) -> None:
    for name, value in given.items():
        if name not in _MAY_CHANGE and value != getattr(resumed, name):
            raise UserError(
                f"{name} is {value}, but the run to resume has {getattr(resumed, name)}",
                field=name,
                do="leave the setting out, or start a run with another name",
            )


def _refuse_unused_schedule(given: Mapping[str, Any], chosen: TrainingSettings) -> None:
    """Reject a schedule that was chosen for an open-ended run: its learning rate follows the
    validation loss.
    """
    schedule = given.get("schedule", TrainingSettings.schedule)
    if chosen.budget.open_ended and schedule != TrainingSettings.schedule:
        raise UserError(
            f"schedule is {schedule}, but the run has no length",
            field="schedule",
            wanted="the learning rate of a run without a length falls when its validation loss no "
            "longer improves",
            do="give `steps`, `minutes` or `number_of_epochs`, or leave the schedule out",
        )


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(TrainingSettings)}
    for name in given:
        if name not in known:
            raise UserError(f"there is no training setting called {name}", field=name)
