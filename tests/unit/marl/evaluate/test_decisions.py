"""A decision's time is the policy's own, one cloud at a time."""

import time

import pytest

from marl.evaluate.decisions import SCHEMA, decision_latency, main
from marl.evaluate.policies import ConstantPolicy, RandomPolicy
from tests.unit.marl.evaluate.worlds import KEEP, LqWorld


class Slow(ConstantPolicy):
    """Takes at least 3 ms in every tenth call: p95 sees it, the median does not."""

    begun, calls = 0, 0

    def begin(self, env, seed):
        super().begin(env, seed)
        assert env.num_envs == 1
        self.begun += 1

    def act(self, obs):
        self.calls += 1
        if self.calls % 10 == 0:
            time.sleep(0.003)
        return super().act(obs)


def test_each_policy_has_a_row_and_its_own_time():
    slow = Slow("slow", KEEP)
    table = decision_latency([RandomPolicy(), slow], LqWorld(), "steady", calls=60)
    assert table.schema == SCHEMA
    assert table["policy"].to_list() == ["random", "slow"]
    assert table["calls"].to_list() == [60, 60]
    row = table.row(1, named=True)
    assert row["decision_p95_us"] >= 3000
    assert row["decision_p50_us"] < 3000
    for name in ("p50", "p95", "p99"):
        assert table[f"decision_{name}_us"].is_between(0, table["decision_max_us"]).all()
    assert slow.calls == 80  # 20 to warm up
    assert slow.begun == 1 + 80 // 12  # episodes of 12 steps, each begun


def test_nonsense_is_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match="at least 1; got 0"):
        decision_latency([RandomPolicy()], LqWorld(), "steady", calls=0)
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    assert "materialise trained_policies" in capsys.readouterr().err
