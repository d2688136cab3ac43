"""What all tests share: real data, thread and hypothesis limits, shape checks, and small inputs made on the spot."""

import logging
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import jaxtyping
from beartype import BeartypeConf, beartype
from hypothesis import settings

# An int will do where a float is asked for (PEP 484). jaxtyping wants the checker's name, so it gets a module to live in.
checker = ModuleType("restore_type_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules[checker.__name__] = checker

# Shapes in annotations are checked while the tests run (but not in restore.training, whose Watcher is a Protocol, which
# beartype cannot check without @runtime_checkable, and which names no shapes). This must come before any of these modules is imported.
SHAPE_CHECKED = [
    "restore.fourier",
    "restore.ctf",
    "restore.potential",
    "restore.network",
    "restore.preprocessing",
    "restore.patches",
    "restore.inference",
    "restore.denoising",
    "restore.movies",
    "restore.simulation",
    "restore.evaluation",
    "restore.extraction",
    *(f"restore.report.{name}" for name in ("frame", "rays", "shading", "surface", "sticks", "region", "gallery")),
    "restore.reconstruction",
]
jaxtyping.install_import_hook(SHAPE_CHECKED, f"{checker.__name__}.check")

import pytest  # noqa: E402
import torch  # noqa: E402

from restore.patches import PatchWriter  # noqa: E402
from restore.preprocessing import Grid, Prepared, Recipe  # noqa: E402

torch.set_num_threads(1)  # small tensors: a second thread only waits for the first
settings.register_profile("restore", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("restore")


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
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data is absent: there is no folder {folder}")
    return folder


def half_pair(shape, noise, seed, power=4.0):
    """Two halves of one field: a smooth signal of unit variance, and independent white noise of this deviation."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    ky, kx = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    smooth = torch.fft.irfft2(white * torch.exp(-((16 * torch.hypot(ky, kx)) ** 2) / power), s=shape)
    signal = (smooth - smooth.mean()) / smooth.std()
    return tuple(signal + noise * torch.randn(shape, generator=generator) for _ in range(2))


def as_prepared(image, pixel_size_A=2.0):
    """An image, as if the road of preprocessing had ended in it."""
    shape = tuple(image.shape)
    grid = Grid(shape, pixel_size_A, shape, (pixel_size_A, pixel_size_A))
    return Prepared(image, grid, 1.0, 0.0, 0)


@pytest.fixture
def make_patches(tmp_path):
    """A function that writes a patch file of synthetic pairs and returns its path."""

    def make(shapes=((64, 64),) * 4, noise=1.0, seed=0, dtype="float32", name="patches.hdf", recipe=None):
        path = tmp_path / name
        with PatchWriter(path, recipe or Recipe(phase_flip=False), dtype) as writer:
            for index, shape in enumerate(shapes):
                even, odd = half_pair(shape, noise, 1000 * seed + index)
                writer.add(f"mic{index}.mrc", as_prepared(even), as_prepared(odd))
            writer.finish({"made": "by a test"})
        return path

    return make
