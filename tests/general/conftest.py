"""The scripts that make and examine the general model, which are no package."""

import sys

import numpy as np
import pytest
from folders import ROOT

from restore.simulation.assemblies import Particle
from restore.simulation.scatterers import Scatterers

FOLDER = ROOT / "general"


@pytest.fixture(scope="module")
def scripts():
    """Pool and learning: modules that find each other beside themselves."""
    sys.path.insert(0, str(FOLDER))
    try:
        import fields_pool
        import learning

        yield fields_pool, learning
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def train(scripts):
    """The script that trains."""
    import train

    return train


@pytest.fixture(scope="module")
def particles():
    rng = np.random.default_rng(5)
    place = rng.normal(0, 20.0, (4000, 3)).astype(np.float32)
    cloud = Scatterers(place, np.full(4000, 2.4, np.float32), np.ones(4000, np.float32))
    return [Particle("blob", cloud, (cloud.where(np.arange(500)),))]
