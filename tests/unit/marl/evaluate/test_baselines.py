"""The search finds a known optimum with the same budget for all."""

import numpy as np
import pytest

from marl.evaluate.baselines import BaselineFamily, BaselineSet, Parameter, TuningBudget
from marl.evaluate.search import Search, best_settings, one_at_a_time
from marl.evaluate.tuning import tune_baselines, with_frontiers

LOW = {"a": (-1.0, -1.0), "b": (-0.5,)}
HIGH = {"a": (1.0, 1.0), "b": (1.0,)}
START = {"a": (0.0, 0.0), "b": (0.0,)}
FREE = BaselineFamily(name="free", low=LOW, high=HIGH, start=START)
FIXED = BaselineFamily(
    name="fixed", low={"a": (-1.0, 0.2), "b": (0.0,)}, high={"a": (1.0, 0.2), "b": (0.0,)},
    start={"a": (0.0, 0.2), "b": (0.0,)},
)  # fmt: skip
BEST = np.array([0.3, -0.8, 0.5])
BUDGET = TuningBudget(candidates=24, generations=40)


def bowl(knobs):
    reward = 1.0 - ((knobs - BEST) ** 2) @ np.array([1.0, 2.0, 0.5])
    return np.stack([reward, -np.abs(knobs).sum(1)], 1)


BOWL = {"constant": bowl}


def test_finds_the_known_optimum_within_each_familys_bounds():
    lines = []
    found = tune_baselines([FREE, FIXED], BOWL, BUDGET, 0, lines.append)
    free, fixed = found.tuned
    assert [*free.action["a"], *free.action["b"]] == pytest.approx(BEST, abs=0.02)
    assert free.reward == pytest.approx(1.0, abs=1e-3)
    assert fixed.action["a"] == pytest.approx((0.3, 0.2), abs=0.01)
    assert fixed.action["b"] == (0.0,)
    # The same budget for both, every trial kept, the best of them reported.
    for one in found.tuned:
        assert len(one.trials) == 24 * 40
        assert one.reward == max(trial.reward for trial in one.trials)
        assert one.trials[0].knobs == pytest.approx(
            FREE.flat(START if one is free else FIXED.start), abs=1e-12
        )
    assert "free: generation 40 of 40" in lines[39]


def test_a_sweep_tries_every_level_of_one_free_knob_after_the_other():
    low, high = np.array([-1.0, 0.2, -0.5]), np.array([1.0, 0.2, 1.0])
    known = np.array([[0.1, 0.2, 0.3], [0.4, 0.2, 0.5]])
    rows = one_at_a_time(known, (low, high), 18)
    first = [[level, 0.2, 0.3] for level in (-1, -1 / 3, 1 / 3, 1)]
    third = [[0.1, 0.2, level] for level in (-0.5, 0.0, 0.5, 1.0)]
    assert rows[:8] == pytest.approx(np.array(first + third))
    assert (rows[8:16, 1:] == [0.2, 0.5])[:4].all()  # then the next best setting
    assert rows[16:] == pytest.approx(rows[:2])  # and the best again


