"""An empty torchvision, for programs that import it and, in what the benchmark runs of them, never
call it.

There is no build of it for a PyTorch without CUDA. Importing this module first is enough; whatever
of it is then called says so.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn


class _Absent(MetaPathFinder, Loader):
    """Finds torchvision and every module in it, all empty."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """The module's specification, where it is torchvision's."""
        return (
            ModuleSpec(fullname, self, is_package=True)
            if fullname.split(".", maxsplit=1)[0] == "torchvision"
            else None
        )

    def exec_module(self, module: ModuleType) -> None:
        """Give the module any name that is asked for: something that refuses to be called."""
        module.__version__ = "0.0.0"

        def missing(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)

            def refuse(*_: Any, **__: Any) -> NoReturn:
                raise NotImplementedError(
                    f"{module.__name__}.{name} is not there: this torchvision is a stand-in"
                )

            return refuse

        module.__getattr__ = missing


sys.meta_path.insert(0, _Absent())
