"""Karpenter-like purchasing: consolidation of idle nodes, spot spread over kinds, and its retreat.

Karpenter (https://karpenter.sh/docs/concepts/disruption) packs pods onto fewer nodes when nodes run
idle, buys spot over many instance types so that no one market takes much, and falls back to
on-demand where spot is refused or interrupted. The same here with this cloud's knobs: a higher
target while utilisation is low, standard VMs divided between two architectures and all zones, and a
spot share that is cut by interruptions and heals with time.
"""

from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import Memory, Rule, Sight, encoded

_KNOBS: Final = {
    name: row("compute", name)
    for name in ("target_utilisation", "spot_share", "arm_share", "zone_spread", "fallback_share")
}


class Karpenter(Rule):
    """Consolidates compute when it is idle and buys spot as long as it is left alone."""

    kind = "karpenter"
    parameters = (
        # Below this utilisation nodes are drained: the target rises to `packed_target`.
        Parameter(name="idle_below", low=0.0, high=0.9, start=0.4),
        Parameter(name="packed_target", low=0.5, high=0.95, start=0.8),
        Parameter(name="spot_share", low=0.0, high=0.9, start=0.5),
        Parameter(name="arm_share", low=0.0, high=1.0, start=0.5),
        # What is left of the spot share after a step with losses or refusals, and how much of the
        # rest comes back with every quiet step.
        Parameter(name="retreat", low=0.0, high=1.0, start=0.3),
        Parameter(name="healing", low=0.0, high=0.3, start=0.05),
    )

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Compute's purchases chosen; the trust in spot (B,) is remembered."""
        see = now.fields["compute"]
        disturbed = (see("lost_vms") + see("refusals")) > 0
        trust = torch.ones_like(see("lost_vms")) if now.memory is None else now.memory["trust"]
        healed = trust + now.values["healing"] * (1.0 - trust)
        trust = torch.where(disturbed, trust * now.values["retreat"], healed)
        chosen = now.actions.clone()
        target = chosen[_KNOBS["target_utilisation"]]
        is_idle = see("utilisation_vcpu") < now.values["idle_below"]
        packed = encoded(
            "compute", "target_utilisation", _column(now.values["packed_target"], target)
        )
        chosen[_KNOBS["target_utilisation"]] = torch.where(
            is_idle, torch.maximum(target, packed), target
        )
        shares = {"spot_share": now.values["spot_share"] * trust}
        shares["arm_share"] = _column(now.values["arm_share"], target)
        for name, share in shares.items():
            chosen[_KNOBS[name]] = encoded("compute", name, share)
        for name in ("zone_spread", "fallback_share"):
            chosen[_KNOBS[name]] = 1.0
        return chosen, {"trust": trust}


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    return torch.as_tensor(value).to(like).expand_as(like)
