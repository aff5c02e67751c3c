"""Checkpoints of a training run: one file, written aside and renamed, read without executing code.

A checkpoint is complete (networks, optimisers, buffer, statistics, random states, counters) and is
taken between epochs, where all clouds are about to be reset with the next epoch's own seed: so the
environment's state need not be stored, and continuing is exact.
"""

from pathlib import Path
from typing import Any

import torch

from marl.files import staged

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be continued from; says why and what to do."""


def save_checkpoint(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) atomically.

    Args:
        path: the file to write or replace.
        fingerprint: of the run's configuration and inputs; checked when loading.
        state: everything needed to continue.
    """
    with staged(path) as aside:
        torch.save({"format": FORMAT, "fingerprint": fingerprint, "state": state}, aside)


def load_checkpoint(path: Path, fingerprint: str) -> dict[str, Any]:
    """The state of `save_checkpoint`.

    Raises:
        CheckpointError: unreadable, of another format, or of another run.
    """
    remedy = f"delete {path} to train from the beginning"
    try:
        # weights_only refuses to run code from the file.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}; {remedy}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of format {FORMAT}; {remedy}")
    if content["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"{path} belongs to a run with other settings or inputs (fingerprint "
            f"{content['fingerprint'][:12]}, expected {fingerprint[:12]}); {remedy}"
        )
    return dict(content["state"])
