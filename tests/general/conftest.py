"""The scripts that make and examine the general model, which are no package."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from folders import ROOT, importable

from restore.preprocessing import common_blank_pixels
from restore.simulation.assemblies import Particle
from restore.simulation.field import simulate_field
from restore.simulation.field_settings import FieldRanges, draw_field_settings
from restore.simulation.scatterers import Scatterers

FOLDER = ROOT / "general"


@pytest.fixture(scope="module")
def scripts():
    """Pool and learning: modules that find each other beside themselves."""
    with importable(FOLDER):
        import fields_pool
        import learning

        yield fields_pool, learning


@pytest.fixture(scope="module")
def train(scripts):
    """The script that trains."""
    import train

    return train


@pytest.fixture(scope="module")
def examine(scripts):
    """The script that examines, which puts the benchmarks' folder into the path itself."""
    path = list(sys.path)
    try:
        import examine

        yield examine
    finally:
        sys.path[:] = path


@pytest.fixture(scope="module")
def particles():
    rng = np.random.default_rng(5)
    place = rng.normal(0, 20.0, (4000, 3)).astype(np.float32)
    cloud = Scatterers(place, np.full(4000, 2.4, np.float32), np.ones(4000, np.float32))
    return [Particle("blob", cloud, (cloud.where(np.arange(500)),))]


@pytest.fixture(scope="module")
def film_field(particles):
    """A field with carbon along a side, which looks as if it held no data where there is no
    noise.
    """
    ranges = FieldRanges(film_share=0, crystals_share=0, border_share=0, beam_edge_share=0)
    drawn = draw_field_settings(ranges, 256, 1, 0)
    carbon = replace(drawn, content="particles", film="carbon", film_share=0.3)
    field = simulate_field(carbon, particles)
    assert common_blank_pixels([field.full, field.even, field.odd]) is None
    assert common_blank_pixels([field.truth]) is not None
    return field
