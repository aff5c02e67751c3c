"""Episodes needed: by hand, inverse to one another, and by simulation of the tests themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from marl.evaluate.statistics import episodes_needed, minimum_detectable_effect, power_of


def test_by_hand():
    # ((1.95996 + .84162) · 2)² = 31.396; over 3/π → 32.877; + 1.95996²/2 = 1.921 → 34.80 → 35.
    assert episodes_needed(2.0, 1.0) == 35
    assert episodes_needed(2.0, 1.0, efficiency=1.0) == 34  # a table of Cohen's (1988): 34 at d .5
    assert episodes_needed(2.0, -1.0) == 35
    assert episodes_needed(0.0, 1.0) == 2
    assert minimum_detectable_effect(1.0, 1) is None
    assert minimum_detectable_effect(0.0, 64) == 0.0
    assert power_of(0.0, 1.0, 64) == 1.0
    assert power_of(1.0, 1.0, 1) == 0.0


@given(st.floats(0.05, 2), st.floats(0.01, 0.2), st.floats(0.5, 0.95), st.integers(1, 20))
def test_effect_episodes_and_power_are_one_relation(effect, alpha, power, questions):
    told = {"alpha": alpha, "questions": questions}
    n = episodes_needed(1.0, effect, power=power, **told)
    assert minimum_detectable_effect(1.0, n, power=power, **told) <= effect * (1 + 1e-9)
    if n > 40:
        assert minimum_detectable_effect(1.0, n - 1, power=power, **told) > effect * (1 - 1e-9)
    assert power_of(1.0, effect, n, **told) >= power - 1e-9


@pytest.mark.parametrize("effect", [0.3, 0.6])
def test_the_stated_power_is_reached_by_the_tests_themselves(effect):
    rng = np.random.default_rng(0)
    trials = 8000
    for efficiency, p_values in (
        (1.0, lambda d: stats.ttest_1samp(d, 0, axis=1).pvalue),
        (3 / np.pi, lambda d: stats.wilcoxon(d, axis=1).pvalue),
    ):
        n = episodes_needed(1.0, effect, power=0.8, efficiency=efficiency)
        found = np.mean(p_values(rng.normal(effect, 1.0, (trials, n))) < 0.05)
        assert 0.8 - 0.015 <= found <= 0.8 + 0.03  # Monte-Carlo error .0045


def test_nonsense_is_refused():
    for wrong in ({"alpha": 0.0}, {"power": 1.0}, {"questions": 0}):
        with pytest.raises(ValueError, match="must be"):
            episodes_needed(1.0, 1.0, **wrong)
    with pytest.raises(ValueError, match="effect finite and not 0"):
        episodes_needed(1.0, 0.0)
