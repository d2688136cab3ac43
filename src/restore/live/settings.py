"""The settings of following a session, with their defaults."""

import math
from dataclasses import dataclass

from restore.settings import require, setting


@dataclass(frozen=True)
class WatchSettings:
    """How a session is followed."""

    pattern: str = setting(
        "*",
        "pattern of the images in a watched folder, such as '*_DW.mrc', or '**/*.mrc' to include "
        "its subfolders",
        metavar="PATTERN",
    )
    train_after: int = setting(
        8,
        "number of micrographs with halves after which a model is trained on them, which takes the "
        "place of the general one; 0: never",
    )
    minutes: float = setting(30.0, "length of that training, minutes")
    evaluate: bool = setting(
        True,
        "measure the micrographs with halves, for the curves and outliers of the page (default)",
        off="--dont_evaluate",
    )
    until_idle: float | None = setting(
        None,
        "seconds without a change after which to end (default: continue until ^C)",
        metavar="SECONDS",
    )
    poll: float = setting(
        5.0,
        "seconds between two checks of the files; more if a check takes long",
        metavar="SECONDS",
    )
    settle: float = setting(
        5.0,
        "seconds for which a file's size and time must not change before it is read",
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        require(self, "pattern", bool(self.pattern.strip("\0")), "a pattern of names")
        require(self, "until_idle", self.until_idle is None or self.until_idle >= 0, "0 or more")
        for name in ("train_after", "settle"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("minutes", "poll"):
            require(self, name, getattr(self, name) > 0, "above 0")
        for name in ("minutes", "poll", "settle"):
            require(self, name, 60 * getattr(self, name) < math.inf, "finite")
