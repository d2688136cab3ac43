"""A RELION job's folder: the files through which RELION and a program that it runs exchange their
status.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from restore.errors import UserError
from restore.io.star import Block, StarFile, read_star, write_star

ABORT_NOW = "RELION_JOB_ABORT_NOW"
OUTPUT_NODES = "RELION_OUTPUT_NODES.star"
_PIPELINES = ("job_pipeline.star", "default_pipeline.star")


@dataclass(frozen=True)
class NodeKinds:
    """RELION's names for a kind of node: a number in 3.1, labels in 5 and 4; and the start of the
    labels of inputs of this kind.
    """

    number: str
    label_5: str
    label_4: str
    beginnings: tuple[str, ...]


MICROGRAPH_KINDS = NodeKinds(
    "1",
    "MicrographGroupMetadata.star.relion",
    "MicrographsData.star.relion",
    ("MicrographGroup", "MicrographsData", "TomogramGroup"),
)
"""STAR files of micrographs, or of tilt series."""

PARTICLE_KINDS = NodeKinds(
    "3",
    "ParticleGroupMetadata.star.relion",
    "ParticlesData.star.relion",
    ("ParticleGroup", "ParticlesData"),
)
"""STAR files of particles."""

_IN_A_JOB = re.compile(r"[^/]+/job\d{3,}/")


class Ending(StrEnum):
    """How a job ended: the name of the empty file that tells RELION."""

    SUCCESS = "RELION_JOB_EXIT_SUCCESS"
    FAILURE = "RELION_JOB_EXIT_FAILURE"
    ABORTED = "RELION_JOB_EXIT_ABORTED"


def begin(folder: Path) -> None:
    """Make the job's folder if it does not exist, and remove an earlier run's files about its end
    and its output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*Ending, OUTPUT_NODES):
        (folder / name).unlink(missing_ok=True)


def end(folder: Path, ending: Ending) -> None:
    """Tell RELION how the job ended. A request to abort has been obeyed, or came too late, and is
    removed.
    """
    (folder / ending).touch()
    (folder / ABORT_NOW).unlink(missing_ok=True)


def abort_is_asked(folder: Path) -> bool:
    """Whether RELION asks the job to stop. RELION removes the file before it starts a job again."""
    return (folder / ABORT_NOW).exists()


def has_output(folder: Path) -> bool:
    """Whether the job has declared an output to RELION."""
    return (folder / OUTPUT_NODES).exists()


def write_output_node(
    folder: Path, star: Path, source: str, kinds: NodeKinds = MICROGRAPH_KINDS
) -> None:
    """Declare to RELION that ``star``, a STAR file made from ``source`` and of the same kind, is
    the job's output.

    RELION 3.1 identifies kinds of nodes by number, RELION 4 and 5 by name: :func:`node_kind`.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    column, kind = node_kind((folder / _PIPELINES[0], Path(_PIPELINES[1])), source, kinds)
    block = Block("output_nodes", ("rlnPipeLineNodeName", column), ((str(star), kind),))
    write_star(folder / OUTPUT_NODES, StarFile((block,)))


def node_kind(
    pipelines: Sequence[Path], source: str, kinds: NodeKinds = MICROGRAPH_KINDS
) -> tuple[str, str]:
    """The column and the value by which the version of RELION that wrote one of these pipelines
    identifies a STAR file of this kind (by default, of micrographs).

    Numbers in the pipeline mean RELION 3.1 (``rlnPipeLineNodeType``, 1 for micrographs). Otherwise
    the label of the input is taken (``rlnPipeLineNodeTypeLabel``) or, if it has none, that of
    RELION 5 (STAR files of version 50001) or 4. The first pipeline that can be read is used;
    without any, RELION 5 is assumed.
    """
    for path in pipelines:
        try:
            star = read_star(path)
        except UserError:  # not there, or RELION is writing it at this moment
            continue
        if any("rlnPipeLineProcessType" in block.columns for block in star.blocks):
            return "rlnPipeLineNodeType", kinds.number
        new = any("version 5" in block.before for block in star.blocks)
        label = kinds.label_5 if new else kinds.label_4
        return "rlnPipeLineNodeTypeLabel", _label_of(source, star, kinds) or label
    return "rlnPipeLineNodeTypeLabel", kinds.label_5


def _label_of(source: str, star: StarFile, kinds: NodeKinds) -> str | None:
    """The label of the node ``source``, if it is a node of this kind."""
    nodes = star.block("pipeline_nodes")
    if nodes is None or not {"rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel"} <= set(
        nodes.columns
    ):
        return None
    named = zip(
        nodes.column("rlnPipeLineNodeName"), nodes.column("rlnPipeLineNodeTypeLabel"), strict=True
    )
    labels = (
        label for name, label in named if name == source and label.startswith(kinds.beginnings)
    )
    return next(labels, None)


def names_within_job(names: Sequence[str]) -> list[str]:
    """The names as RELION's own jobs repeat them in their folders: without the folder of the job
    that made the files.

    RELION finds the coordinates and particles of a micrograph by this part of its name, so those
    picked on the denoised image apply to the raw one as well. If two micrographs would get the same
    name, all keep their full names.

    >>> names_within_job(["MotionCorr/job002/Movies/a.mrc", "Movies/b.mrc"])
    ['Movies/a.mrc', 'Movies/b.mrc']
    >>> names_within_job(["MotionCorr/job002/Movies/a.mrc", "MotionCorr/job007/Movies/a.mrc"])
    ['MotionCorr/job002/Movies/a.mrc', 'MotionCorr/job007/Movies/a.mrc']
    """
    short = [_IN_A_JOB.sub("", name, count=1) if _IN_A_JOB.match(name) else name for name in names]
    return short if len(set(short)) == len(short) else list(names)
