"""The evaluation of a session, which grows with it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from restore.errors import UserError
from restore.evaluation.records import Evaluation
from restore.face.evaluation import evaluate
from restore.face.pages import write_report
from restore.io.micrographs import MicrographSet
from restore.live.denoised import NamedModel
from restore.micrograph import Micrograph
from restore.runtime.progress import Bars

log = logging.getLogger(__name__)

_FEWEST, _MOST = 4, 32
"""So many more micrographs are measured before the page is written: a quarter of those that are
measured already, between these.
"""


class SessionEvaluation:
    """The micrographs with halves, measured a few at a time in the order of the table, so that new
    ones need not wait long to be denoised.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._folder, self._device = folder, device
        self._measured: list[Micrograph] = []
        self._failed: set[Micrograph] = set()
        self.latest: Evaluation | None = None

    @property
    def folder(self) -> Path:
        """Where the evaluation and its report are."""
        return self._folder

    @property
    def report(self) -> Path:
        """The report."""
        return self._folder / "report.html"

    def begin_again(self) -> None:
        """Measure everything again: there is another model."""
        self._measured = []
        self.latest = None

    def waiting(self, with_halves: Sequence[Micrograph]) -> list[Micrograph]:
        """The micrographs to measure now, with those that are measured already; empty where there
        is nothing new.
        """
        good = [micrograph for micrograph in with_halves if micrograph not in self._failed]
        known = set(self._measured)
        new = [micrograph for micrograph in good if micrograph not in known]
        if not new:
            return []
        more = min(max(len(known) // 4, _FEWEST), _MOST)
        taken = known | set(new[:more])
        return [micrograph for micrograph in good if micrograph in taken]

    def measure(self, subset: MicrographSet, model: NamedModel, bars: Bars) -> None:
        """Measure the micrographs of a set, and write the evaluation and its report.

        What cannot be measured is logged, and left out from then on.
        """
        micrographs = subset.micrographs
        self._measured = list(micrographs)
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
        self._failed |= {micrograph for micrograph in micrographs if micrograph.name in failed}
        if evaluated.evaluation is not None:
            self.latest = evaluated.evaluation
            write_report(self._folder, self.report)
