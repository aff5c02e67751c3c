"""Model-predictive control: the clairvoyant's planner on a forecast, planned anew every hour.

Certainty equivalence in a receding horizon (Rawlings, Mayne and Diehl, "Model Predictive Control",
2nd ed. 2017, ch. 1): forecast, plan, act on the plan's first decision, repeat. The forecast is the
one that agents are shown (`marl.cloud.foresight`), times a tuned safety margin; everything else is
taken to stay as it was measured last. It is one controller that sees the whole state and knows the
simulator's dynamics: more than any agent here, and any real team, has. Planning is `clairvoyant`'s.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.foresight import AHEAD, FORESIGHT
from marl.cloud.types import KINDS, RESOURCES, SERVICES, WORK
from marl.cloud.weather import Weather, row_shapes
from marl.envs.batched import BatchedEnv as CloudEnv
from marl.evaluate.baselines import JointAction, Trial, TunedBaseline
from marl.evaluate.clairvoyant import PlannerConfig, by_agent, judged, plan

if TYPE_CHECKING:
    from marl.train.env import BatchedEnv

# Two hours ahead, batch's whole deadline, in decisions of an hour as the learners'. Steps a third
# of the clairvoyant's: a plan far from the rule trusts the forecast more than it deserves.
PLANNER: Final = PlannerConfig(
    hold_steps=12, iterations=4, learning_rate=0.03, window_steps=24, lookahead_steps=0
)
MARGINS: Final = (1.1, 1.25, 1.5, 2.0)  # tried on training episodes
# Which service's forecast each row of work follows.
_FOLLOWS: Final = dict(
    zip(WORK, (0, 1, 2, 3, 0, 2), strict=True)
)  # memory as compute, requests as network
_CALENDAR: Final = ("is_new_hour", "is_review")  # known beforehand
_SPOT: Final = [FORESIGHT.index(f"spot_ratio_{kind}") for kind in KINDS]


def planner(iterations: int) -> PlannerConfig:
    """The planner with so many gradient steps a plan."""
    return PLANNER.model_copy(update={"iterations": iterations, "judge_every": iterations})


def tuned_planner(action: JointAction, trials: Sequence[Trial]) -> TunedBaseline:
    """The best margin of those tried.

    Args:
        action: the tuned reactive rule's.
        trials: one for each margin, which is its only knob.
    """
    best = max(trials, key=lambda trial: trial.reward)
    return TunedBaseline(
        name=MpcPolicy.name,
        kind=MpcPolicy.name,
        action=action,
        parameters={"margin": best.knobs[0]},
        reward=best.reward,
        trials=tuple(trials),
    )


class MpcPolicy:
    """Plans on the forecast at every decision.

    Args:
        action: agent → the tuned reactive rule's knobs in [-1, 1]: where plans start from, and what
            is done where no better plan is found.
        margin: factor on forecast work.
        config: how a plan is sought; its window is the horizon.
    """

    name: Final = "mpc"
    training_seed: int | None = None

    def __init__(
        self,
        action: Mapping[str, Tensor | Sequence[float]],
        margin: float = 1.25,
        config: PlannerConfig = PLANNER,
    ) -> None:
        self.action = {agent: torch.as_tensor(values) for agent, values in action.items()}
        self.margin, self.config = margin, config
        self._env: CloudEnv | None = None
        self._plan = torch.empty(0)

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Forget the last plan.

        Raises:
            TypeError: `env` is no simulated cloud, whose dynamics could be planned with.
        """
        if not isinstance(env, CloudEnv):
            raise TypeError(f"{self.name} plans in simulated clouds; got {type(env).__name__}")
        self._env = env
        rule = torch.cat([self.action[agent] for agent in SERVICES]).to(env.device)
        decisions = self.config.window_steps // self.config.hold_steps
        self._rule = rule[None, :, None].expand(decisions, WIDTH, env.num_envs)
        self._plan = self._rule

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The plan's first decision; planned anew at every `hold_steps`-th step.

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self._env is None:
            raise RuntimeError(f"{self.name}: call begin(env, seed) before act")
        if self._env.step_index % self.config.hold_steps == 0:
            self._plan = self._planned(self._env)
        return by_agent(self._plan[0])

    def _planned(self, env: CloudEnv) -> Tensor:
        """(D, WIDTH, B) the best plan found from the last one, shifted, or from the rule."""
        cloud, state = env.cloud, env.cloud_state
        ahead = forecast_weather(env, self.config.window_steps, self.margin)
        shifted = torch.cat((self._plan[1:], self._plan[-1:]))
        if env.step_index == 0:
            shifted = self._rule
        old, _ = judged(cloud, ahead, shifted, self.config, state)
        plain, _ = judged(cloud, ahead, self._rule, self.config, state)
        start = torch.where(old > plain, shifted, self._rule)
        return plan(cloud, ahead, start, self.config, state=state).actions


