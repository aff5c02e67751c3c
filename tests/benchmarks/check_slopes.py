"""`python -m tests.benchmarks.check_slopes`: does what first-order learners climb rise in truth?

For every knob of the stored tuned rule: the slope of the exact clouds' mean reward (difference of
whole days, the knob a little up and down), beside the gradient that a learner gets, summed over
windows that begin at exact states, on the staircase with rounded edges and on its average line
(which has the better slopes and was worse to learn on: docs/differentiable.md). One row a knob, in
thousandths of reward per unit of action; the last lines tell how well each points the same way.
Under a minute a scenario on one core, needs the stored workload and baselines.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from marl.cloud.actions import ROWS, SIZES, WIDTH
from marl.cloud.dynamics import Cloud
from marl.cloud.rounding import SMOOTH, Rounding, Smooth
from marl.cloud.types import SERVICES, CloudState
from marl.envs.advance import Advance, advanced, exact
from marl.envs.batched import BatchedEnv
from marl.evaluate.baselines import BaselineSet
from marl.evaluate.policies import BASELINES_FILE, departure
from marl.evaluate.scorers import EpisodeScorer
from marl.evaluate.world import TRAINING, stored_world
from marl.train.smooth_rollout import CloudRollout

MOVED = 0.1  # of an action's range of 2, up and down


def exact_slopes(env: BatchedEnv, rule: Tensor) -> Tensor:
    """(WIDTH,) difference quotients of the mean reward of whole episodes."""
    rows = rule.repeat(2 * WIDTH, 1)
    place = torch.arange(WIDTH)
    rows[place, place] += MOVED
    rows[WIDTH + place, place] -= MOVED
    rows = rows.clamp(-1.0, 1.0)
    scored = torch.tensor(EpisodeScorer(env, 0).constant(rows.double().numpy())[:, 0])
    ups, downs = rows[place, place], rows[WIDTH + place, place]
    return (scored[:WIDTH] - scored[WIDTH:]) / (ups - downs)


def learned_slopes(
    env: BatchedEnv, rule: Tensor, rounding: Rounding, window: int, gamma: float
) -> Tensor:
    """(WIDTH,) gradient of a constant action, windows begun along the rule's exact days."""

    def smooth(
        state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
    ) -> tuple[CloudState, Tensor, Tensor, Tensor]:
        return advanced(state, actions, weather, told, cloud, rounding)

    def begun(state: CloudState, step: int, advance: Advance) -> CloudRollout:
        return CloudRollout(env.cloud, env.weather, state, step, advance)

    held = rule[:, None].expand(-1, env.num_envs)
    state, slopes = env.cloud_state, torch.zeros(WIDTH)
    for start in range(0, env.episode_steps, window):
        moved = torch.zeros_like(held, requires_grad=True)
        rollout, earned = begun(state, start, smooth), torch.zeros(())
        for t in range(window):
            rollout.fade(gamma if t else 0.0)
            earned = earned + rollout.advance(by_agent(held + moved), 1).sum()
        earned.backward()  # type: ignore[no-untyped-call]
        slopes += cast(Tensor, moved.grad).sum(1) / (env.num_envs * env.episode_steps)
        played = begun(state, start, exact)
        with torch.no_grad():
            played.advance(by_agent(held), window)
        state = played.clouds
    return slopes


def by_agent(joined: Tensor) -> dict[str, Tensor]:
    """(WIDTH, B) knobs → agent → (B, A_i)."""
    parts = joined.split(SIZES)
    return {agent: part.t() for agent, part in zip(SERVICES, parts, strict=True)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("STRATOFORM_DATA", "data"))
    parser.add_argument("--scenario", default=TRAINING)
    parser.add_argument("--clouds", type=int, default=64)
    parser.add_argument("--window", type=int, default=36)
    parser.add_argument("--gamma", type=float, default=0.98)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = stored_world(options.data, 288)
    text = (options.data / BASELINES_FILE).read_text(encoding="utf-8")
    action = departure(BaselineSet.model_validate_json(text))
    rule = torch.tensor([knob for agent in SERVICES for knob in action[agent]])
    env = cast(BatchedEnv, world.make_env(options.scenario, "train")(options.clouds, 0))
    exact = exact_slopes(env, rule).float()
    env.reset(seed=0)
    ways = {
        name: learned_slopes(env, rule, rounding, options.window, options.gamma)
        for name, rounding in (("staircase", SMOOTH), ("straight", Smooth(edges=0)))
    }
    sys.stdout.write(f"{'knob':29}{'action':>7}{'exact':>9}{'staircase':>11}{'straight':>10}\n")
    for name, at in ROWS.items():
        told = "".join(
            f"{slope[at] * 1e3:{width}.2f}"
            for slope, width in zip((exact, *ways.values()), (9, 11, 10), strict=True)
        )
        sys.stdout.write(f"{name:29}{rule[at]:+7.2f}{told}\n")
    for name, slope in ways.items():
        # At a bound only the way back counts; what the exact clouds cannot feel tells nothing.
        kept = exact.abs() > 1e-4
        right = (torch.sign(slope) == torch.sign(exact))[kept].float().mean()
        ratio = np.median((slope / exact)[kept].numpy())
        sys.stdout.write(f"{name}: the same sign in {right:.0%}, median ratio {ratio:.2f}\n")


if __name__ == "__main__":
    main()
