"""OpenVINO, imported without its telemetry.

When imported, OpenVINO sends its version, and an identifier kept in the user's home, to an
analytics host, from a child process that hangs if the host does. Without its telemetry package,
OpenVINO uses a stub of its own.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Generator[None]:
    """A block within which OpenVINO's telemetry package appears not to be installed."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    imported = {
        name: modules.pop(name) for name in list(modules) if name.partition(".")[0] == _TELEMETRY
    }
    modules[_TELEMETRY] = None
    try:
        yield
    finally:
        del modules[_TELEMETRY]
        modules.update(imported)


with _without_telemetry():
    import openvino
    from openvino import opset13 as operations

__all__ = ["openvino", "operations"]
