"""Predictive autoscaling: a floor under each service, computed from what its agent sees.

In the manner of Autopilot (Rzadca et al., "Autopilot: workload autoscaling at Google", EuroSys
2020, §3.2: a moving window's peak, decayed, times a margin) and of the managed instance group's
predictive autoscaling (capacity for the forecast of the coming start-up time). Every service's rule
sees its own agent's observation alone. The cloud's reactive rule goes on beneath: whichever asks
for more decides. Searching the rule's parameters belongs to `tuning`, playing to `scorers`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from marl.cloud.actions import SIZES, knobs, row
from marl.cloud.features import LAGS
from marl.cloud.foresight import AHEAD
from marl.cloud.types import LOADS, SERVICES
from marl.evaluate.baselines import Parameter

if TYPE_CHECKING:
    from marl.train.env import BatchedEnv

# Name of an observation field → its values (B,), in shares of the reference peak.
Fields = Callable[[str], Tensor]

PARAMETERS: Final = (
    # Capacity per predicted load; 0 leaves the service to the reactive rule.
    *(Parameter(name=f"margin_{service}", low=0.0, high=2.0, start=0.0) for service in SERVICES),
    # Kept, per step of age, of a load of the past hour: Autopilot's decay.
    Parameter(name="decay", low=0.7, high=1.0, start=0.95),
    # What the prediction is made of.
    Parameter(name="recent", low=0.0, high=1.0, start=0.5),  # the decayed peak of the hour
    Parameter(name="trend", low=0.0, high=2.0, start=0.0),  # the rise over a quarter of an hour
    Parameter(
        name="past", low=0.0, high=1.0, start=0.0
    ),  # the coming hour, yesterday and last week
    Parameter(name="forecast", low=0.0, high=1.0, start=0.5),  # the forecast's peak
    Parameter(name="ahead", low=0.0, high=1.0, start=0.5),  # of that peak, what lies beyond now
    Parameter(name="scheduled", low=0.0, high=1.0, start=0.0),  # batch and ML to come; compute only
    # Of the calendar's rise, which is web's: its usual half of the load. Training demand announces
    # nothing, so there is nothing to tune it on.
    Parameter(name="announced", low=0.5, high=0.5, start=0.5),
)
_OWN_LOAD: Final = dict(zip(SERVICES, LOADS, strict=False))
_FLOORS: Final = {service: row(service, "floor_share") for service in SERVICES}
_HIGHEST: Final = {
    service: next(knob.high for knob in knobs(service) if knob.name == "floor_share")
    for service in SERVICES
}


def predicted_load(service: str, field: Fields, rule: Mapping[str, Tensor | float]) -> Tensor:
    """(B,) load a service is to be ready for, in shares of its reference peak.

        w_recent · max_i(decay^i · load(t - i)) + w_trend · (load(t) - load(t - 3))
      + w_past · max_h (day_ago(t + h) + week_ago(t + h)) / 2
      + w_forecast · (forecast(t) + w_ahead · max_h (forecast(t + h) - forecast(t)))
      + w_scheduled · work to be submitted within the hour (compute),

    times 1 + w_announced · the calendar's largest rise within the hour; h runs over `AHEAD`.

    Args:
        service: whose.
        field: the fields of its agent's observation, and no other's.
        rule: value of each of `PARAMETERS`, or (B,) values of each.
    """
    load = f"load_{_OWN_LOAD[service]}"
    decay = torch.as_tensor(rule["decay"])
    loads = [field(f"{load}_lag{lag}") * decay**lag for lag in range(LAGS)]
    recent = torch.stack([*loads, field(f"{load}_max") * decay**LAGS]).amax(0)
    trend = field(f"{load}_lag0") - field(f"{load}_lag{LAGS - 1}")
    past = torch.stack(
        [field(f"{age}_ago_{service}_{h}") for age in ("day", "week") for h in AHEAD]
    )
    now, *later = (field(f"forecast_{service}_{h}") for h in AHEAD)
    rise = (torch.stack(later) - now).amax(0).clamp_min(0.0)
    load_ahead = (
        rule["recent"] * recent
        + rule["trend"] * trend
        + rule["past"] * past.view(2, len(AHEAD), *past.shape[1:]).mean(0).amax(0)
        + rule["forecast"] * (now + rule["ahead"] * rise)
    )
    if service == "compute":
        coming = field("scheduled_batch_hour") + field("scheduled_ml_hour")
        load_ahead = load_ahead + rule["scheduled"] * coming
    announced = field("announced_hour").clamp_min(0.0)
    return (load_ahead * (1.0 + rule["announced"] * announced)).clamp_min(0.0)


def floor_action(service: str, field: Fields, rule: Mapping[str, Tensor | float]) -> Tensor:
    """(B,) the knob `floor_share` in [-1, 1] that holds the margin over the predicted load."""
    share = rule[f"margin_{service}"] * predicted_load(service, field, rule)
    return (2.0 / _HIGHEST[service] * share - 1.0).clamp(-1.0, 1.0)


def with_floors(
    actions: Tensor, fields: Mapping[str, Fields], rule: Mapping[str, Tensor | float]
) -> Tensor:
    """(WIDTH, B) actions whose floors are raised to the rule's; never lowered.

    Args:
        actions: (WIDTH, B) in [-1, 1], all knobs of all agents.
        fields: service → the fields of its agent's observation.
        rule: see `predicted_load`.
    """
    raised = actions.clone()
    for service, at in _FLOORS.items():
        raised[at] = torch.maximum(actions[at], floor_action(service, fields[service], rule))
    return raised


class PredictivePolicy:
    """The tuned reactive rule's knobs, with floors that look ahead at every step.

    Args:
        name: what tables call it.
        action: agent → its constant knobs in [-1, 1].
        rule: value of each of `PARAMETERS`.
    """

    training_seed: int | None = None

    def __init__(
        self, name: str, action: Mapping[str, Sequence[float]], rule: Mapping[str, float]
    ) -> None:
        known = {parameter.name for parameter in PARAMETERS}
        if rule.keys() != known:
            raise ValueError(f"{name} needs the parameters {sorted(known)}; got {sorted(rule)}")
        self.name = name
        self.action = {agent: torch.tensor(list(values)) for agent, values in action.items()}
        self.rule = dict(rule)
        self._columns: dict[str, dict[str, int]] = {}

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Find the fields by name; refuse an environment without the clouds' names and knobs."""
        sizes = {agent: int(space.shape[0]) for agent, space in env.action_spec.items()}
        if sizes != dict(zip(SERVICES, SIZES, strict=True)):
            raise ValueError(f"{self.name} sets the knobs of {SERVICES}; this world has {sizes}")
        names: Mapping[str, Sequence[str]] = getattr(env, "observation_names", {})
        self._columns = {
            agent: {name: column for column, name in enumerate(names[agent])} for agent in SERVICES
        }

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The constant knobs, floors raised where this agent's observation asks for it."""
        batch = len(obs[SERVICES[0]])
        joined = torch.cat([self.action[agent] for agent in SERVICES]).to(obs[SERVICES[0]].device)
        fields = {agent: self._fields(agent, obs[agent]) for agent in SERVICES}
        raised = with_floors(joined[:, None].expand(-1, batch), fields, self.rule)
        parts = raised.split(SIZES)
        return {agent: part.t() for agent, part in zip(SERVICES, parts, strict=True)}

    def _fields(self, agent: str, obs: Tensor) -> Fields:
        return lambda name: obs[:, self._columns[agent][name]]
