"""`python -m tests.benchmarks`: every benchmark in turn, each in a process of its own.

Each prints a table of ours against a peer measured in the same run; none asserts, because speed on
a shared machine is a ratio to read, not a test to pass.
"""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run them all; the exit status is the number that failed to run."""
    failed = 0
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        sys.stdout.write(f"\n== {path.stem}\n")
        sys.stdout.flush()
        failed += (
            subprocess.run([sys.executable, "-m", f"tests.benchmarks.{path.stem}"]).returncode != 0
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
