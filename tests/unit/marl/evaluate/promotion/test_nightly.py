"""Nights one after another, on real policy files in a world whose best action is known: none."""

import json
import shutil

import polars as pl
import pytest

from marl.evaluate.policies import ConstantPolicy, LearnedPolicy
from marl.evaluate.promotion.challenger import pick_challenger
from marl.evaluate.promotion.champion import (
    ChampionError,
    load_champion,
    read_decision,
    stored,
    tuned_rule,
)
from marl.evaluate.promotion.nightly import hold_contest, roll_back
from marl.files import replace
from tests.unit.marl.evaluate.promotion.contests import (
    EPISODES,
    TUNED,
    Registry,
    lineage,
    save_learned,
)
from tests.unit.marl.evaluate.worlds import LqWorld

# The rule always does .4; the less a policy does, the better it is.
WEAK, GOOD, BEST = ("apg", 0, 0.5, 0.01), ("apg", 0, 0.25, 0.01), ("maddpg", 3, 0.0, 0.02)


def night(root, learned, registry=None, act=hold_contest, **settings):
    """One night, published as the IO manager does it."""
    at = lineage(root, learned, **settings)
    return publish(at, registry or Registry(), act), at


def publish(at, registry, act=hold_contest):
    into = at.folder.with_name("champion_policy.staging-1-00000000")
    into.mkdir()
    decision = act(at, registry, into)
    replace(into, at.folder)
    return decision


def test_the_first_champion_is_the_tuned_rule_and_a_better_policy_takes_its_place(tmp_path):
    registry = Registry(**{"stratoform-apg": 4})
    decision, at = night(tmp_path, [GOOD], registry)
    assert decision.verdict == "PROMOTE", decision.reasons
    assert (decision.champion.name, decision.winner.name) == ("reactive", "apg")
    assert decision.winner.version == 4
    assert registry.crowned == [("stratoform-apg", 4)]
    assert {one.against for one in decision.rivals} == {"reactive", "predictive"}
    policy, read = load_champion(at.folder)
    assert read == decision == read_decision(at.folder)
    assert isinstance(policy, LearnedPolicy)
    assert policy.card.baseline["controller_0"] == (0.25,)
    page = (at.folder / "decision.md").read_text()
    assert page.startswith("# PROMOTE: apg (seed 0) takes the place of reactive")
    assert "stratoform-apg v4" in page
    assert "The trace behind it is synthetic" in page
    assert "| service_level | replay | reactive | slo_attainment |" in page
    assert stored(at.folder).previous.contender.name == "reactive"


