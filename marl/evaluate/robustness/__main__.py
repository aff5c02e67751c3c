"""`python -m marl.evaluate.robustness`: see `command`."""

import sys

from marl.evaluate.robustness.command import main

if __name__ == "__main__":
    sys.exit(main())
