"""``python -m restore``, as torchrun starts it."""

import sys

from restore.cli.main import main

sys.exit(main())
