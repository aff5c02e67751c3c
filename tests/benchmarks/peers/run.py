"""Starting workers: BenchMARL in a folder of its own, one training run after another."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.cloud_peers import install
from tests.benchmarks.peers.spread import Budget

ROOT: Final = Path(__file__).parents[3]
ALGORITHMS: Final = ("maddpg", "mappo", "qmix")
SIDES: Final = ("ours", "benchmarl")
# The newest TorchRL that this newest BenchMARL imports with; torch and numpy are the project's own,
# so that both sides and VMAS run on the same ones.
PACKAGES: Final = (
    "--no-deps",
    "benchmarl==1.5.1",
    "torchrl==0.10.1",
    "tensordict==0.10.0",
    "vmas==1.5.2",
    "gym==0.26.2",
    "gym-notices==0.0.8",
    "pyglet==1.5.27",
    "hydra-core==1.3.8",
    "omegaconf==2.3.1",
    "antlr4-python3-runtime==4.9.3",
    "cloudpickle==3.1.3",
    "orjson==3.13.0",
    "pyvers==0.2.3",
)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class WorkerError(RuntimeError):
    """A peer that cannot be installed, or a run that ended without an answer."""


def installed(folder: Path) -> Path:
    """Where the peer is below `folder`, installed if need be.

    Raises:
        WorkerError: it cannot be.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    problem = "there is no uv to install it with"
    if uv:
        problem = install("benchmarl", folder, uv, PACKAGES) or ""
    if problem:
        raise WorkerError(f"BenchMARL could not be installed: {problem}")
    return (folder / "benchmarl").resolve()


def train(
    side: str,
    algorithm: str,
    seed: int,
    budget: Budget,
    peer: Path,
    *,
    is_judged: bool = True,
    changes: dict[str, Any] | None = None,
    curve_every: int = 0,
) -> dict[str, Any]:
    """One run in a process of its own; the worker's answer.

    Args:
        side: of SIDES.
        algorithm: of ALGORITHMS.
        seed: of the run.
        budget: what both sides share.
        peer: from `installed`.
        is_judged: play the last policy, too.
        changes: to our training settings, and below "learner" to the learner's.
        curve_every: iterations between returns on the way, ours only; 0 for none.

    Raises:
        WorkerError: it ended without an answer.
    """
    request = {
        "side": side,
        "algorithm": algorithm,
        "seed": seed,
        "budget": dataclasses.asdict(budget),
        "is_judged": is_judged,
        "changes": changes or {},
        "curve_every": curve_every,
    }
    paths: Sequence[str] = (str(peer), str(ROOT))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peers.worker"],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )
    if done.returncode != 0:
        raise WorkerError(
            f"{side} {algorithm} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
