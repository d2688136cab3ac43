"""The contents of the ice in a field: particles, mixtures, filaments, vesicles, lattices,
aggregates, or nothing.
"""

from collections.abc import Sequence

import numpy as np

from restore.simulation.assemblies import (
    Particle,
    about_z,
    broken,
    clustered,
    random_rotation,
    ring_of,
)
from restore.simulation.extended import (
    Helix,
    filament,
    lattice_places,
    membrane_protein_sites,
    vesicle,
)
from restore.simulation.field_settings import FieldSettings
from restore.simulation.scatterers import Scatterers, joined

MOST_POINTS = 3_000_000
"""The largest number of points in one field, which limits its computing time."""

_LARGEST_SUBUNIT = 6_000
_Canvas = tuple[float, float]


def clouds_in_field(
    settings: FieldSettings,
    particles: Sequence[Particle],
    canvas: tuple[int, int],
    rng: np.random.Generator,
) -> list[Scatterers]:
    """Everything that scatters in a canvas of pixels of the settings' size, in place."""
    extent_A = (
        canvas[0] * settings.microscope.pixel_size_A,
        canvas[1] * settings.microscope.pixel_size_A,
    )
    if settings.content == "empty":
        return []
    if settings.content == "filaments":
        return _filaments(particles, settings.crowding, extent_A, rng)
    if settings.content == "vesicles":
        return _vesicles(particles, settings.crowding, extent_A, rng)
    if settings.content == "lattice":
        return _lattice(particles, extent_A, rng)
    number = int(rng.integers(2, 5)) if settings.content == "mixture" else 1
    chosen = [_some_particle(particles, rng) for _ in range(number)]
    if settings.content == "aggregates":
        return _aggregates(chosen[0], settings.crowding, extent_A, rng)
    return _side_by_side(chosen, settings, extent_A, rng)


def _some_particle(particles: Sequence[Particle], rng: np.random.Generator) -> Scatterers:
    """A particle itself, one of its chains, or an artificial ring of such chains."""
    particle = particles[int(rng.integers(len(particles)))]
    large = [chain for chain in particle.chains if len(chain) > 400]
    kind = rng.random()
    if kind < 0.6 or not large:
        return particle.whole
    chain = large[int(rng.integers(len(large)))]
    if kind < 0.68 and len(chain) > 2500:
        return chain
    fold = int(rng.integers(1, 9))
    dihedral = bool(rng.random() < 0.5)
    if fold == 1 and not dihedral:
        return chain
    return ring_of(chain, fold, dihedral, rng)


def _side_by_side(
    chosen: Sequence[Scatterers],
    settings: FieldSettings,
    extent_A: _Canvas,
    rng: np.random.Generator,
) -> list[Scatterers]:
    """Particles at random positions, with a density given by the crowding; some of them broken."""
    clouds: list[Scatterers] = []
    radius_A = float(np.mean([0.8 * cloud.radius_A for cloud in chosen]))
    places = _scattered(settings.crowding, radius_A, extent_A, rng)
    points = 0
    for place_A in places:
        cloud = chosen[int(rng.integers(len(chosen)))]
        if rng.random() < settings.broken_share:
            cloud = broken(cloud, float(rng.uniform(0.2, 0.9)), rng)
        points += len(cloud)
        if points > MOST_POINTS:
            break
        clouds.append(cloud.moved(random_rotation(rng), np.array([*place_A, 0.0])))
    return clouds


def _scattered(
    crowding: float, radius_A: float, extent_A: _Canvas, rng: np.random.Generator
) -> np.ndarray:
    """Positions xy of discs that hardly overlap; ``crowding`` is their number over that of the
    closest packing.
    """
    area_A2 = extent_A[0] * extent_A[1]
    wanted = max(round(0.9 * crowding * area_A2 / (np.pi * radius_A**2)), 1)
    nearest_A = radius_A * float(rng.uniform(1.2, 2.0))
    places = np.empty((0, 2))
    for candidate in rng.uniform(0, 1, (8 * wanted, 2)) * np.array(extent_A[::-1]):
        if len(places) == wanted:
            break
        if (np.hypot(*(places - candidate).T) >= nearest_A).all():
            places = np.concatenate([places, [candidate]])
    return places


