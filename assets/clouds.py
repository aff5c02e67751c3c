"""What simulated clouds are made from, as plain values that any process can read for itself."""

from dataclasses import dataclass, replace
from functools import lru_cache
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
        mode: see `ProvisioningWorld`; "eager" where this machine cannot compile.
    """

    workload_model: Path
    price_catalog: Path
    episode_steps: int
    mode: str = "eager"

    def world(self) -> "ProvisioningWorld":
        """Read them, once a process for each time they are made: the scale of demand takes long."""
        return _world(self, _made(self.workload_model), _made(self.price_catalog))


@lru_cache(maxsize=2)
def _world(
    inputs: CloudInputs, workload: tuple[int, int], prices: tuple[int, int]
) -> "ProvisioningWorld":
    from marl.cloud.compiled import mode_here
    from marl.evaluate.world import load_world

    loaded = load_world(inputs.workload_model, inputs.price_catalog, inputs.episode_steps)
    return replace(loaded, mode=mode_here(inputs.mode))


def _made(folder: Path) -> tuple[int, int]:
    """What a folder that is made anew does not share with the one before it."""
    told = folder.stat()
    return told.st_ino, told.st_mtime_ns
