"""Any stored policy as the reference: the table's figures, and what it refuses."""

import numpy as np
import polars as pl
import pytest

from marl.evaluate.against import main, table


def episodes():
    """Twelve episodes in two scenarios; `better` is .01 above `rule`, a tenth cheaper."""
    rng = np.random.default_rng(0)
    rows = []
    for scenario in ("one", "two"):
        weather = rng.normal(-0.2, 0.05, 12)
        for name, gain, cost in (
            ("rule", 0.0, 100.0),
            ("better", 0.01, 90.0),
            ("same", 0.0, 100.0),
        ):
            rows += [
                {"scenario": scenario, "policy": name, "training_seed": None, "episode": i,
                 "reward": weather[i] + gain, "cost_usd": cost, "slo_attainment": 0.9 + gain}
                for i in range(12)
            ]  # fmt: skip
    planner = {**rows[0], "policy": "clairvoyant"}
    return pl.DataFrame([*rows, planner])


def test_differences_in_every_scenario():
    lines = table(episodes(), "rule").splitlines()[2:]
    assert lines == [
        f"| {scenario} | {told} |"
        for scenario in ("one", "two")
        for told in (
            "better | +0.0100 [+0.0100, +0.0100] | -10.0% | +1.00 pp",
            "same | +0.0000 [+0.0000, +0.0000], not significant | +0.0% | +0.00 pp",
        )
    ]


def test_only_those_asked_for_and_another_reference():
    (row, _) = table(episodes(), "better", ["same"]).splitlines()[2:]
    assert row == "| one | same | -0.0100 [-0.0100, -0.0100] | +11.1% | -1.00 pp |"


def test_nonsense_is_told(tmp_path, capsys):
    with pytest.raises(ValueError, match="no episodes of the reference 'nobody'"):
        table(episodes(), "nobody")
    with pytest.raises(ValueError, match="no episodes in every scenario of clairvoyant"):
        table(episodes(), "rule", ["clairvoyant"])
    with pytest.raises(SystemExit):
        main(["rule", "--data", str(tmp_path)])
    assert "materialise evaluation_episodes first" in capsys.readouterr().err


def test_the_command_reads_what_is_stored(tmp_path, capsys):
    rows = tmp_path / "evaluation_episodes" / "rows"
    rows.mkdir(parents=True)
    episodes().write_parquet(rows / "part-000000.parquet")
    assert main(["rule", "better", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == table(episodes(), "rule", ["better"])
