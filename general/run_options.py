"""The options of a run of the general model's training, and what a later sitting changes."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fields_pool import PoolSettings, training_files
from restore.simulation.field_settings import FieldRanges


def pool_settings(chosen: argparse.Namespace) -> PoolSettings:
    """The pool that was asked for."""
    ranges = FieldRanges(
        border_share=0.0, beam_edge_share=0.01, unflipped_share=chosen.unflipped_share
    )
    return PoolSettings(fields=chosen.pool, at_once=chosen.least, seed=chosen.seed, ranges=ranges)


def recorded_options(chosen: argparse.Namespace) -> dict[str, Any]:
    """The options that the model depends on, as its card has them: all but how long a sitting lasts
    and how much of the machine it takes.
    """
    options = {
        "pool": asdict(pool_settings(chosen)),
        "specimens": [path.name for path in training_files(chosen.specimens)],
        "window_px": chosen.window,
        "batch": chosen.batch,
        "seed": chosen.seed,
        "rate": chosen.rate,
        "fine_share": chosen.fine_share,
        "average": chosen.average,
        "unusual": chosen.unusual,
        "noise_alone": chosen.noise_alone,
        "bf16": chosen.bf16,
    }
    return json.loads(json.dumps(options))


def changed_options(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The options that two cards have different values of, as (before, now); those of records by
    names such as "pool.fields". What only one of them has is not compared.
    """
    earlier, later = _flat(before), _flat(now)
    return {
        name: (earlier[name], later[name])
        for name in earlier.keys() & later.keys()
        if earlier[name] != later[name]
    }


def _flat(options: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return flat


def parsed(description: str | None, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the run")
    parser.add_argument(
        "--specimens", type=Path, required=True, help="folder of PDB and mmCIF files"
    )
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="of training in all, over all sittings"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", type=int, default=600, help="fields that are kept")
    parser.add_argument("--least", type=int, default=150, help="fields to begin with")
    parser.add_argument("--duty", type=float, default=0.2, help="share of a core for simulating on")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--window", type=int, default=128, help="side of a window, pixels")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument(
        "--average", type=float, default=0.998, help="decay of the average of weights"
    )
    parser.add_argument(
        "--fine-share", type=float, default=0.15, help="of the loss, with fine rings weighed up"
    )
    parser.add_argument(
        "--unusual", type=float, default=0.3, help="share taken of fields with unusual signal"
    )
    parser.add_argument(
        "--noise-alone", type=float, default=0.0, help="share of windows of noise alone"
    )
    parser.add_argument(
        "--unflipped-share",
        type=float,
        default=FieldRanges.unflipped_share,
        help="share of fields whose phases are not flipped",
    )
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--change",
        action="store_true",
        help="go on with other options than before, which the model's card then lists",
    )
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
