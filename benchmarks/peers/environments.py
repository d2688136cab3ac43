"""The environments of other programs: made once with venv and pip, each in a folder of its own,
never restore's.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch==2.13.0"


class NotRunError(Exception):
    """A program that could not be installed, or did not finish; the message is the reason."""


@dataclass(frozen=True)
class Environment:
    """What one program needs; ``bare`` packages are installed without what they ask for."""

    name: str
    packages: tuple[str, ...]
    bare: tuple[str, ...] = ()


BM3D = Environment("bm3d", ("bm3d==4.0.3", "numpy<2.3"))
"""For non-commercial use only, by its licence. It calls numpy.trapz, which newer versions of numpy
have not.
"""

TOPAZ = Environment(
    "topaz",
    (
        TORCH,
        "numpy",
        "pandas",
        "scikit-learn",
        "scipy",
        "tqdm",
        "h5py",
        "psutil",
        "pillow",
        "future",
        "setuptools<81",
    ),
    ("topaz-em==0.3.20",),
)

CAREAMICS = Environment(
    "careamics",
    (
        TORCH, "lightning>=2.2,!=2.6.2,!=2.6.3,<=2.6.6", "matplotlib", "numpy<=2.4.6", "pillow<=13",
        "psutil", "microssim",
        "pydantic>=2.11,<=2.14.1", "pyyaml", "scikit-image<=0.26.0", "tifffile<=2026.3.3",
        "torchmetrics<1.9", "zarr>=3,<4",
        "bioimageio-core>=0.9,<=0.11",
    ),
    ("careamics==0.3.5",),
)  # fmt: skip
"""CAREamics asks for a torchvision that no build of this PyTorch without CUDA fits;
`absent_torchvision` stands in.
"""


def python_of(environment: Environment, folder: Path) -> Path:
    """The interpreter of an environment, which is made here where it is not there yet, or not as it
    should be.
    """
    place = folder / environment.name
    done, wanted = place / "installed.json", [environment.packages, environment.bare]
    if not (done.exists() and json.loads(done.read_text()) == json.loads(json.dumps(wanted))):
        print(f"making {place}", file=sys.stderr, flush=True)
        _call([sys.executable, "-m", "venv", "--clear", str(place)])
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet"]
        _call([*pip, *environment.packages])
        if environment.bare:
            _call([*pip, "--no-deps", *environment.bare])
        done.write_text(json.dumps(wanted))
    return place / "bin/python"


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = (
            [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            or done.stderr.splitlines()
            or [""]
        )
        raise NotRunError(f"{Path(command[0]).name} {' '.join(command[1:4])}: {errors[-1]}")
