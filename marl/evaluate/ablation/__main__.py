"""`python -m marl.evaluate.ablation`; everything is in `command`."""

import sys

from marl.evaluate.ablation.command import main

if __name__ == "__main__":
    sys.exit(main())
