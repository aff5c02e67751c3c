"""Entry point of `python -m marl.evaluate.viewer`; the command itself is `command`."""

import sys

from marl.evaluate.viewer.command import main

sys.exit(main())
