"""`python -m tests.benchmarks.check_smooth`: how true the smooth clouds are, and what they cost.

Prints, for every scenario on the toy demand and three constant rules, the exact return of a day and
by how much the smooth one differs (mean over clouds, and the cloud that differs most); then seconds
for a day forward in exact and smooth rounding, and forward and backward, one thread. The exit
status is 1 if a mean differs by more than 3 %. Some minutes on one core.
"""

import argparse
import sys
import time

import torch
from torch import Tensor

from marl.cloud.rounding import EXACT, SMOOTH, Rounding
from marl.cloud.smooth import episode_return
from marl.cloud.weather import Weather
from marl.envs.scenarios import SCENARIOS
from tests.unit.marl.cloud.test_smooth import rules, weather_of

BAR = 0.03
RULES = ("engineer", "static plan", "tuned")


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", type=int, default=64)
    parser.add_argument("--steps", type=int, default=288)
    options = parser.parse_args()
    torch.set_num_threads(1)
    worst = 0.0
    sys.stdout.write("| scenario | " + " | ".join(RULES) + " |\n|---|---|---|---|\n")
    for name in SCENARIOS:
        cloud, weather = weather_of(name, options.clouds, options.steps)
        actions = rules().repeat_interleave(options.clouds, 1)
        with torch.no_grad():
            exact, smooth = (
                episode_return(cloud, weather.repeated(3), actions, rounding=rounding)[0]
                for rounding in (EXACT, SMOOTH)
            )
        exact, smooth = exact.view(3, -1), smooth.view(3, -1)
        off = smooth.mean(1) / exact.mean(1) - 1
        most = (smooth / exact - 1).abs().amax(1)
        worst = max(worst, float(off.abs().max()))
        cells = [
            f"{e:.3f} {100 * o:+.1f} % ({100 * m:.0f})"
            for e, o, m in zip(exact.mean(1).tolist(), off.tolist(), most.tolist(), strict=True)
        ]
        sys.stdout.write(f"| `{name}` | " + " | ".join(cells) + " |\n")
        sys.stdout.flush()
    sys.stdout.write(f"worst mean: {100 * worst:.1f} % of a bar of {100 * BAR:.0f} %\n\n")
    _cost()
    return int(worst > BAR)


def _cost() -> None:
    """Seconds a day of 16 and 256 clouds."""
    sys.stdout.write(
        "| clouds | exact, s | smooth, s | smooth and backward, s |\n|---|---|---|---|\n"
    )
    for clouds in (16, 256):
        cloud, weather = weather_of("mixed", clouds, 288)

        def played(rounding: Rounding, weather: Weather = weather, clouds: int = clouds) -> float:
            actions: Tensor = rules()[:, :1].expand(-1, clouds)
            begun = time.process_time()
            with torch.no_grad():
                episode_return(cloud, weather, actions, rounding=rounding)  # noqa: B023
            return time.process_time() - begun

        actions = rules()[:, :1].repeat(1, clouds).requires_grad_()
        exact, smooth = (min(played(rounding) for _ in range(3)) for rounding in (EXACT, SMOOTH))
        both = []
        for _ in range(2):
            begun = time.process_time()
            returned, _ = episode_return(cloud, weather, actions)
            returned.mean().backward()
            both.append(time.process_time() - begun)
        sys.stdout.write(f"| {clouds} | {exact:.2f} | {smooth:.2f} | {min(both):.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
