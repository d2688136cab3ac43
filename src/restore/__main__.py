"""``python -m restore``, as torchrun starts it."""

import sys

from restore.cli.startup import main

sys.exit(main())
