"""What all tests share: real data, thread and hypothesis limits, shape checks, and small inputs
made on the spot.
"""

import logging
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import jaxtyping
from beartype import BeartypeConf, beartype
from hypothesis import settings

# An int will do where a float is asked for (PEP 484). jaxtyping wants the checker's name, so it
# gets a module to live in.
checker = ModuleType("restore_type_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules[checker.__name__] = checker

# Shapes in annotations are checked while the tests run (but not in restore.training, whose Watcher
# is a Protocol, which
# beartype cannot check without @runtime_checkable, and which names no shapes). This must come
# before any of these modules is imported.
SHAPE_CHECKED = [
    "restore.fourier",
    "restore.ctf",
    "restore.preprocessing",
    "restore.model.unet",
    "restore.model.waunet",
    "restore.model.inference",
    "restore.training.patches",
    "restore.denoising",
    "restore.evaluation",
    "restore.maps",
    "restore.movies",
    "restore.particles",
    "restore.simulation",
    *(
        f"restore.report.{name}"
        for name in ("frame", "rays", "shading", "surface", "sticks", "region", "gallery")
    ),
]
jaxtyping.install_import_hook(SHAPE_CHECKED, f"{checker.__name__}.check")

import pytest  # noqa: E402
import torch  # noqa: E402
from folders import SHARED  # noqa: E402
from half_pairs import as_prepared, half_pair  # noqa: E402
from oracles import NEEDS_ORACLES, failed_if_absent  # noqa: E402

from restore.preprocessing import Recipe  # noqa: E402
from restore.training.patches import PatchWriter  # noqa: E402

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs make in the background, or nohup, has it ignored by all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

torch.set_num_threads(1)  # small tensors: a second thread only waits for the first
settings.register_profile("restore", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("restore")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Skips of tests that lack what they compare with are failures where it must be there."""
    return failed_if_absent((yield), bool(os.environ.get(NEEDS_ORACLES)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    """The same of whole modules."""
    return failed_if_absent((yield), bool(os.environ.get(NEEDS_ORACLES)))


@pytest.fixture(autouse=True)
def logging_as_found() -> Generator[None]:
    """Commands that a test calls set logging up; it is left as it was found."""
    root, own = logging.getLogger(), logging.getLogger("restore")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"real data is absent: there is no folder {SHARED}")
    return SHARED


@pytest.fixture
def make_patches(tmp_path):
    """A function that writes a patch file of synthetic pairs and returns its path."""

    def make(
        shapes=((64, 64),) * 4, noise=1.0, seed=0, dtype="float32", name="patches.hdf", recipe=None
    ):
        path = tmp_path / name
        with PatchWriter(path, recipe or Recipe(phase_flip=False), dtype) as writer:
            for index, shape in enumerate(shapes):
                even, odd = half_pair(shape, noise, 1000 * seed + index)
                writer.add(f"mic{index}.mrc", as_prepared(even), as_prepared(odd))
            writer.finish({"made": "by a test"})
        return path

    return make
