"""Greedy: at every step just what the last step's load asks for, bought the cheapest way there is.

Myopic on purpose: no forecast, no memory, no patience in scaling in. It shows what looking no
further than the step costs and saves.
"""

from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import Memory, Rule, Sight, encoded, own_load, with_floors

_WINDOWS: Final = tuple(
    row(service, "scale_in_window") for service in ("compute", "network", "database")
)
_TARGETS: Final = tuple(row(service, "target_utilisation") for service in SERVICES)
_SPOT: Final = row("compute", "spot_share")


class Greedy(Rule):
    """Load times (1 + headroom); spot wherever it is cheap enough."""

    kind = "greedy"
    parameters = (
        *(
            Parameter(name=f"headroom_{service}", low=0.0, high=1.5, start=0.4)
            for service in SERVICES
        ),
        # Spot is bought while its price is below this share of on-demand's.
        Parameter(name="spot_below", low=0.0, high=1.0, start=0.5),
        Parameter(name="spot_share", low=0.0, high=0.9, start=0.5),
    )

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Targets at their limit, windows at their shortest: the floor alone decides."""
        chosen = now.actions.clone()
        chosen[list(_TARGETS)] = 1.0
        chosen[list(_WINDOWS)] = -1.0
        compute = now.fields["compute"]
        is_cheap = compute("spot_ratio_general") < now.values["spot_below"]
        spot = torch.where(is_cheap, torch.as_tensor(now.values["spot_share"]).float(), 0.0)
        chosen[_SPOT] = encoded("compute", "spot_share", spot)
        shares = {
            service: (1.0 + now.values[f"headroom_{service}"])
            * now.fields[service](f"{own_load(service)}_lag0")
            for service in SERVICES
        }
        return with_floors(chosen, shares), {}
