"""What a trajectory was played in, beside the policy: the input of every sizing."""

from dataclasses import dataclass

from marl.cloud.catalogue import PriceCatalog
from marl.cloud.config import CloudConfig
from marl.cloud.params import Reference


@dataclass(frozen=True)
class Setting:
    """What the trajectory was played in, beside the policy.

    Attributes:
        config: of the simulated cloud.
        catalog: prices of the region to provision in.
        reference: the scale of the demand.
        is_synthetic: whether the workload was fitted to a generated trace.
    """

    config: CloudConfig
    catalog: PriceCatalog
    reference: Reference
    is_synthetic: bool

    def machine_type(self, kind: str) -> str:
        """The machine type of a kind (`marl.cloud.types.KINDS`)."""
        name: str = getattr(self.config, "machine_type" if kind == "general" else f"{kind}_type")
        return name
