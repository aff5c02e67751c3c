"""Whole experiments: on arms whose truth is known, and on clouds that are really played."""

import json

import numpy as np
import polars as pl
import pytest

from marl.evaluate.ab import arms as arms_module
from marl.evaluate.ab import command
from marl.evaluate.ab.arms import Arm, parse_overrides, require_common
from marl.evaluate.ab.experiment import GuardAsked, Settings, run
from marl.evaluate.policies import ConstantPolicy, RandomPolicy
from marl.train.seeding import derive_seed
from tests.unit.marl.evaluate.worlds import KEEP, LqWorld

COLUMNS = ("reward", "cost_usd", "slo_attainment")


class KnownArm(Arm):
    """Figures that follow the weather, `gains` above it."""

    def __init__(self, name, **gains):
        super().__init__(ConstantPolicy(name, KEEP), LqWorld())
        self.gains, self.asked = gains, []

    def episodes(self, scenario, split, count, seed):
        self.asked.append((scenario, split, count, seed))
        weather = np.random.default_rng(derive_seed(seed, split)).normal(size=(count, 3))
        own = np.random.default_rng(derive_seed(seed, split, self.name)).normal(size=(count, 3))
        rows = pl.DataFrame(100 + 5 * weather + own, schema=list(COLUMNS))
        gained = [pl.col(column) + self.gains.get(column, 0.0) for column in COLUMNS]
        return rows.with_columns(gained).with_row_index("episode")


A = KnownArm("a")
GUARDS = (
    GuardAsked(metric="cost_usd"),
    GuardAsked(metric="slo_attainment", margin=2.0, is_share=False),
)


@pytest.mark.parametrize(
    ("metric", "gains", "expected"),
    [
        ("reward", {"reward": 5.0}, ("SHIP", "better")),
        ("reward", {"reward": -5.0}, ("KEEP", "worse")),
        ("reward", {"reward": 5.0, "cost_usd": 4.0}, ("KEEP", "guard broken")),
        ("reward", {"reward": 5.0, "slo_attainment": -5.0}, ("KEEP", "guard broken")),
        ("reward", {"reward": 5.0, "slo_attainment": 5.0}, ("SHIP", "better")),
        ("cost_usd", {"cost_usd": -5.0}, ("SHIP", "better")),  # lower is better
        ("cost_usd", {"cost_usd": 5.0}, ("KEEP", "worse")),
    ],
)
def test_what_is_known_is_found(metric, gains, expected):
    guards = tuple(guard for guard in GUARDS if guard.metric != metric)
    result = run(A, KnownArm("b", **gains), Settings(metric=metric, guards=guards))
    assert (str(result.verdict.decision), result.verdict.reason) == expected
    last = result.verdict.looks[-1]
    gain = gains[metric] * (1 if metric == "reward" else -1)
    assert last.lo <= gain <= last.hi
    assert result.design.effect == pytest.approx(0.05 * result.pilot.mean_a)
    assert result.is_higher_better == (metric == "reward")


def test_the_plan_is_made_from_training_episodes_alone():
    arm, planned = KnownArm("b", reward=1.0), []
    settings = Settings(minimum_effect=0.5, pilot_episodes=40, seed=3)
    result = run(A, arm, settings, on_plan=lambda pilot, design: planned.extend(arm.asked))
    assert planned == [("replay", "train", 40, derive_seed(3, "ab pilot"))]
    later = arm.asked[1:]
    assert {(scenario, split, seed) for scenario, split, _, seed in later} == {
        ("replay", "held_out", derive_seed(3, "ab"))
    }
    assert [count for _, _, count, _ in later] == [look.episodes for look in result.verdict.looks]
    assert result.pilot.sd == pytest.approx(2**0.5, rel=0.3)
    assert result.pilot.sd_limit > result.pilot.sd
    assert result == run(A, KnownArm("b", reward=1.0), settings)  # the same, whenever it is run