def _aggregates(
    particle: Scatterers, crowding: float, extent_A: _Canvas, rng: np.random.Generator
) -> list[Scatterers]:
    """Clumps of a particle, whole and broken, that overlap; and a few single ones."""
    clouds: list[Scatterers] = []
    most = MOST_POINTS // max(len(particle), 1)
    for _ in range(int(rng.integers(1, 5))):
        centre_A = rng.uniform(0, 1, 2) * np.array(extent_A[::-1])
        number = min(int(rng.integers(3, 6 + round(60 * crowding))), max(most // 4, 3))
        for place_A in centre_A + clustered(number, particle.radius_A, rng):
            part = broken(particle, 0.6, rng) if rng.random() < 0.3 else particle
            clouds.append(part.moved(random_rotation(rng), np.array([*place_A, 0.0])))
    return clouds


def _filaments(
    particles: Sequence[Particle], crowding: float, extent_A: _Canvas, rng: np.random.Generator
) -> list[Scatterers]:
    """One to many helices of one subunit, each bent a little, lying nearly in the plane."""
    chains = [c for polymer in particles for c in polymer.chains if 60 < len(c) <= _LARGEST_SUBUNIT]
    subunit = chains[int(rng.integers(len(chains)))]
    subunit = subunit.moved(random_rotation(rng), np.zeros(3))
    width_A = float(np.percentile(np.abs(subunit.position_A[:, 0]), 95))
    height_A = 2 * float(np.percentile(np.abs(subunit.position_A[:, 2]), 95))
    per_turn = float(rng.uniform(1.5, 7.0))
    rise_A = max(height_A / per_turn, 1.2)
    radius_A = width_A * float(rng.uniform(0.6, 0.9 + 0.25 * per_turn))
    length_A = float(np.hypot(*extent_A))
    bend_A = float(np.exp(rng.uniform(np.log(1.5e3), np.log(1e6))))
    points = len(subunit) * length_A / rise_A
    rise_A *= max(points / (MOST_POINTS / 2), 1.0)
    polymer = filament(subunit, Helix(rise_A, 360.0 / per_turn, radius_A, length_A, bend_A))
    most = max(int(MOST_POINTS / len(polymer)), 1)
    clouds: list[Scatterers] = []
    for _ in range(min(int(1 + 12 * crowding * rng.random()), most)):
        place_A = rng.uniform(0, 1, 2) * np.array(extent_A[::-1])
        flip = np.diag([1.0, -1.0, -1.0]) if rng.random() < 0.5 else np.eye(3)
        turn = about_z(float(rng.uniform(0, 360))) @ flip
        clouds.append(polymer.moved(turn, np.array([*place_A, 0.0])))
    return clouds


def _vesicles(
    particles: Sequence[Particle], crowding: float, extent_A: _Canvas, rng: np.random.Generator
) -> list[Scatterers]:
    """Bilayers of many sizes and shapes, some with proteins in them."""
    clouds: list[Scatterers] = []
    protein = _some_particle(particles, rng)
    for _ in range(1 + int(rng.integers(0, 2 + round(12 * crowding)))):
        place_A = np.array([*(rng.uniform(-0.1, 1.1, 2) * np.array(extent_A[::-1])), 0.0])
        radius_A = float(np.exp(rng.uniform(np.log(120), np.log(1800))))
        radii_A = radius_A * rng.uniform(0.8, 1.25, 3)
        turn = random_rotation(rng)
        clouds.append(vesicle(radii_A, rng).moved(turn, place_A))
        if len(protein) < 30_000 and rng.random() < 0.5:
            for rotation, site_A in membrane_protein_sites(radii_A, int(rng.integers(1, 20)), rng):
                clouds.append(protein.moved(turn @ rotation, turn @ site_A + place_A))
    if rng.random() < 0.3 and len(protein) < 60_000:
        radius_A = 0.8 * protein.radius_A
        for place_A in _scattered(0.15 * crowding, radius_A, extent_A, rng):
            clouds.append(protein.moved(random_rotation(rng), np.array([*place_A, 0.0])))
    return clouds


def _lattice(
    particles: Sequence[Particle], extent_A: _Canvas, rng: np.random.Generator
) -> list[Scatterers]:
    """A crystalline patch of one particle, or of a chain, in one orientation."""
    chains = [
        c
        for particle in particles
        for c in (particle.whole, *particle.chains)
        if 400 < len(c) < 25_000
    ]
    motif = chains[int(rng.integers(len(chains)))]
    motif = motif.moved(random_rotation(rng), np.zeros(3))
    width_A = 2 * np.percentile(np.abs(motif.position_A[:, :2]), 97, axis=0)
    spacing_A = (
        float(width_A[0] * rng.uniform(0.9, 1.5)),
        float(width_A[1] * rng.uniform(0.9, 1.5)),
    )
    angle_deg = float(rng.choice([60.0, 90.0, 120.0, rng.uniform(70, 110)]))
    patch_A = float(rng.uniform(0.2, 0.75)) * max(extent_A)
    places = lattice_places(spacing_A, angle_deg, patch_A, float(rng.uniform(0, 4)), rng)
    most = MOST_POINTS // len(motif)
    middle_A = rng.uniform(0.2, 0.8, 2) * np.array(extent_A[::-1])
    inside = np.abs(places + middle_A - np.array(extent_A[::-1]) / 2) < np.array(extent_A[::-1]) / 2
    places = places[inside.all(axis=1)][:most]
    turned = [motif.moved(about_z(0.0), np.array([*(place + middle_A), 0.0])) for place in places]
    return turned or [joined([motif])]
