"""How a session is followed: every choice with its default."""

from dataclasses import dataclass

from restore.settings import require, setting


@dataclass(frozen=True)
class WatchSettings:
    """How a session is followed."""

    pattern: str = setting(
        "*",
        "names of the images, where a folder is watched, such as '*_DW.mrc', or '**/*.mrc' for "
        "those in its folders too",
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
        "end when nothing has changed for so many seconds (default: go on until ^C)",
        metavar="SECONDS",
    )
    poll: float = setting(
        5.0,
        "seconds between two looks at the files; more, where a look takes long",
        metavar="SECONDS",
    )
    settle: float = setting(
        5.0,
        "seconds for which size and time of a file must not change before it is read",
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        require(self, "pattern", bool(self.pattern.strip("\0")), "a pattern of names")
        require(self, "until_idle", self.until_idle is None or self.until_idle >= 0, "0 or more")
        for name in ("train_after", "settle"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("minutes", "poll"):
            require(self, name, getattr(self, name) > 0, "above 0")
