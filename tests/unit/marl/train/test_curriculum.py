"""The rule by which stages are left, and who is replayed beside the present one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.train.curriculum import Curriculum, CurriculumConfig, Judgement

NAMES = ("a", "b", "c", "d", "e")
GOOD, BAD, UNSURE = Judgement(0.1, 0.01), Judgement(-0.1, 0.01), Judgement(-0.01, 0.01)


def climbed(config, verdicts, epochs_between=1):
    """The stage after each evaluation, if every stage judged does as the verdict says."""
    climb = Curriculum(config, NAMES)
    stages = []
    for verdict in verdicts:
        for _ in range(epochs_between):
            climb.end_epoch()
        climb.take(dict.fromkeys(climb.to_judge(), verdict))
        stages.append(climb.stage)
    return climb, stages


def test_below_means_significantly_below():
    assert BAD.is_below(0.0)
    assert not UNSURE.is_below(0.0)  # -.01 + 1.96 × .01 > 0
    assert UNSURE.is_below(0.02)
    assert Judgement(-0.1, 0.0).is_below(-0.099)
    assert not Judgement(-0.1, 0.0).is_below(-0.1)


def test_a_stage_is_left_when_it_was_passed_often_enough_in_a_row():
    config = CurriculumConfig(evaluations=2, max_epochs=100)
    _, stages = climbed(config, [GOOD, GOOD, UNSURE, BAD, GOOD, UNSURE, GOOD])
    assert stages == ["a", "b", "b", "b", "b", "c", "c"]


def test_a_stage_that_cannot_be_won_is_left_after_its_epochs():
    climb, stages = climbed(CurriculumConfig(max_epochs=3), [BAD] * 7)
    assert stages == ["a", "a", "b", "b", "b", "c", "c"]
    assert climb.forgotten() == ("a", "b")  # left, but not as known
    climb, stages = climbed(CurriculumConfig(max_epochs=3), [BAD] * 3, epochs_between=2)
    assert stages == ["a", "b", "b"]


def test_the_bar_is_a_setting():
    _, stages = climbed(CurriculumConfig(least_gain=0.5), [GOOD, GOOD])
    assert stages == ["a", "a"]
    _, stages = climbed(CurriculumConfig(least_gain=-0.5), [BAD, BAD])
    assert stages == ["b", "c"]


def test_at_the_end_the_last_stage_stays():
    climb, stages = climbed(CurriculumConfig(), [GOOD] * 7)
    assert stages == ["b", "c", "d", "e", "e", "e", "e"]
    assert climb.is_over
    assert climb.blend()[0] == ("e", pytest.approx(0.7))


def test_earlier_stages_take_turns_beside_the_present_one():
    climb = Curriculum(CurriculumConfig(replayed=2, replay_share=0.4), NAMES)
    assert climb.blend() == (("a", 1.0),)
    climb.place = 3  # d; a, b, c are earlier
    seen = []
    for _ in range(3):
        blend = climb.blend()
        assert blend == climb.blend()  # asking changes nothing
        assert blend[0] == ("d", pytest.approx(0.6))
        assert [share for _, share in blend[1:]] == [0.2, 0.2]
        seen.append([name for name, _ in blend[1:]])
        climb.end_epoch()
    assert seen == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_what_was_forgotten_is_replayed_until_it_is_known_again():
    climb = Curriculum(CurriculumConfig(replayed=2), NAMES)
    climb.place = 3
    climb.take({"d": BAD, "b": BAD})
    for turns in (["b", "a"], ["b", "c"], ["b", "a"]):
        assert [name for name, _ in climb.blend()[1:]] == turns
        climb.end_epoch()
    climb.take({"d": BAD, "b": UNSURE})
    assert climb.forgotten() == ()


def test_beside_the_present_stage_every_earlier_one_is_judged_in_turn():
    climb = Curriculum(CurriculumConfig(), NAMES)
    assert climb.to_judge() == ("a",)
    climb.place = 2
    judged = []
    for _ in range(4):
        judged.append(climb.to_judge())
        climb.take({"c": BAD})
    assert judged == [("c", "a"), ("c", "b")] * 2


@given(st.lists(st.sampled_from([GOOD, BAD, UNSURE]), max_size=40), st.integers(1, 4))
def test_no_stage_is_ever_left_out_for_long_and_a_copy_goes_on_the_same(verdicts, replayed):
    config = CurriculumConfig(replayed=replayed, max_epochs=3)
    one, last = Curriculum(config, NAMES), {}
    for epoch, verdict in enumerate(verdicts):
        blend = one.blend()
        assert sum(share for _, share in blend) == pytest.approx(1)
        assert blend[0][0] == one.stage
        assert len({name for name, _ in blend}) == len(blend) == 1 + min(replayed, one.place)
        last |= {name: epoch for name, _ in blend}
        assert all(epoch - last[name] <= 2 * len(NAMES) for name in one.stages[: one.place])
        one.end_epoch()
        other = Curriculum(config, NAMES)
        other.load_state_dict(one.state_dict())
        judged = dict.fromkeys(one.to_judge(), verdict)
        assert other.to_judge() == one.to_judge()
        assert other.take(judged) == one.take(judged)
        assert other.state_dict() == one.state_dict()
        assert other.blend() == one.blend()


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no stage x for the curriculum; there are: a, b"):
        Curriculum(CurriculumConfig(stages=("a", "x")), ("a", "b"))
    with pytest.raises(ValueError, match="distinct stages"):
        Curriculum(CurriculumConfig(stages=("a", "a")), ("a", "b"))
    with pytest.raises(ValueError, match="distinct stages"):
        Curriculum(CurriculumConfig(), ())
    assert Curriculum(CurriculumConfig(stages=("b", "a")), ("a", "b")).stages == ("b", "a")
