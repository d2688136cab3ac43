"""``restore simulate``: micrographs with known truth."""

import argparse
from pathlib import Path

from restore.cli.options import add_settings, settings_from
from restore.cli.progress import LateBar
from restore.simulation.session import simulate
from restore.simulation.settings import SimulationSettings


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore simulate``."""
    parser.add_argument("folder", type=Path, help="folder to write the session to")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing session")
    add_settings(parser, "settings", SimulationSettings)


def run(namespace: argparse.Namespace) -> int:
    """Write the session; returns the exit status."""
    settings = settings_from(namespace, SimulationSettings)
    with LateBar("micrographs", "simulating") as bar:
        table = simulate(settings, namespace.folder, namespace.overwrite, bar.to)
    print(table)
    return 0
