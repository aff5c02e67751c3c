"""What simulated clouds are made from, as plain values that any process can read for itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marl.evaluate.world import ProvisioningWorld


@dataclass(frozen=True)
class CloudInputs:
    """Two materialised assets and the length of an episode.

    Attributes:
        workload_model, price_catalog: folders of the assets.
        episode_steps: steps of an episode.
    """

    workload_model: Path
    price_catalog: Path
    episode_steps: int

    def world(self) -> "ProvisioningWorld":
        """Read them."""
        from marl.evaluate.world import load_world

        return load_world(self.workload_model, self.price_catalog, self.episode_steps)
