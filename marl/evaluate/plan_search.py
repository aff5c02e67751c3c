"""Plans improved by chance in the exact clouds, where the slope of smooth ones leads no further.

An evolution strategy for each episode by itself: candidates change a few knobs over a stretch of
the known episode, and the best of them becomes the plan if its exact return is higher. Gradient
search through the smooth clouds is `clairvoyant`'s.
"""

import dataclasses
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.compiled import in_standard_layout
from marl.cloud.dynamics import Cloud, initial_state
from marl.cloud.weather import Weather
from marl.envs.advance import Advance, exact
from marl.evaluate.plans import Plan
from marl.frozen import Frozen


class ClimbConfig(Frozen):
    """How changes are drawn.

    Attributes:
        generations: rounds of candidates; 0 leaves the plan as it is.
        candidates: changed plans of each episode in a round.
        knobs: mean number of knobs that a change moves.
        shortest_steps: of the stretch that a change covers; the longest is the whole episode, and
            lengths between are even on a logarithmic scale.
        sigma: standard deviation of a knob's change at first, in units of the range [-1, 1]. Each
            episode has its own, which `rise` multiplies after a round that found a better plan and
            `fall` after one that did not (Rechenberg 1973: steps grow while they succeed).
        rise: see `sigma`.
        fall: see `sigma`.
    """

    generations: int = Field(default=200, ge=0)
    candidates: int = Field(default=12, ge=1)
    knobs: float = Field(default=2.0, gt=0, le=WIDTH)
    shortest_steps: int = Field(default=6, ge=1)
    sigma: float = Field(default=0.3, gt=0)
    rise: float = Field(default=1.3, ge=1)
    fall: float = Field(default=0.95, gt=0, le=1)


def climbed(
    cloud: Cloud,
    weather: Weather,
    found: Plan,
    config: ClimbConfig,
    generator: torch.Generator,
    advance: Advance = exact,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """`found` with the changes that paid: in no episode worse.

    Args:
        cloud: what stays fixed.
        weather: of B whole episodes.
        found: plans of them.
        config: how.
        generator: of the changes.
        advance: `cloud` by a step, in exact rounding.
        progress: receives a line every tenth of the way.
    """
    say = progress or (lambda _: None)
    actions, tries = found.actions, config.candidates
    batch = actions.shape[-1]
    copies = weather.repeated(tries)
    best = _returns(cloud, weather, actions, found.hold_steps, advance)
    begun, sigma = best.mean(), torch.full((batch,), config.sigma)
    for generation in range(1, config.generations + 1):
        steps = (len(weather), found.hold_steps)
        change = _changes(len(actions), sigma.repeat(tries), steps, config, generator)
        tried = (actions.repeat(1, 1, tries) + change.to(actions.device)).clamp(-1.0, 1.0)
        reward = _returns(cloud, copies, tried, found.hold_steps, advance).view(tries, batch)
        top, which = reward.max(0)
        is_better = top > best
        chosen = tried[..., which * batch + torch.arange(batch, device=which.device)]
        actions = torch.where(is_better, chosen, actions)
        best = torch.maximum(top, best)
        sigma = (sigma * torch.where(is_better.cpu(), config.rise, config.fall)).clamp(0.02, 0.6)
        if generation % max(1, config.generations // 10) == 0:
            say(
                f"clairvoyant: {generation} of {config.generations} rounds of changes, "
                f"{float(best.mean() - begun):+.4f} per step above the plan before"
            )
    return dataclasses.replace(found, actions=actions, reward=best)


def _changes(
    decisions: int,
    sigma: Tensor,
    steps: tuple[int, int],
    config: ClimbConfig,
    generator: torch.Generator,
) -> Tensor:
    """(D, WIDTH, C) changes: of some knobs, over one stretch of decisions, by one amount each.

    Args:
        decisions: D.
        sigma: (C,) standard deviation of a knob's change.
        steps: of the episode, and of a decision.
        config: see `ClimbConfig`.
        generator: of the draws.
    """
    count, (length, hold) = len(sigma), steps
    shortest = min(config.shortest_steps, length) / hold
    share = torch.rand(count, generator=generator)
    stretch = shortest * (length / hold / shortest) ** share
    begin = torch.rand(count, generator=generator) * (decisions + stretch) - stretch
    place = torch.arange(decisions)[:, None] + 0.5
    inside = (place >= begin) & (place < begin + stretch)
    is_moved = torch.rand((WIDTH, count), generator=generator) < config.knobs / WIDTH
    always = torch.randint(WIDTH, (1, count), generator=generator)
    is_moved |= ~is_moved.any(0) & (torch.arange(WIDTH)[:, None] == always)
    amount = torch.randn((WIDTH, count), generator=generator) * sigma * is_moved
    return inside[:, None] * amount


def _returns(
    cloud: Cloud, weather: Weather, actions: Tensor, hold_steps: int, advance: Advance
) -> Tensor:
    """(B,) exact mean reward per step of decisions (D, WIDTH, B)."""
    with torch.no_grad():
        state = in_standard_layout(initial_state(weather.at(0), cloud))
        total = torch.zeros_like(state.elapsed)
        for t in range(len(weather)):
            state, reward, _, _ = advance(
                state, actions[t // hold_steps], weather.packed[t], weather.told[t + 1], cloud
            )
            total = total + reward.mean(0)
    return total / len(weather)
