"""The checks of `champion_policy` are fed decisions that cannot be, and name what is wrong."""

import json

import pytest

from assets.evaluation.promotion_checks import (
    PROMOTION_CHECKS,
    champion_earns_its_place,
    decision_stands,
)
from marl.evaluate.promotion.champion import CHAMPION, DECISION, Kept, tuned_rule
from marl.evaluate.promotion.decide import decide
from marl.evaluate.promotion.guards import PromotionRules
from marl.evaluate.promotion.record import Contender
from marl.files import sha256_file, write_json
from tests.unit.marl.evaluate.promotion.contests import (
    NEW,
    RULE,
    contest,
    lineage,
    save_learned,
)

BETTER = {"reward": 0.006}


@pytest.fixture
def promoted(tmp_path):
    """A promotion as the asset leaves it, and what writes it with something changed."""
    path = tmp_path / "policy.safetensors"
    save_learned(path, "new", 1, 0.1)
    winner = NEW.model_copy(update={"sha256": sha256_file(path)})
    folder = tmp_path / "champion_policy"
    folder.mkdir()
    Kept(winner, path).save(folder / CHAMPION)
    document = decide(RULE, winner, contest(BETTER), PromotionRules()).model_dump(mode="json")
    assert document["verdict"] == "PROMOTE"

    def write(**changes):
        write_json(folder / DECISION, {**document, **changes})
        return decision_stands(folder)

    write()
    return folder, document, write


def _worse(rows, place=0, **changes):
    return [{**row, **(changes if at == place else {})} for at, row in enumerate(rows)]


def test_a_promotion_that_earned_it_stands(promoted):
    folder, _, _ = promoted
    assert decision_stands(folder) == (
        True, "PROMOTE, new (seed 1) is in service", {"verdict": "PROMOTE"},
    )  # fmt: skip
    assert champion_earns_its_place(folder)[0]


def test_a_promotion_without_an_interval_above_zero_fails(promoted):
    _, document, write = promoted
    passed, said, _ = write(objective=_worse(document["objective"], lo=-0.0001))
    assert not passed
    assert said == "promoted, but the interval begins at -0.0001 in replay"
    assert (
        "begins at +0.0000 in all scenarios"
        in write(objective=_worse(document["objective"], 1, lo=0.0))[1]
    )
    assert "without the objective's difference in all scenarios, replay" in write(objective=[])[1]


def test_a_promotion_with_a_violated_or_silent_guard_fails(promoted):
    _, document, write = promoted
    for finding in ("violated", "unproven"):
        said = write(guards=_worse(document["guards"], finding=finding))[1]
        assert said == f"promoted, but guard service_level is {finding} in replay"
    left = [one for one in document["guards"] if one["guard"] != "deadlines"]
    assert write(guards=left)[1] == "promoted, but guards deadlines found nothing"


def test_a_promotion_of_a_loser_of_the_barred_or_on_too_little_fails(promoted):
    _, document, write = promoted
    assert "it loses to reactive in replay" in write(
        rivals=_worse(document["rivals"], hi=-0.001)
    )[1]  # fmt: skip
    assert "promoted on 3 episodes" in write(episodes=3)[1]
    assert "new (seed 1) is barred" in write(barred=[document["winner"]["sha256"]])[1]
    assert "is not the challenger reactive" in write(challenger=RULE.model_dump())[1]


def test_the_policy_in_the_folder_must_be_the_one_decided_on(promoted):
    folder, _, write = promoted
    other = Contender(name="other", training_seed=1, sha256="c" * 64).model_dump()
    said = write(winner=other, challenger=other)[1]
    assert said == "decided on other (seed 1), but the folder holds new (seed 1)"
    assert "KEEP, but new (seed 1) is another policy" in write(verdict="KEEP")[1]
    assert "rolled back, but reactive is not barred" in write(verdict="ROLL BACK")[1]
    assert "no usable decision" in write(schema_version=99)[1]
    write()
    save_learned(folder / CHAMPION / "policy.safetensors", "new", 1, 0.2)
    assert "was changed" in decision_stands(folder)[1]
    (folder / CHAMPION / "policy.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert not decision_stands(folder)[0]


def test_a_policy_that_no_longer_loads_fails(promoted):
    """The hash is right, and it is still no policy."""
    folder, document, write = promoted
    path = folder / CHAMPION / "policy.safetensors"
    path.write_bytes(b"\x80\x04cos\nsystem\n.")
    winner = {**document["winner"], "sha256": sha256_file(path)}
    write_json(folder / CHAMPION / "contender.json", winner)
    passed, said, _ = write(winner=winner, challenger=winner)
    assert not passed
    assert "is not a safetensors file" in said


def test_a_champion_that_loses_to_the_rule_is_warned_of(promoted):
    folder, _, write = promoted
    write(warnings=["The champion loses to the tuned rule reactive in replay."])
    passed, said, metadata = champion_earns_its_place(folder)
    assert (passed, metadata) == (False, {"warnings": 1})
    assert "loses to the tuned rule" in said
    (folder / DECISION).write_text("{")
    assert not champion_earns_its_place(folder)[0]


def test_a_kept_rule_stands(tmp_path):
    at = lineage(tmp_path, [])
    kept = tuned_rule(at.baseline_policies)
    at.folder.mkdir()
    kept.save(at.folder / CHAMPION)
    decision = decide(kept.contender, None, contest(), PromotionRules())
    write_json(at.folder / DECISION, decision.model_dump(mode="json"))
    assert decision_stands(at.folder)[:2] == (True, "KEEP, reactive is in service")
    rule = at.folder / CHAMPION / "rule.json"
    rule.write_text(json.dumps({**json.loads(rule.read_text()), "reward": 1.0}))
    assert "was changed" in decision_stands(at.folder)[1]


def test_the_one_that_guards_the_plan_is_blocking():
    blocking = {
        spec.name: spec.blocking for check in PROMOTION_CHECKS for spec in check.check_specs
    }
    assert blocking == {"decision_stands": True, "champion_earns_its_place": False}