def test_the_sweep_finds_another_number_of_units_where_evolution_has_settled_on_one():
    def score(rows):
        """Two units are the best in all that is tried; none is better, where nobody looks."""
        units = np.floor((rows[:, 0] + 1) * 1.5 + 0.5)
        reward = np.where(units == 0, 1.0, -np.abs(units - 2)) - rows[:, 1] ** 2
        return np.stack([reward, reward], 1)

    lines: list[str] = []
    bounds = (np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    search = Search("one", bounds, score, 8, 10, lines.append)
    rng = np.random.default_rng(0)
    settled = np.stack([rng.uniform(0.2, 0.4, 8), rng.uniform(-1, 1, 8)], 1)
    for row in settled:
        search.play(np.tile(row, (8, 1)))
    assert max(trial.reward for trial in search.trials) < 0.0
    assert search.sweep_length(9) == 1
    assert search.sweep_length(2) == 0
    search.sweep(1)
    assert len(search.trials) == 8 * 9
    assert max(trial.reward for trial in search.trials) > 0.5
    assert "generation 9 of 10" in lines[-1]


def test_same_seed_same_result_and_it_survives_json():
    budget = TuningBudget(candidates=8, generations=3, continued=1)
    one = tune_baselines([FREE], BOWL, budget, 5)
    assert one == tune_baselines([FREE], BOWL, budget, 5)
    assert one != tune_baselines([FREE], BOWL, budget, 6)
    assert BaselineSet.model_validate_json(one.model_dump_json()) == one


def test_a_family_without_a_free_knob_is_scored_as_it_is():
    fixed = BaselineFamily(name="none", low=START, high=START, start=START)
    found = tune_baselines([fixed], BOWL, TuningBudget(candidates=5, generations=2, continued=1), 0)
    assert found.actions() == {"none": START}


def test_a_score_that_is_not_finite_names_the_knobs():
    broken = {"constant": lambda k: np.where(k[:, :2] > 0.5, np.nan, 1.0)}
    with pytest.raises(FloatingPointError, match=r"free: no finite reward with the knobs \["):
        tune_baselines([FREE], broken, BUDGET, 0)


def test_a_rule_that_continues_another_gets_the_same_number_of_trials_and_keeps_what_was_known():
    margin = Parameter(name="margin", low=0.0, high=2.0, start=0.0)
    richer = FREE.model_copy(
        update={"name": "rule", "kind": "predictive", "parameters": (margin,), "continues": "free"}
    )
    budget = TuningBudget(candidates=12, generations=30, continued=20)
    scores = {
        "constant": bowl,
        "predictive": lambda rows: bowl(rows[:, :3]) + 0.1 * rows[:, 3:] * [1, 0],
    }
    found = tune_baselines([FREE, richer], scores, budget, 0)
    free, rule = found.tuned
    assert free.trial_count == rule.trial_count == 12 * 30
    assert (len(rule.trials), rule.inherited) == (12 * 20, 12 * 10)
    # It begins with the best of the other's first ten generations, its own parameter at the start.
    known = best_settings(free.trials[: 12 * 10], 12)
    begun = np.array([trial.knobs for trial in rule.trials[:12]])
    assert begun[:, :3] == pytest.approx(np.array(known))
    assert (begun[::2, 3] == 0.0).all()
    assert rule.parameters["margin"] == pytest.approx(2.0, abs=0.1)
    assert rule.reward > free.reward
    assert BaselineSet.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(ValueError, match="rule continues 'free', not tuned before it"):
        tune_baselines([richer, FREE], scores, budget, 0)
    with pytest.raises(ValueError, match="is part of generations"):
        TuningBudget(generations=3, continued=3)


def test_a_frontier_follows_the_weight_of_performance():
    # Reward is -(x - .3)²; performance -(x - .9)², of weight .5 in it: at factor f the best is
    # where reward + (f - 1)/2 · performance is, (.3 + .9 k)/(1 + k) with k = (f - 1)/2.
    def score(rows):
        x = rows[:, 0]
        return np.stack([-((x - 0.3) ** 2), -((x - 0.9) ** 2)], 1)

    one = BaselineFamily(name="one", low={"a": (-1.0,)}, high={"a": (1.0,)}, start={"a": (0.0,)})
    found = tune_baselines([one], {"constant": score}, TuningBudget(candidates=12), 0)
    lines = []
    both = with_frontiers(found, [one], {"constant": score}, (3.0, 2.0), 8, 0.5, lines.append)
    assert both.tuned == found.tuned
    points = both.frontiers["one"]
    assert [point.factor for point in points] == [1.0, 2.0, 3.0]
    assert [point.trials for point in points] == [0, 96, 96]
    wanted = [0.3, (0.3 + 0.9 * 0.5) / 1.5, (0.3 + 0.9) / 2]
    assert [point.action["a"][0] for point in points] == pytest.approx(wanted, abs=0.02)
    assert "one, performance x 2: generation 8 of 8" in lines[-1]
    assert BaselineSet.model_validate_json(both.model_dump_json()) == both


@pytest.mark.parametrize(
    ("low", "high", "start", "message"),
    [
        (LOW, HIGH, {"a": (0.0, 2.0), "b": (0.0,)}, "does not hold"),
        (HIGH, LOW, START, "does not hold"),
        ({"a": (-2.0, 0.0), "b": (0.0,)}, HIGH, START, "does not hold"),
        (LOW, HIGH, {"a": (0.0,), "b": (0.0,)}, "different knobs"),
    ],
)
def test_impossible_families_are_refused(low, high, start, message):
    with pytest.raises(ValueError, match=message):
        BaselineFamily(name="bad", low=low, high=high, start=start)