def test_a_night_done_twice_decides_nothing_new_and_leaves_the_same_champion(tmp_path):
    first, at = night(tmp_path, [GOOD])
    registry = Registry(**{"stratoform-apg": 4})
    again = publish(at, registry)
    assert again.verdict == "KEEP"
    assert again.reasons[0].startswith("Nothing new")
    assert again.promoted_by == first.promoted_by
    assert "It was promoted because: better than reactive" in again.choice
    assert again.winner.sha256 == first.winner.sha256
    assert registry.crowned == [("stratoform-apg", 4)], "an alias lost is set again"
    third = publish(at, registry)
    assert third == again, "from then on the same to the last digit"
    lines = (at.folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["PROMOTE"]


def test_a_worse_policy_is_kept_out_and_a_better_one_beats_the_replayed_champion(tmp_path):
    night(tmp_path, [GOOD])
    kept, at = night(tmp_path, [WEAK])
    assert (kept.verdict, kept.champion.name, kept.winner) == ("KEEP", "apg", kept.champion)
    assert any("is worse than the apg" in reason for reason in kept.reasons)
    replayed = pl.read_parquet(at.folder / "champion_episodes.parquet")
    assert replayed.height == 2 * EPISODES
    assert load_champion(at.folder)[0].card.baseline["controller_0"] == (0.25,)
    promoted, at = night(tmp_path, [WEAK, BEST])
    assert promoted.verdict == "PROMOTE"
    assert promoted.challenger.name == "maddpg"
    assert promoted.champion.name == "apg"
    assert {one.difference.against for one in promoted.guards} == {"apg", "reactive"}
    found = stored(at.folder)
    assert found.previous.contender.sha256 == kept.winner.sha256
    assert [line["verdict"] for line in found.history] == ["PROMOTE", "KEEP", "PROMOTE"]


def test_the_champion_replayed_is_the_champion_played_tonight(tmp_path):
    """The same file under tonight's policies, or replayed from the champion's folder: one table."""
    _, at = night(tmp_path, [GOOD])
    tonight = publish(at, Registry())
    assert not (at.folder / "champion_episodes.parquet").exists()
    replayed, at = night(tmp_path, [WEAK])
    assert (at.folder / "champion_episodes.parquet").exists()
    assert [one.mean for one in replayed.health] == pytest.approx(
        [one.mean for one in tonight.health]
    )


def test_a_rule_in_service_is_the_rule_as_it_is_tuned_tonight(tmp_path):
    decision, at = night(tmp_path, [WEAK])
    assert decision.winner == tuned_rule(at.baseline_policies).contender
    policy, _ = load_champion(at.folder)
    assert isinstance(policy, ConstantPolicy)
    text = (at.baseline_policies / "baselines.json").read_text()
    (at.baseline_policies / "baselines.json").write_text(text.replace("0.6,", "0.7,"))
    assert publish(at, Registry()).winner == decision.winner, "another rule changed"
    (at.baseline_policies / "baselines.json").write_text(text.replace("0.4,", "0.41,"))
    assert publish(at, Registry()).winner != decision.winner


def test_rolling_back_puts_the_one_before_in_service_and_bars_the_other(tmp_path):
    night(tmp_path, [GOOD])
    promoted, at = night(tmp_path, [BEST])
    registry = Registry(**{"stratoform-apg": 2, "stratoform-maddpg": 1})
    back = publish(at, registry, roll_back)
    assert (back.verdict, back.champion.name, back.winner.name) == ("ROLL BACK", "maddpg", "apg")
    assert registry.crowned == [("stratoform-apg", 2)]
    assert back.barred == (promoted.winner.sha256,)
    assert (
        "# ROLL BACK: apg (seed 0) is in service again instead of maddpg"
        in (at.folder / "decision.md").read_text()
    )
    # The nightly job finds the same policy better again, and does not promote it.
    again = publish(at, registry)
    assert again.verdict == "KEEP"
    assert again.reasons == ("maddpg (seed 3) was rolled back before, and is barred.",)
    assert again.barred == back.barred
    pardon = type(at)(**{**vars(at), "pardoned": back.barred})
    assert publish(pardon, registry).verdict == "PROMOTE"
    assert read_decision(at.folder).barred == ()
    told = [line["verdict"] for line in stored(at.folder).history]
    assert told == ["PROMOTE", "PROMOTE", "ROLL BACK", "PROMOTE"], "the same night, decided anew"


def test_rolling_back_further_ends_at_the_tuned_rule_and_then_at_an_error(tmp_path):
    _, at = night(tmp_path, [GOOD])
    registry = Registry()
    assert publish(at, registry, roll_back).winner.name == "reactive"
    assert registry.crowned == [(None, None)]
    into = tmp_path / "nothing"
    into.mkdir()
    with pytest.raises(ValueError, match="nothing to roll back: no learned policy is in service"):
        roll_back(at, registry, into)


class WiderWorld(LqWorld):
    """One more knob."""

    def make_env(self, scenario, split):
        make = super().make_env(scenario, split)

        def wider(num_envs, seed):
            env = make(num_envs, seed)
            from gymnasium.spaces import Box

            env.action_spec["controller_1"] = Box(-1.0, 1.0, (3,))
            return env

        return wider


def test_a_champion_that_no_longer_fits_is_replaced_by_the_rule_and_that_is_said(tmp_path):
    night(tmp_path, [GOOD])
    at = lineage(tmp_path, [WEAK], world=WiderWorld())
    decision = publish(at, Registry())
    assert decision.champion.name == "reactive"
    assert decision.winner.name == "reactive"
    (said, *_) = decision.warnings
    assert "The champion apg (seed 0) no longer fits this world" in said
    assert "made for knobs" in said
    assert said in decision.choice
    assert said in (at.folder / "decision.md").read_text()


def test_an_unregistered_policy_is_told(tmp_path):
    decision, _ = night(tmp_path, [GOOD])
    assert decision.winner.version is None
    assert decision.winner.model is None
    assert "apg (seed 0) has no version in MLflow's registry" in decision.warnings[0]


def test_the_challenger_is_the_best_held_in_on_average_and_then_its_best_seed(tmp_path):
    lucky = [("lucky", 0, 0.3, 0.09), ("lucky", 1, 0.3, -0.08)]
    steady = [("steady", 0, 0.3, 0.01), ("steady", 1, 0.3, 0.03), ("steady", 2, 0.3, 0.02)]
    oracle = [("apg_oracle", 0, 0.3, 0.5)]
    at = lineage(tmp_path, [*lucky, *steady])
    # Curves tell of an oracle; what sees the future cannot be deployed.
    learning = at.trained_policies / "learning.parquet"
    frame = pl.read_parquet(learning)
    extra = pl.DataFrame(
        [{"policy": n, "training_seed": s, "is_kept": True, "gain": g} for n, s, _, g in oracle]
    )
    later = frame.head(1).with_columns(is_kept=False, gain=9.0)  # a point that was not kept
    pl.concat([frame, extra, later]).write_parquet(learning)
    found = pick_challenger(at.trained_policies)
    assert (found.name, found.training_seed, found.held_in_gain) == ("steady", 1, 0.03)
    (at.trained_policies / "steady-seed1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"steady-seed1\.safetensors is missing"):
        pick_challenger(at.trained_policies)


def test_nothing_trained_keeps_the_rule(tmp_path):
    decision, _ = night(tmp_path, [])
    assert (decision.verdict, decision.challenger) == ("KEEP", None)
    assert decision.reasons == ("No policy was trained.",)


def test_a_kill_between_the_two_renames_loses_no_champion(tmp_path):
    first, at = night(tmp_path, [GOOD])
    at.folder.rename(at.folder.with_name("champion_policy.staging-old-12345678"))
    assert stored(at.folder).decision == first
    shutil.copytree(at.folder, at.folder.with_name("champion_policy.staging-old-00000000"))
    assert stored(at.folder).decision == first
    assert [path.name for path in tmp_path.glob("champion*")] == ["champion_policy"]


def test_a_kill_after_the_alias_moved_decides_the_same_again(tmp_path):
    at = lineage(tmp_path, [GOOD])
    registry = Registry(**{"stratoform-apg": 4})
    aside = tmp_path / "lost"
    aside.mkdir()
    lost = hold_contest(at, registry, aside)  # killed before it was published
    assert publish(at, registry) == lost
    assert registry.crowned == [("stratoform-apg", 4)] * 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "champion" / "policy.safetensors").write_bytes(b"x"), "was changed"),
        (lambda f: (f / "champion" / "policy.safetensors").unlink(), "no usable champion"),
        (lambda f: (f / "decision.json").write_text("{}"), "schema_version None"),
        (lambda f: (f / "decision.json").unlink(), "no usable decision"),
        (
            lambda f: save_learned(f / "champion" / "policy.safetensors", "apg", 0, 0.9),
            "was changed",
        ),
    ],
)
def test_a_damaged_champion_is_refused_not_replaced(tmp_path, damage, said):
    _, at = night(tmp_path, [GOOD])
    damage(at.folder)
    with pytest.raises(ChampionError, match=said) as refused:
        publish(at, Registry())
    assert "restore it from a backup" in str(refused.value)


def test_the_champion_of_another_decision_is_refused(tmp_path):
    _, at = night(tmp_path, [GOOD])
    _, other = night(tmp_path / "other", [BEST])
    shutil.rmtree(at.folder / "champion")
    shutil.copytree(other.folder / "champion", at.folder / "champion")
    with pytest.raises(ChampionError, match="the folder holds maddpg"):
        load_champion(at.folder)


def test_no_champion_names_what_makes_one(tmp_path):
    with pytest.raises(ChampionError, match="materialise champion_policy"):
        load_champion(tmp_path / "champion_policy")


def test_the_rule_is_stored_without_its_trials(tmp_path):
    at = lineage(tmp_path, [])
    kept = tuned_rule(at.baseline_policies)
    assert kept.content["trials"] == []
    action = kept.policy().action
    assert {name: tuple(values.tolist()) for name, values in action.items()} == {
        name: pytest.approx(values) for name, values in TUNED.items()
    }
