"""The command ``topaz``, on a machine that has no torchvision."""

import absent_torchvision  # noqa: F401
from topaz.main import main

main()
