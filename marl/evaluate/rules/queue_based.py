"""Queue-based scaling: capacity that carries the arriving load and drains the queue in time.

As KEDA's and the managed instance group's scaling on a queue's length do: workers for the backlog
over the time it may take, after Little's law (Little 1961: L = λ W, so that capacity beyond the
load is backlog / time). Only compute has a visible queue; the other services follow their load.
"""

from torch import Tensor

from marl.cloud.types import SERVICES
from marl.evaluate.baselines import Parameter
from marl.evaluate.rules.rule import MARGINS, Memory, Rule, Sight, own_load, with_floors
from marl.workload.demand import CLASSES


class QueueBased(Rule):
    """Margin times (load + backlog / time to drain it)."""

    kind = "queue_based"
    parameters = (
        *MARGINS,
        # Steps in which each class's backlog is to be gone; their deadlines are 24 and 72.
        Parameter(name="drain_web", low=1.0, high=6.0, start=1.0),
        Parameter(name="drain_batch", low=1.0, high=24.0, start=12.0),
        Parameter(name="drain_ml", low=1.0, high=72.0, start=36.0),
    )

    def act(self, now: Sight) -> tuple[Tensor, Memory]:
        """Floors raised; nothing is remembered."""
        shares = {}
        for service in SERVICES:
            load = now.fields[service](f"{own_load(service)}_lag0")
            if service == "compute":
                for name in CLASSES:
                    load = (
                        load + now.fields[service](f"backlog_{name}") / now.values[f"drain_{name}"]
                    )
            shares[service] = now.values[f"margin_{service}"] * load.clamp_min(0.0)
        return with_floors(now.actions, shares), {}
