"""A curriculum in a run: which clouds the trainer gets, judging stages, and what to tell of it.

The rule is `curriculum`'s, the mixing `stage_env`'s. No trainer knows of a curriculum: it trains
in what `Climb.make_env` made, and its held-in environment shows the stage that is judged.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from marl.train.curriculum import Curriculum, CurriculumConfig, Judgement
from marl.train.env import MakeEnv
from marl.train.held_in import HELD_IN_SEED, refuse_not_finite
from marl.train.stage_env import Part, StageEnv, Stages
from marl.train.trainers import AnyTrainer


class Climb:
    """One run's way through the stages.

    Args:
        config: the rule.
        target: environments of the situation that the run is for; held-in evaluation, and so the
            choice of the best policy, stay there.
        stages: name → environments of that stage, in the order of difficulty.
        clouds: that are trained in together.

    Raises:
        ValueError: see `Curriculum`; fewer clouds than a mixture has parts.
    """

    def __init__(
        self, config: CurriculumConfig, target: MakeEnv, stages: Stages, clouds: int
    ) -> None:
        self.curriculum = Curriculum(config, tuple(stages))
        if clouds * config.replay_share < config.replayed:
            raise ValueError(
                f"{clouds} clouds cannot replay {config.replayed} earlier stages with "
                f"{config.replay_share:.0%} of them"
            )
        self._target, self._stages, self._clouds = target, stages, clouds
        self._judged: str | None = None  # the stage that held-in environments show; None: target
        self._baselines: dict[str, Tensor] = {}

    def make_env(self, num_envs: int, seed: int) -> StageEnv:
        """The trainer's `MakeEnv`: the blend of the coming epoch, or what is judged held-in."""
        if seed == HELD_IN_SEED:
            return StageEnv(lambda: [self._held_in(num_envs)], seed)
        return StageEnv(lambda: self._blend(num_envs), seed)

    def judge(self, trainer: AnyTrainer) -> tuple[dict[str, float], str]:
        """Judge the stages that are due, move on where the rule says so; figures and words."""
        judged = {name: self._judge(trainer, name) for name in self.curriculum.to_judge()}
        place, stage = self.curriculum.place, self.curriculum.stage
        left = self.curriculum.take(judged)
        one = judged[stage]
        told = f"stage {place + 1} of {len(self.curriculum.stages)}, {stage}: {one.gain:+.4f}"
        if left is not None:
            told += ", left" if one.is_below(self.curriculum.config.least_gain) else ", passed"
        if forgotten := self.curriculum.forgotten():
            told += f"; below the bar again: {', '.join(forgotten)}"
        figures = {f"curriculum/gain/{name}": one.gain for name, one in judged.items()}
        return {"curriculum/stage": float(place + 1), **figures}, told

    def state_dict(self) -> dict[str, Any]:
        """Everything that later epochs depend on."""
        return self.curriculum.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.curriculum.load_state_dict(state)

    def _judge(self, trainer: AnyTrainer, name: str) -> Judgement:
        self._judged = name
        try:
            if name not in self._baselines:
                self._baselines[name] = trainer.held_in_rewards(is_baseline=True)
            gain = trainer.held_in_rewards() - self._baselines[name]
        finally:
            self._judged = None
        refuse_not_finite({f"held-in gain on {name}": float(gain.mean())}, trainer.epoch)
        spread = float(gain.std(correction=1)) if len(gain) > 1 else 0.0
        return Judgement(float(gain.mean()), spread / len(gain) ** 0.5)

    def _held_in(self, num_envs: int) -> Part:
        name = self._judged
        if name is None:
            return Part("", self._target, num_envs)
        return Part(name, self._stages[name], num_envs)

    def _blend(self, num_envs: int) -> list[Part]:
        """The coming epoch's parts; the present stage takes what rounding leaves."""
        (stage, _), *replayed = self.curriculum.blend()
        clouds = {name: max(1, int(share * num_envs)) for name, share in replayed}
        present = num_envs - sum(clouds.values())
        return [
            Part(name, self._stages[name], count)
            for name, count in ((stage, present), *clouds.items())
        ]
