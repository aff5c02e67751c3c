"""The learning curve of a run, the best policy on it, and whether it still rises."""

import copy
from collections.abc import Mapping
from typing import Any

from marl.frozen import Frozen
from marl.train.held_in import refuse_not_finite
from marl.train.trainers import AnyTrainer


class CurvePoint(Frozen):
    """One held-in evaluation.

    Attributes:
        epoch: finished epochs.
        env_steps: steps of single clouds seen.
        reward: mean reward per step of the policy.
        gain: the same minus the baseline's on the same weather.
        gain_se: standard error of that paired difference over episodes.
    """

    epoch: int
    env_steps: int
    reward: float
    gain: float
    gain_se: float

    def __str__(self) -> str:
        """The gain and its 95 % interval."""
        return f"held-in gain {self.gain:+.4f} ± {1.96 * self.gain_se:.4f}"


class Record:
    """The learning curve, and the best policy so far.

    Args:
        trainer: what is judged; its baseline is judged at once.
    """

    def __init__(self, trainer: AnyTrainer) -> None:
        self.baseline = trainer.held_in_rewards(is_baseline=True)
        self.curve: list[CurvePoint] = []
        self.best = -1
        self.best_actor: dict[str, Any] = {}
        self.stale = 0  # evaluations since the best, those left out of `patience` not counted

    def evaluate(
        self, trainer: AnyTrainer, *, is_counted: bool = True, more_steps: int = 0
    ) -> CurvePoint:
        """Evaluate held-in, append to the curve, keep the policy if it is the best.

        Args:
            trainer: whose policy.
            more_steps: of single clouds, seen beside the trainer's own.
            is_counted: whether an evaluation that is no new best counts against `patience`.

        Raises:
            DivergenceError: rewards are not finite.
        """
        rewards = trainer.held_in_rewards()
        gain = rewards - self.baseline
        point = CurvePoint(
            epoch=trainer.epoch,
            env_steps=trainer.env_steps + more_steps,
            reward=float(rewards.mean()),
            gain=float(gain.mean()),
            gain_se=float(gain.std(correction=1) / len(gain) ** 0.5) if len(gain) > 1 else 0.0,
        )
        refuse_not_finite(
            {"held-in reward": point.reward, "held-in gain": point.gain}, trainer.epoch
        )
        self.curve.append(point)
        if self.best < 0 or point.reward > self.curve[self.best].reward:
            self.best = len(self.curve) - 1
            self.best_actor = copy.deepcopy(trainer.learner.policy().state_dict())
            self.stale = 0
        elif is_counted:
            self.stale += 1
        return point

    def state_dict(self) -> dict[str, Any]:
        """The curve and the best policy, for a checkpoint."""
        return {
            "curve": [point.model_dump() for point in self.curve],
            "best": self.best,
            "best_actor": self.best_actor,
            "stale": self.stale,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`."""
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self.best, self.stale = int(state["best"]), int(state["stale"])
        self.best_actor = dict(state["best_actor"])
