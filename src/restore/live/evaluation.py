"""The evaluation of a session, which is extended as the session grows."""

import logging
from collections.abc import Sequence
from pathlib import Path

from restore.errors import UserError
from restore.evaluation.records import Evaluation
from restore.face.evaluation import evaluate
from restore.face.pages import write_report
from restore.io.micrographs import MicrographSet
from restore.live.files import ArrivingFiles, MicrographKey
from restore.micrograph import Micrograph
from restore.model.checkpoint import NamedModel
from restore.runtime.progress import Bars

log = logging.getLogger(__name__)

_FEWEST, _MOST = 4, 32
"""The limits of the number of micrographs that are measured before the page is written again, which
is a quarter of those measured already.
"""


class SessionEvaluation:
    """The evaluation of the micrographs with halves, a few at a time in the order of the table, so
    that new ones do not wait long to be denoised. A micrograph is measured again when its row or
    one of its files has changed.
    """

    def __init__(self, folder: Path, device: str, files: ArrivingFiles) -> None:
        self._folder, self._device, self._files = folder, device, files
        self._measured: set[MicrographKey] = set()
        self._failed: set[MicrographKey] = set()
        self.latest: Evaluation | None = None

    @property
    def folder(self) -> Path:
        """The folder of the evaluation and its report."""
        return self._folder

    @property
    def report(self) -> Path:
        """The path of the report."""
        return self._folder / "report.html"

    def begin_again(self) -> None:
        """Measure everything again, because the model has changed."""
        self._measured = set()
        self.latest = None

    def waiting(self, with_halves: Sequence[Micrograph]) -> list[Micrograph]:
        """The micrographs to measure now, including those measured already; empty if there is
        nothing new.
        """
        keys = {micrograph: self._files.key(micrograph) for micrograph in with_halves}
        good = {micrograph: key for micrograph, key in keys.items() if key not in self._failed}
        known = self._measured
        new = [key for key in good.values() if key not in known]
        if not new:
            return []
        more = min(max(len(known) // 4, _FEWEST), _MOST)
        taken = known | set(new[:more])
        return [micrograph for micrograph, key in good.items() if key in taken]

    def measure(self, subset: MicrographSet, model: NamedModel, bars: Bars) -> None:
        """Measure the micrographs of a set, and write the evaluation and its report.

        Micrographs that cannot be measured are logged, and left out from then on.
        """
        micrographs = subset.micrographs
        self._measured = set(map(self._files.key, micrographs))
        try:
            evaluated = evaluate(
                subset,
                model.model,
                model_name=model.name,
                output_directory=self._folder,
                device=self._device,
                bars=bars,
            )
        except UserError as error:
            log.warning("the session is not evaluated: %s", error)
            return
        failed = {name for name, _ in evaluated.failed}
        self._failed |= {
            self._files.key(micrograph) for micrograph in micrographs if micrograph.name in failed
        }
        if evaluated.evaluation is not None:
            self.latest = evaluated.evaluation
            write_report(self._folder, self.report)
