"""Options for the contrast transfer function of images that no table lists."""

import argparse

from restore.errors import UsageError, UserError
from restore.micrograph import CTFParameters


def add_ctf_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the CTF of images, for models that need flipped phases."""
    group = parser.add_argument_group("CTF of images (a table holds its own)")
    group.add_argument(
        "--defocus",
        type=float,
        nargs="+",
        metavar="X",
        help="underfocus, Å: one value, or U, V and the angle of U in degrees",
    )
    for name, words in (
        ("voltage", "acceleration voltage, kV"),
        ("spherical_aberration", "spherical aberration, mm"),
        ("amplitude_contrast", "amplitude contrast, 0 to 1"),
        ("phase_shift", "phase shift of a phase plate, degrees (default: 0)"),
    ):
        group.add_argument(f"--{name}", type=float, metavar="X", help=words)


def typed_ctf(namespace: argparse.Namespace) -> CTFParameters | None:
    """The CTF in the options, or None. Raises UserError if a part is missing or impossible."""
    names = ("defocus", "voltage", "spherical_aberration", "amplitude_contrast")
    missing = [f"--{name}" for name in names if getattr(namespace, name) is None]
    if len(missing) == len(names) and namespace.phase_shift is None:
        return None
    defocus = namespace.defocus
    if defocus is not None and len(defocus) not in (1, 3):
        raise UsageError(
            f"--defocus has {len(defocus)} values", do="give one, or U, V and the angle"
        )
    if missing or defocus is None:
        raise UsageError("the CTF is incomplete", do=f"give {', '.join(missing)} as well")
    u_A, v_A, angle_deg = defocus if len(defocus) == 3 else (defocus[0], defocus[0], 0.0)
    try:
        return CTFParameters(
            u_A,
            v_A,
            angle_deg,
            namespace.voltage,
            namespace.spherical_aberration,
            namespace.amplitude_contrast,
            namespace.phase_shift or 0.0,
        )
    except ValueError as error:
        raise UserError(f"the CTF is impossible: {error}") from None
