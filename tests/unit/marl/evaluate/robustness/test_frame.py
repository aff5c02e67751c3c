"""The table on rows made by hand: the best baseline, pairs, the worst, Holm over all cells."""

import numpy as np
import polars as pl
import pytest

from marl.evaluate.robustness.frame import SCHEMA, best_baseline, robustness_frame, worst_mean
from marl.evaluate.robustness.perturbations import Change, Perturbation
from marl.evaluate.robustness.pictures import degradation, recovery
from marl.evaluate.robustness.told import findings, markdown
from marl.evaluate.statistics import holm, signed_rank_p

N = 20
ROW = Perturbation("storm", "a storm", "zones", (0.0, 1.0, 3.0), lambda *_: Change())


def rows(policy, seed, perturbation, severity, reward, recovery_steps=None):
    values = np.broadcast_to(np.asarray(reward, float), (N,))
    return pl.DataFrame(
        {
            "perturbation": perturbation, "severity": severity, "policy": policy,
            "training_seed": pl.Series([seed] * N, dtype=pl.Int64), "episode": np.arange(N),
            "reward": values, "slo_attainment": 0.9, "cost_usd": 2.0,
            "recovery_steps": pl.Series([recovery_steps] * N, dtype=pl.Int64),
        }
    )  # fmt: skip


@pytest.fixture
def episodes():
    noise = np.random.default_rng(0).normal(0, 0.01, N)
    parts = [rows("random", None, "none", 0.0, 9.0)]  # no rule, however good
    for severity, name in ((0.0, "none"), (1.0, "storm"), (3.0, "storm")):
        steps = 4 if severity else None
        parts += [
            rows("good", None, name, severity, noise - 0.1 * severity, steps),
            rows("poor", None, name, severity, noise - 0.5, steps),
            rows("learned", 0, name, severity, 2 * noise + 0.05 - 0.2 * severity, steps),
        ]
    return pl.concat(parts[1:])


def test_the_best_baseline_is_the_best_rule_of_the_unperturbed_world(episodes):
    assert best_baseline(episodes) == "good"
    others = pl.concat([episodes, rows("random", None, "none", 0.0, 9.0)])
    assert best_baseline(others) == "good"
    with pytest.raises(ValueError, match="no rule"):
        best_baseline(episodes.filter(policy="learned"))


def test_the_worst_is_the_mean_of_the_worst_twentieth():
    assert worst_mean(np.arange(40.0)[::-1]) == 0.5
    assert worst_mean(np.array([3.0, 1.0])) == 1.0


def test_the_table_by_hand(episodes):
    frame = robustness_frame(episodes, [ROW])
    assert dict(frame.schema) == SCHEMA
    assert frame["severity"].to_list() == [0.0] * 3 + [1.0] * 3 + [3.0] * 3
    learned = frame.filter(policy="learned", severity=3.0).row(0, named=True)
    noise = episodes.filter(policy="good", severity=0.0)["reward"].to_numpy()
    difference = noise + 0.05 - 0.3
    assert learned["difference"] == pytest.approx(difference.mean())
    assert learned["difference_lo"] < learned["difference"] < learned["difference_hi"] < 0
    assert learned["worst"] == pytest.approx((2 * noise + 0.05 - 0.6).min())
    assert learned["recovery_steps"] == 4
    assert learned["is_significant"]
    best = frame.filter(policy="good")
    assert best["difference"].null_count() == 3
    assert not best["is_significant"].any()
    assert frame.filter(severity=0.0)["recovery_steps"].null_count() == 3
    # Six questions: three cells, two policies.
    ps = [
        signed_rank_p(
            episodes.filter(policy=name, severity=s)["reward"].to_numpy()
            - episodes.filter(policy="good", severity=s)["reward"].to_numpy()
        )
        for s in (0.0, 1.0, 3.0)
        for name in ("poor", "learned")
    ]
    asked = frame.filter(pl.col("policy") != "good").sort("severity", pl.col("policy") == "learned")
    assert asked["p_holm"].to_list() == pytest.approx(holm(ps).tolist())
    assert robustness_frame(episodes, [ROW]).equals(frame)  # seeded


def test_what_does_not_pair_is_refused(episodes):
    short = episodes.filter(~((pl.col("policy") == "poor") & (pl.col("episode") == 3)))
    with pytest.raises(ValueError, match="different episodes under none 0"):
        robustness_frame(short, [ROW])
    twice = pl.concat([episodes, rows("learned", 1, "none", 0.0, 0.0)])
    with pytest.raises(ValueError, match="several training runs"):
        robustness_frame(twice, [ROW])


def test_words_and_pictures_tell_what_the_table_holds(episodes):
    frame = robustness_frame(episodes, [ROW])
    text = markdown(frame, "good")
    assert text.count("\n") == 2 + 3  # the unperturbed world once
    assert "| none | 0" in text
    assert "20 / 20 / 20" in text  # four steps are twenty minutes
    said = " ".join(findings(frame, "good"))
    assert "best baseline, by its unperturbed reward, is good" in said
    assert "learned loses most to storm 3 (-0.6000)" in said
    assert "worse in 2: storm 1 (-0.0518)" in said
    for picture in (degradation(frame), recovery(frame)):
        assert picture.svg.startswith("<svg")
        assert "learned" in picture.alt
    with pytest.raises(ValueError, match="no recovery"):
        recovery(frame.filter(severity=0.0))