def forecast_weather(env: CloudEnv, horizon: int, margin: float) -> Weather:
    """The weather of the next `horizon` steps as it may be expected before the present step.

    Nothing of the present or any later step is read but what `foresight` tells everybody, the
    calendar, and the deadlines of work that has arrived.

    Args:
        env: at the start of a step.
        horizon: H.
        margin: factor on forecast work.

    Returns:
        `packed` (H, rows, B); its other fields are the environment's own and not for use.
    """
    weather, step, params = env.weather, env.step_index, env.cloud.params
    last = weather.at(max(step - 1, 0))  # at an episode's start its first load counts as known
    told = weather.told[step]
    batch = told.shape[-1]
    ratio = _forecast(told, horizon) / _load(last.work).clamp_min(1e-6)  # (H, S, B)
    follows = torch.tensor([_FOLLOWS[name] for name in WORK])
    work = last.work * (margin * ratio[:, follows])[:, None]  # (H, C, R + 1, B)
    due = _due(weather, step, work, params.config.batch_deadline_steps,
               params.config.ml_deadline_steps)  # fmt: skip
    before = weather.due[step - 1] if step else torch.zeros_like(due[0])
    ones = torch.ones((horizon, batch), device=told.device)
    hours = torch.arange(step, step + horizon).clamp_max(len(weather) - 1)
    calendar = {
        name: torch.stack([getattr(weather.at(int(t)), name) for t in hours]) for name in _CALENDAR
    }
    config = params.config
    medians = (config.vm_boot_median_s + sum(config.vm_warm_up_s) / 2,
               config.vm_boot_median_s + sum(config.gpu_warm_up_s) / 2,
               config.database_median_s, config.redis_median_s)  # fmt: skip
    delay = torch.tensor([max(1, -(-median // params.step_s)) for median in medians])
    parts = {
        "work": work,
        "due": due,
        "due_now": torch.diff(due, dim=0, prepend=before[None]),
        "spot_ratio": told[_SPOT].expand(horizon, -1, -1),
        "delay": delay.to(told)[None, :, None].expand(horizon, -1, batch),
        "failover": 0.0 * ones,
        "loss_draw": 0.5 * ones,
        **calendar,
    }
    rows = []
    for name in row_shapes(weather.zones):
        value = parts.get(name)
        if value is None:  # as it was measured last
            value = getattr(last, name).expand(horizon, *getattr(last, name).shape)
        rows.append(value.reshape(horizon, -1, batch))
    return dataclasses.replace(weather, packed=torch.cat(rows, 1))


def _load(work: Tensor) -> Tensor:
    """(S, B) load of each service of work (C, R + 1, B)."""
    return work[:, : len(RESOURCES) - 1].sum(0)


def _forecast(told: Tensor, horizon: int) -> Tensor:
    """(H, S, B) forecast loads: straight between the horizons told, the last one held beyond."""
    known = torch.stack(
        [told[[FORESIGHT.index(f"forecast_{s}_{h}") for s in SERVICES]] for h in AHEAD]
    )
    out = []
    for h in range(horizon):
        after = next((i for i, at in enumerate(AHEAD) if at >= h), len(AHEAD) - 1)
        before = max(0, after - 1) if AHEAD[after] > h else after
        width = AHEAD[after] - AHEAD[before]
        share = (h - AHEAD[before]) / width if width else 0.0
        out.append(known[before] + share * (known[after] - known[before]))
    return torch.stack(out)


def _due(weather: Weather, step: int, work: Tensor, *deadlines: int) -> Tensor:
    """(H, 2, B) work due by the end of each step: what has arrived, and the forecast beyond it."""
    rows = []
    for k in range(len(work)):
        row = []
        for i, deadline in enumerate(deadlines):
            known = min(k, deadline - 1)  # arrived by the step before: due at latest then
            expected = work[: k - known, 1 + i, 0].sum(0) if k > known else 0.0
            row.append(weather.due[step + known, i] + expected)
        rows.append(torch.stack(row))
    return torch.stack(rows)