def test_policies_are_really_played_in_the_same_weather():
    world = LqWorld()
    keep, chance = Arm(ConstantPolicy("keep", KEEP), world), Arm(RandomPolicy(), world)
    result = run(chance, keep, Settings(scenario="any", minimum_effect=0.5))
    assert (str(result.verdict.decision), result.verdict.reason) == ("SHIP", "better")
    twin = Arm(ConstantPolicy("twin", KEEP), world)
    result = run(keep, twin, Settings(scenario="any", minimum_effect=0.1))
    assert (str(result.verdict.decision), result.verdict.reason) == ("KEEP", "no difference")
    first = keep.episodes("any", "held_out", 8, 5)
    assert keep.episodes("any", "held_out", 40, 5).head(8).equals(first)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="which direction of 'steps' is good"):
        run(A, A, Settings(metric="steps"))
    with pytest.raises(ValueError, match="must be different columns"):
        run(A, A, Settings(metric="cost_usd", guards=(GuardAsked(metric="cost_usd"),)))
    with pytest.raises(ValueError, match="no column waste; there are"):
        run(A, A, Settings(guards=(GuardAsked(metric="waste"),)))
    with pytest.raises(ValueError, match="must be above 0; got -1"):
        run(A, A, Settings(minimum_effect=-1.0))


def test_configurations_are_fields_of_the_cloud_with_allowed_values():
    found = parse_overrides(["zones=2", "machine_type=n2-standard-8", "committed_share=0.1"])
    assert found == {"zones": 2, "machine_type": "n2-standard-8", "committed_share": 0.1}
    for wrong in ("zones", "no_such=1"):
        with pytest.raises(ValueError, match="is not key=value with a key among"):
            parse_overrides([wrong])
    with pytest.raises(ValueError, match="zones"):
        parse_overrides(["zones=99"])


def test_rewards_that_are_counted_differently_are_not_compared():
    policy = ConstantPolicy("a", KEEP)
    plain, other = Arm(policy, LqWorld()), Arm(policy, LqWorld(), {"violation_scale": 0.5})
    with pytest.raises(ValueError, match="differ in violation_scale, which changes what reward"):
        require_common(plain, other, "reward")
    require_common(plain, other, "cost_usd")
    require_common(plain, Arm(policy, LqWorld(), {"zones": 2}), "reward")
    assert other.name == "a (violation_scale=0.5)"


@pytest.fixture
def known(monkeypatch):
    """The command's arms by name: `b` is 5 better, `c` not at all."""
    made = {"a": KnownArm("a"), "b": KnownArm("b", reward=5.0), "c": KnownArm("c")}

    def load(name, overrides, **_):
        if name not in made:
            raise FileNotFoundError(f"no policy {name!r}")
        return made[name]

    monkeypatch.setattr(command, "load_arm", load)


def test_the_command_says_what_and_why(known, tmp_path, capsys):
    out = tmp_path / "ab.json"
    assert command.main(["a", "b", "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "SHIP: B is better in reward" in text
    assert "guard slo_attainment: held" in text
    assert "repeated 95% interval" in text
    assert "the workload is synthetic" in text
    stored = json.loads(out.read_text())
    assert stored["verdict"]["decision"] == "SHIP"
    assert stored["schema_version"] == 1
    assert [guard["metric"] for guard in stored["settings"]["guards"]] == [
        "slo_attainment", "cost_usd",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["c", "--minimum-effect", "0.5", "--guards", ""], "KEEP: "),
        (["c", "--minimum-effect", "0.1", "--max-episodes", "600"], "CONTINUE: no boundary"),
        (["b", "--method", "msprt", "--guards", "cost_usd=2%"], "SHIP: "),
        (["b", "--method", "pocock", "--looks", "2"], "SHIP: "),
        (["b", "--guards", "cost_usd=0"], "is not shown"),
    ],
)
def test_the_commands_other_answers(known, capsys, arguments, said):
    assert command.main(["a", *arguments]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no policy 'nobody'"),
        (["b", "--b-config", "zones"], "is not key=value"),
        (["b", "--guards", "cost_usd=much"], "must be a number >= 0, or a percentage"),
        (["b", "--max-episodes", "2"], "the first look needs"),
    ],
)
def test_the_command_tells_nonsense(known, capsys, arguments, said):
    with pytest.raises(SystemExit):
        command.main(["a", *arguments])
    assert said in capsys.readouterr().err


def test_arms_are_loaded_with_their_overrides(monkeypatch):
    from marl.evaluate.world import ProvisioningWorld

    monkeypatch.setattr(arms_module, "load_policy", lambda *_, **__: ConstantPolicy("a", KEEP))
    monkeypatch.setattr(arms_module, "stored_world", lambda *_: ProvisioningWorld(model=None))
    arm = arms_module.load_arm("a", {"zones": 2})
    assert (arm.world.overrides, arm.name) == ({"zones": 2}, "a (zones=2)")
