"""Every way a challenger may fail, one at a time, and the one way it may win."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from marl.evaluate.promotion.decide import decide, judge
from marl.evaluate.promotion.guards import GUARDS, Guard, PromotionRules
from marl.evaluate.promotion.paired import Pair, Played
from marl.evaluate.promotion.record import POOLED
from tests.unit.marl.evaluate.promotion.contests import (
    EPISODES,
    NEW,
    OLD,
    RULE,
    SCENARIOS,
    contest,
    rows,
)

BETTER = {"reward": 0.006}
RULES = PromotionRules()


def test_better_everywhere_and_worse_nowhere_is_promoted_with_its_numbers():
    decision = decide(RULE, NEW, contest(BETTER), RULES)
    assert decision.verdict == "PROMOTE"
    assert decision.winner == NEW
    assert decision.champion == RULE
    assert [one.scope for one in decision.objective] == ["replay", POOLED, "web"]
    main = decision.objective[0]
    assert main.difference == pytest.approx(0.006, abs=0.001)
    assert main.lo < main.difference < main.hi
    assert main.difference == pytest.approx(main.mean - main.other_mean)
    assert main.episodes == EPISODES
    assert main.probability_above > 0.95
    assert main.p_value < 1e-6
    assert "better than reactive" in decision.reasons[0]
    assert decision.promoted_by == decision.reasons[0]
    # Two scopes of five guards as a whole... and two guards in each scenario.
    whole = sum(guard.scope == "whole" for guard in GUARDS)
    assert len(decision.guards) == 2 * whole + 2 * (len(GUARDS) - whole)
    assert not any(finding.is_veto for finding in decision.guards)


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({"slo_attainment": -0.004}, "service_level"),
        ({"slo_attainment": -0.02}, "service_level_anywhere"),
        ({"cost_usd": 9.0}, "cost"),
        ({"cost_usd": 50.0}, "cost_limit"),
        ({"availability": -0.002}, "availability"),
        ({"deadline_miss_share": 0.01}, "deadlines"),
        ({"latency_p99_ms": 200.0}, "latency_p99"),
    ],
)
def test_each_guard_vetoes_a_better_challenger_alone(changes, guard):
    decision = decide(RULE, NEW, contest(BETTER | changes), RULES)
    assert decision.verdict == "KEEP"
    assert decision.winner == RULE
    assert guard in {one.guard for one in decision.guards if one.finding == "violated"}
    assert any(f"Guard {guard} is violated against reactive" in one for one in decision.reasons)


def test_a_scenario_that_pays_for_the_others_is_a_veto():
    decision = decide(RULE, NEW, contest({"reward": 0.02}, web={"reward": -0.008}), RULES)
    assert decision.objective[1].lo > 0, "on the whole it is better"
    (found,) = [one for one in decision.guards if one.is_veto]
    assert (found.guard, found.difference.scope) == ("objective_anywhere", "web")
    assert decision.verdict == "KEEP"


def test_a_higher_bill_is_excused_by_a_better_service_level_up_to_a_limit():
    dearer = BETTER | {"cost_usd": 12.0, "slo_attainment": 0.01}
    decision = decide(RULE, NEW, contest(dearer), RULES)
    assert decision.verdict == "PROMOTE"
    assert {one.finding for one in decision.guards if one.guard == "cost"} == {"excused"}
    assert "excused by a better service level" in decision.reasons[0]
    assert decide(RULE, NEW, contest(dearer | {"cost_usd": 40.0}), RULES).verdict == "KEEP"
    assert decide(RULE, NEW, contest(dearer | {"slo_attainment": 0.0}), RULES).verdict == "KEEP"


def test_two_of_one_name_are_told_apart():
    veteran = NEW.model_copy(update={"sha256": "c" * 64})
    (told, *_) = decide(veteran, NEW, contest(), RULES).reasons
    assert told.startswith("The new new (seed 1) was not shown to be better than the new (seed 1) ")
    assert "in service in replay" in told


def test_what_was_not_shown_is_no_promotion():
    equal = decide(RULE, NEW, contest(), RULES)
    assert equal.verdict == "KEEP"
    assert "was not shown to be better than reactive" in equal.reasons[0]
    worse = decide(RULE, NEW, contest({"reward": -0.006}), RULES)
    assert any("is worse than reactive in replay" in one for one in worse.reasons)
    assert any("loses to the tuned rule reactive" in one for one in worse.reasons)
    # Better in the main scenario alone is not enough, nor is better on the whole alone.
    main = decide(RULE, NEW, contest(BETTER, web={"reward": -0.007}), RULES)
    assert main.objective[0].lo > 0
    assert main.verdict == "KEEP"
    pooled = decide(RULE, NEW, contest({}, web={"reward": 0.02}), RULES)
    assert pooled.objective[1].lo > 0
    assert pooled.verdict == "KEEP"


def test_the_champion_against_itself_is_nothing_new():
    itself = NEW.model_copy(update={"held_in_gain": 0.01})
    decision = decide(NEW, itself, contest(BETTER), RULES)
    assert decision.verdict == "KEEP"
    assert decision.reasons == ("Nothing new: the challenger new (seed 1) is the champion itself.",)
    assert {(one.difference, one.lo, one.hi) for one in decision.objective} == {(0.0, 0.0, 0.0)}


def test_without_a_challenger_the_champion_stays():
    decision = decide(RULE, None, contest(), RULES)
    assert (decision.verdict, decision.reasons) == ("KEEP", ("No policy was trained.",))
    assert decision.objective == ()


def test_barred_and_too_few_are_refused_though_better():
    barred = decide(RULE, NEW, contest(BETTER), RULES, [NEW.sha256])
    assert barred.reasons == ("new (seed 1) was rolled back before, and is barred.",)
    few = decide(RULE, NEW, contest(BETTER), PromotionRules(min_episodes=EPISODES + 1))
    assert few.reasons == (f"{EPISODES} paired episodes are fewer than {EPISODES + 1}.",)


def test_margins_do_not_add_up_over_the_nights():
    """Within a margin of the champion, which is itself one margin below the tuned rule."""
    at = contest({"reward": 0.02, "slo_attainment": -0.0035}, {"slo_attainment": -0.002},
                 champion=OLD)  # fmt: skip
    decision = decide(OLD, NEW, at, RULES)
    vetoes = {(one.guard, one.difference.against) for one in decision.guards if one.is_veto}
    assert vetoes == {("service_level", "reactive")}
    assert decision.verdict == "KEEP"


def test_a_challenger_that_beats_a_weak_champion_and_loses_to_a_rule_is_not_promoted():
    at = contest({"reward": -0.002}, {"reward": -0.02}, champion=OLD)
    decision = decide(OLD, NEW, at, RULES)
    assert decision.objective[0].lo > 0
    assert decision.verdict == "KEEP"
    assert {one.against for one in decision.rivals} == {"reactive"}
    assert any(one.startswith("It loses to the tuned rule reactive") for one in decision.reasons)
    assert "The champion loses to the tuned rule reactive in replay" in decision.warnings[0]
    assert not decide(OLD, NEW, contest(BETTER, BETTER, champion=OLD), RULES).warnings


def test_one_scenario_is_its_own_whole():
    decision = decide(RULE, NEW, contest(BETTER, scenarios=("replay",)), RULES)
    assert [one.scope for one in decision.objective] == ["replay"]
    assert decision.verdict == "PROMOTE"


def test_the_same_inputs_decide_the_same_to_the_last_digit():
    once, again = (decide(RULE, NEW, contest(BETTER), RULES) for _ in range(2))
    assert once == again


def _pair(a, b, level=0.95):
    frames = [Played(name, {"s": pl.DataFrame({"episode": range(len(x)), "m": x})})
              for name, x in (("a", a), ("b", b))]  # fmt: skip
    return Pair(*frames, seed=0, level=level)


def _guard(**settings):
    return Guard(name="g", metric="m", why="", **settings)


def test_a_relative_margin_is_a_share_of_the_other_episode_by_episode():
    b = np.linspace(100, 200, 30)
    (found,) = judge(_guard(is_higher_better=False, margin=0.1, is_relative=True),
                     _pair(1.05 * b, b))  # fmt: skip
    left = 0.05 * b  # 1.1 b - 1.05 b
    spread = norm.ppf(0.975) * left.std() / 30**0.5
    assert found.slack_lo == pytest.approx(left.mean() - spread, rel=0.05)
    assert found.slack_hi == pytest.approx(left.mean() + spread, rel=0.05)
    assert found.finding == "kept"
    (found,) = judge(_guard(is_higher_better=True, margin=0.04, is_relative=True),
                     _pair(0.95 * b, b))  # fmt: skip
    assert found.slack_hi < 0
    assert found.finding == "violated"


def test_who_bears_the_burden_decides_where_nothing_is_proven():
    noise = np.random.default_rng(0).normal(0, 1.0, 25)
    for burden, finding in (("challenger", "unproven"), ("guard", "kept")):
        (found,) = judge(_guard(is_higher_better=True, margin=0.1, burden=burden),
                         _pair(noise - noise.mean(), np.zeros(25)))  # fmt: skip
        assert found.slack_lo < 0 < found.slack_hi
        assert found.finding == finding
        assert found.is_veto == (burden == "challenger")


def test_equal_to_the_last_digit_passes_even_a_margin_of_nothing():
    same = np.arange(20.0)
    (found,) = judge(_guard(is_higher_better=True, margin=0.0), _pair(same, same))
    assert found.finding == "kept"


@pytest.mark.slow
def test_an_equal_challenger_is_promoted_no_oftener_than_the_level_says():
    """The gate alone: 200 nights of a challenger that is exactly as good; one-sided 2.5 %."""
    rng = np.random.default_rng(1)
    nights = rng.normal(0, 1, (200, 64))
    won = sum(
        Pair(
            Played("a", {"s": pl.DataFrame({"episode": range(64), "m": x})}),
            Played("b", {"s": pl.DataFrame({"episode": range(64), "m": np.zeros(64)})}),
            seed=int(night),
            level=0.95,
        ).difference("m", "s").lo > 0
        for night, x in enumerate(nights)
    )  # fmt: skip
    assert won <= 12, "2.5 % of 200 are 5; three standard errors more"


def test_episodes_that_do_not_pair_are_refused():
    at = contest(BETTER)
    short = at.episodes.filter((pl.col("policy") != "new") | (pl.col("episode") < 30))
    with pytest.raises(ValueError, match="have different episodes in some scenario"):
        decide(RULE, NEW, _with(at, short), RULES)
    other = at.episodes.with_columns(
        requests=pl.when(pl.col("policy") == "new").then(pl.col("requests") * 1.01)
        .otherwise("requests")
    )  # fmt: skip
    with pytest.raises(ValueError, match="met different demand in the same episodes of replay"):
        decide(RULE, NEW, _with(at, other), RULES)


def test_what_is_missing_or_no_number_is_named():
    at = contest(BETTER)
    with pytest.raises(ValueError, match="no column 'availability'"):
        decide(RULE, NEW, _with(at, at.episodes.drop("availability")), RULES)
    nan = at.episodes.with_columns(reward=pl.lit(float("nan")))
    with pytest.raises(ValueError, match="reward of new in replay holds values that are not"):
        decide(RULE, NEW, _with(at, nan), RULES)
    with pytest.raises(ValueError, match=r"no held-out episodes of new \(seed 1\) in replay, web"):
        decide(RULE, NEW, _with(at, at.episodes.filter(pl.col("policy") != "new")), RULES)
    trained = at.episodes.with_columns(is_held_out=pl.lit(False))
    with pytest.raises(ValueError, match="no held-out episodes of reactive"):
        decide(RULE, NEW, _with(at, trained), RULES)


def _with(at, episodes):
    return type(at)(**{**vars(at), "episodes": episodes})


def test_pooled_is_the_mean_over_scenarios_of_the_same_episode_number():
    frame = pl.concat([rows(NEW, name) for name in SCENARIOS])
    played = Played.of(frame, SCENARIOS, "new", 1)
    both = [frame.filter(scenario=name)["reward"].to_numpy() for name in SCENARIOS]
    assert played.values("reward", POOLED) == pytest.approx((both[0] + both[1]) / 2)


def test_margins_are_data_and_unknown_ones_are_refused():
    wider = RULES.with_margins({"cost": 0.5, "cost_limit": 0.5})
    dear = contest(BETTER | {"cost_usd": 50.0})
    assert decide(RULE, NEW, dear, RULES).verdict == "KEEP"
    assert decide(RULE, NEW, dear, wider).verdict == "PROMOTE"
    assert wider.guards[0] == RULES.guards[0]
    with pytest.raises(ValueError, match="no guard price; there are: service_level, cost"):
        RULES.with_margins({"price": 1.0})
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        RULES.with_margins({"cost": -0.1})
