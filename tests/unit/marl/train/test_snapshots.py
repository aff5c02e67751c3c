"""Snapshots: taken when due, the best policy so far, the same bytes after a kill."""

import pytest

from marl.train.checkpoint import save_checkpoint
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.snapshots import FOLDER, SHARES, snapshot_path
from tests.unit.marl.train.conftest import BASELINE, make_env


def _files(result):
    folder = result.policy_path.parent
    return {path.name: path.read_bytes() for path in sorted((folder / FOLDER).iterdir())}


def test_best_so_far_is_kept_at_the_start_a_quarter_and_half(tmp_path, config):
    result = train(config, make_env, BASELINE, tmp_path)
    folder = result.policy_path.parent
    assert list(_files(result)) == ["000.safetensors", "025.safetensors", "050.safetensors"]
    # Evaluated after epochs 0, 2, 4 and 6 of 6: a quarter is due at 2, half at 4.
    curve = result.summary.curve
    for share, upto in zip(SHARES, (1, 2, 3), strict=True):
        card = load_policy_file(snapshot_path(folder, share)).card
        assert card.env_steps == max(curve[:upto], key=lambda point: point.reward).env_steps
        assert card.fingerprint == result.summary.fingerprint


def test_taking_snapshots_changes_nothing_of_the_policy(tmp_path, config, monkeypatch):
    with_them = train(config, make_env, BASELINE, tmp_path / "a")
    monkeypatch.setattr("marl.train.loop.take_snapshots", lambda run, folder: [])
    without = train(config, make_env, BASELINE, tmp_path / "b")
    assert with_them.policy_path.read_bytes() == without.policy_path.read_bytes()


def test_a_killed_run_ends_with_the_same_snapshots(tmp_path, config, monkeypatch):
    whole = train(config, make_env, BASELINE, tmp_path / "whole")
    saves = []

    def save_then_die(path, fingerprint, state):
        save_checkpoint(path, fingerprint, state)
        saves.append(path)
        if len(saves) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("marl.train.run.save_checkpoint", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        train(config, make_env, BASELINE, tmp_path / "killed")
    continued = train(config, make_env, BASELINE, tmp_path / "killed")
    assert _files(continued) == _files(whole)
