"""What a run's kept policy was at the start, a quarter and half of its training, as policy files.

A snapshot is due at the first held-in evaluation at or after its share of the epochs, and holds the
best policy so far (`Record`); that of the whole training is the run's policy file. Its name depends
on the share alone and its bytes on the run, so a run that is killed, or set back, writes the same
file again.
"""

import copy
from pathlib import Path
from typing import Final

from marl.train.policy_file import save_policy
from marl.train.result import policy_card
from marl.train.run import Run

FOLDER: Final = "snapshots"
SHARES: Final = (0.0, 0.25, 0.5)  # of the configured epochs


def take_snapshots(run: Run, folder: Path) -> list[Path]:
    """Write those that the last evaluation has made due.

    Args:
        run: just evaluated.
        folder: of the run.

    Returns:
        Files written.
    """
    record, epochs = run.record, run.inputs.config.epochs
    after = record.curve[-1].epoch / epochs
    before = record.curve[-2].epoch / epochs if len(record.curve) > 1 else -1.0
    due = [share for share in SHARES if before < share <= after]
    if not due:
        return []
    network = copy.deepcopy(run.trainer.learner.policy())  # the run goes on with its own
    network.load_state_dict(record.best_actor)
    card = policy_card(run)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    paths = [snapshot_path(folder, share) for share in due]
    for path in paths:
        save_policy(path, network, card)
    return paths


def snapshot_path(folder: Path, share: float) -> Path:
    """Where the snapshot at this share of a run in `folder` lies, made or not."""
    return folder / FOLDER / snapshot_name(share)


def snapshot_name(share: float) -> str:
    """File name of the snapshot at this share: its per cent."""
    return f"{round(100 * share):03d}.safetensors"
