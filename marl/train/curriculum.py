"""When a run moves on to harder situations, and how much of the easier ones it goes on seeing.

Pure bookkeeping of names and numbers. Environments that mix stages are `stage_env`; judging the
policy on a stage and reporting it is `climb`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from marl.frozen import Frozen

_Z: Final = 1.96  # two-sided 95 %


class CurriculumConfig(Frozen):
    """How a run climbs an order of stages, the easiest first.

    A stage is passed when the gain over the baseline, paired on the stage's own held-in episodes,
    is not significantly below `least_gain` (gain + 1.96 standard errors reach it) in
    `evaluations` evaluations in a row, or when it has lasted `max_epochs`. Each epoch's clouds are
    a mixture: the present stage and a share of earlier ones, which take turns (the "mix" of
    Zaremba and Sutskever 2014, arXiv:1410.4615). With the present stage one earlier stage is
    judged, in turn; one that has fallen significantly below `least_gain` is replayed before
    the others' turns until it has recovered; every second epoch a turn is kept.

    Attributes:
        stages: names, in the order they are climbed; empty for all that the loop is given.
        least_gain: the bar, reward per step above the baseline; 0: at least as good as the rule
            that the policy starts from.
        evaluations: evaluations in a row that a stage must pass. They come every
            `TrainConfig.evaluate_every` epochs.
        max_epochs: epochs after which a stage is left unpassed, so that one that cannot be won
            does not end the climb.
        replay_share: share of the clouds that earlier stages get (Zaremba and Sutskever 2014: a
            fifth of the cases are drawn from all difficulties; a little more here, because there
            are few clouds of each).
        replayed: earlier stages that share them in one epoch; each has turns, so a stage comes
            again at least every (number of stages / `replayed`) epochs.
    """

    stages: tuple[str, ...] = ()
    least_gain: float = 0.0
    evaluations: int = Field(default=1, ge=1)
    max_epochs: int = Field(default=8, ge=1)
    replay_share: float = Field(default=0.3, gt=0, lt=1)
    replayed: int = Field(default=3, ge=1)


@dataclass(frozen=True)
class Judgement:
    """A paired gain over the baseline, and its standard error."""

    gain: float
    gain_se: float

    def is_below(self, bar: float) -> bool:
        """Whether the gain is significantly (95 %) below `bar`."""
        return self.gain + _Z * self.gain_se < bar


class Curriculum:
    """Where on the order a run stands.

    Args:
        config: the rule.
        known: names of the stages there are, in order.

    Raises:
        ValueError: the configuration names a stage that is not known, or one twice; none is left.
    """

    def __init__(self, config: CurriculumConfig, known: Sequence[str]) -> None:
        self.config = config
        self.stages = config.stages or tuple(known)
        if absent := [name for name in self.stages if name not in known]:
            raise ValueError(
                f"no stage {', '.join(absent)} for the curriculum; there are: {', '.join(known)}"
            )
        if not self.stages or len(set(self.stages)) < len(self.stages):
            raise ValueError(f"a curriculum needs distinct stages; got {self.stages}")
        self.place = 0  # of the present stage
        self.epochs = 0  # spent in it
        self.passed = 0  # evaluations passed in a row
        self.is_over = False  # the last stage was passed
        self.turn = 0  # the next earlier stage to be replayed
        self.count = 0  # epochs in all
        self.probe = 0  # the next earlier stage to be judged
        self.gains: dict[str, Judgement] = {}  # last known, by stage

    @property
    def stage(self) -> str:
        """The present stage."""
        return self.stages[self.place]

    def forgotten(self) -> tuple[str, ...]:
        """Earlier stages last seen significantly below the bar."""
        bar, earlier = self.config.least_gain, self.stages[: self.place]
        return tuple(
            name for name in earlier if name in self.gains and self.gains[name].is_below(bar)
        )

    def blend(self) -> tuple[tuple[str, float], ...]:
        """(stage, share of the clouds) of the coming epoch, the present one first; sums to 1."""
        replayed = self._replayed()[0]
        if not replayed:
            return ((self.stage, 1.0),)
        share = self.config.replay_share
        return ((self.stage, 1 - share), *((name, share / len(replayed)) for name in replayed))

    def end_epoch(self) -> None:
        """Count an epoch trained with `blend()`; the next earlier stages have their turn."""
        self.turn = self._replayed()[1]
        self.count += 1
        self.epochs += 1

    def to_judge(self) -> tuple[str, ...]:
        """Stages to judge at this evaluation: the present one, and one earlier in turn."""
        if not self.place:
            return (self.stage,)
        return (self.stage, self.stages[self.probe % self.place])

    def take(self, judged: Mapping[str, Judgement]) -> str | None:
        """Note how `to_judge()` did; move on where the rule says so.

        Returns:
            The stage that was left, None if none.
        """
        self.gains |= judged
        if self.place:
            self.probe = (self.probe + 1) % self.place
        if self.is_over:
            return None
        is_good = not judged[self.stage].is_below(self.config.least_gain)
        self.passed = self.passed + 1 if is_good else 0
        if self.passed < self.config.evaluations and self.epochs < self.config.max_epochs:
            return None
        left = self.stage
        self.epochs = self.passed = 0
        if self.place == len(self.stages) - 1:
            self.is_over = True
        else:
            self.place += 1
        return left

    def state_dict(self) -> dict[str, Any]:
        """Everything that later epochs depend on."""
        return {
            "place": self.place,
            "epochs": self.epochs,
            "passed": self.passed,
            "is_over": self.is_over,
            "turn": self.turn,
            "count": self.count,
            "probe": self.probe,
            "gains": {name: [one.gain, one.gain_se] for name, one in self.gains.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.place, self.epochs = int(state["place"]), int(state["epochs"])
        self.passed, self.is_over = int(state["passed"]), bool(state["is_over"])
        self.turn, self.probe = int(state["turn"]), int(state["probe"])
        self.count = int(state["count"])
        self.gains = {name: Judgement(*numbers) for name, numbers in state["gains"].items()}

    def _replayed(self) -> tuple[tuple[str, ...], int]:
        """Earlier stages of the coming epoch, and whose turn is next.

        Those that were forgotten, then those whose turn it is; every second epoch at least one.
        """
        wanted = min(self.config.replayed, self.place)
        names = list(self.forgotten()[: max(0, wanted - self.count % 2)])
        turn = self.turn
        while len(names) < wanted:
            if (name := self.stages[turn]) not in names:
                names.append(name)
            turn = (turn + 1) % self.place
        return tuple(names), turn
