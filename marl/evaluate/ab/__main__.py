"""Entry point of `python -m marl.evaluate.ab`; the command itself is `command`."""

import sys

from marl.evaluate.ab.command import main

sys.exit(main())
