"""Policies as evaluation sees them: a name, and actions from observations.

Baselines' parameters are found in `marl.evaluate.baselines`; learned policies are read from files
(`marl.train.policy_file`). Playing them is `marl.evaluate.rollout`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.cloud.actions import settled
from marl.evaluate.baselines import BaselineSet, JointAction, Kind, TunedBaseline
from marl.evaluate.clairvoyant import ClairvoyantPolicy, PlannerConfig, stages
from marl.evaluate.mpc import PLANNER, MpcPolicy
from marl.evaluate.plan_search import ClimbConfig
from marl.evaluate.rules.policy import RulePolicy
from marl.evaluate.world import ORACLE
from marl.train.env import open_knobs
from marl.train.policy_file import StoredPolicy, load_policy_file

if TYPE_CHECKING:
    from marl.train.env import BatchedEnv

# Where the lineage leaves policies below the data folder; `load_policy` looks there by name.
BASELINES_FILE = Path("baseline_policies") / "baselines.json"
TRAINED_FOLDER = Path("trained_policies")
_DRAWN: Final = 256  # clouds a random policy draws for at once: its draws for one are independent
# of how many run beside it
REFERENCE: Final = "reactive"  # what every difference is measured against, and plans start from


def departure(found: BaselineSet) -> JointAction:
    """What learners depart from: the tuned reactive rule, rounded knobs at whole numbers."""
    rule = found.actions()[REFERENCE]
    return {agent: settled(agent, action) for agent, action in rule.items()}


def is_bound(name: str) -> bool:
    """Whether a policy knows what nobody can: no rival, no baseline."""
    return name == ClairvoyantPolicy.name or name.endswith(ORACLE)


def trained_policy_name(learner: str, training_seed: int) -> str:
    """File name of a trained policy in the folder of `trained_policies`."""
    return f"{learner}-seed{training_seed}.safetensors"


class Policy(Protocol):
    """Something that acts for all agents of B clouds, each agent from its own observation."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def training_seed(self) -> int | None:
        """Seed of the training run; None where nothing was trained."""
        ...

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Prepare for new episodes in `env`; refuse an environment it was not made for."""
        ...

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Actions in [-1, 1], agent → (B, A_i), for observations agent → (B, F_i)."""
        ...


class ConstantPolicy:
    """The same joint action always: static plans, and rule-based autoscalers.

    An autoscaler is a constant action because the knobs are the autoscaler's settings; the scaling
    itself happens in the simulated cloud.
    """

    training_seed: int | None = None

    def __init__(self, name: str, action: Mapping[str, Sequence[float]]) -> None:
        self.name = name
        self.action = {agent: torch.tensor(list(values)) for agent, values in action.items()}

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Refuse an environment with other knobs."""
        sizes = {agent: len(values) for agent, values in self.action.items()}
        _refuse_mismatch(self.name, "knobs", sizes, _sizes(env.action_spec))

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The constant, for every cloud."""
        return {
            agent: values.to(obs[agent].device).expand(len(obs[agent]), -1)
            for agent, values in self.action.items()
        }


class RandomPolicy:
    """Every knob uniform over its range at every step, from a random state of its own."""

    name = "random"
    training_seed: int | None = None

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Seed the draws; the same seed gives the same actions."""
        self._sizes = _sizes(env.action_spec)
        self._generator = torch.Generator().manual_seed(seed)
        self._clouds = -(-env.num_envs // _DRAWN) * _DRAWN

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Fresh draws."""
        return {
            agent: (
                torch.rand((self._clouds, size), generator=self._generator)[: len(obs[agent])] * 2
                - 1
            ).to(obs[agent].device)
            for agent, size in self._sizes.items()
        }


class LearnedPolicy:
    """A trained policy, without exploration noise.

    Args:
        stored: the policy read from its file.
        name: what tables call it; the learner's name if absent.
    """

    def __init__(self, stored: StoredPolicy, name: str | None = None) -> None:
        self.card = stored.card
        self.name = name or stored.card.learner
        self.training_seed: int | None = stored.card.training_seed
        self.spec: TeamSpec = stored.card.spec()
        self._player = stored.player()
        self._env: BatchedEnv | None = None
        self._step = 0
        self._actions: dict[str, Tensor] = {}

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Refuse an environment whose observations or knobs are not those it was trained on."""
        fields = {agent: len(names) for agent, names in self.card.observation_fields.items()}
        knobs = {agent: len(names) for agent, names in self.card.knobs.items()}
        _refuse_mismatch(self.name, "observation fields", fields, _sizes(env.observation_spec))
        _refuse_mismatch(self.name, "knobs", knobs, _sizes(env.action_spec))
        for attribute, known in (
            ("observation_names", self.card.observation_fields),
            ("action_names", self.card.knobs),
        ):
            named: Mapping[str, Sequence[str]] = getattr(env, attribute, {})
            for agent in named:
                if tuple(named[agent]) != known[agent]:
                    raise ValueError(
                        f"{self.name} was trained with {attribute} {known[agent]} of {agent}; this "
                        f"environment has {tuple(named[agent])}: train it again"
                    )
        self._env, self._step = env, 0
        self._player.begin(env.num_envs)

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each agent by its own observation; a decision is held as in training.

        Raises:
            RuntimeError: `begin` was not called.
        """
        if self._env is None:
            raise RuntimeError(f"{self.name}: call begin(env, seed) before act")
        if self._step % self.card.hold_steps == 0:
            knobs = open_knobs(self._env, self.spec, self.card.hold_steps)
            self._actions = self._player.decide(obs, knobs)
        self._step += 1
        return self._actions


def baseline_policy(tuned: TunedBaseline) -> ConstantPolicy | RulePolicy:
    """The policy of a tuned baseline."""
    return _rule(tuned.kind, tuned.name, tuned.action, tuned.parameters)


def _rule(
    kind: Kind, name: str, action: JointAction, parameters: Mapping[str, float]
) -> ConstantPolicy | RulePolicy:
    if kind == "constant":
        return ConstantPolicy(name, action)
    return RulePolicy(name, kind, action, parameters)


def baseline_policies(folder: Path) -> list[ConstantPolicy | RulePolicy]:
    """Every baseline that the lineage tuned, from its folder."""
    stored = (folder / BASELINES_FILE.name).read_text(encoding="utf-8")
    return [baseline_policy(tuned) for tuned in BaselineSet.model_validate_json(stored).tuned]


def planner_policies(folder: Path, config: PlannerConfig = PLANNER) -> list[MpcPolicy]:
    """Every tuned planner, from the same folder."""
    stored = BaselineSet.model_validate_json((folder / BASELINES_FILE.name).read_text("utf-8"))
    return [MpcPolicy(one.action, one.parameters["margin"], config) for one in stored.planners]


def frontier_policies(folder: Path) -> list[tuple[str, float, Policy]]:
    """Every point of the tuned baselines' frontiers: baseline, factor on performance, policy."""
    stored = BaselineSet.model_validate_json((folder / BASELINES_FILE.name).read_text("utf-8"))
    kinds = {tuned.name: tuned.kind for tuned in stored.tuned}
    points: list[tuple[str, float, Policy]] = []
    for name, frontier in stored.frontiers.items():
        for point in frontier:
            told = f"{name}, performance x {point.factor:g}"
            policy = _rule(kinds[name], told, point.action, point.parameters)
            points.append((name, point.factor, policy))
    return points


def load_policy(
    name_or_path: str | Path, *, data: Path | None = None, training_seed: int | None = None
) -> Policy:
    """A policy by name or from a policy file.

    Args:
        name_or_path: "random"; a tuned baseline ("static_peak", "reactive", "predictive" …);
            "clairvoyant", which plans from the tuned reactive rule on and takes minutes; a learner
            that the lineage trained ("maddpg"); or the path of a policy file.
        data: the data folder; STRATOFORM_DATA or `data` if absent.
        training_seed: which of a learner's training runs; the lowest seed if absent.

    Raises:
        FileNotFoundError: nothing of that name; the message lists what there is and what makes it.
        PolicyFileError: the file is no usable policy.
    """
    name = str(name_or_path)
    if name == RandomPolicy.name:
        return RandomPolicy()
    if Path(name).suffix or os.sep in name:
        return LearnedPolicy(load_policy_file(Path(name)))
    data = data or Path(os.environ.get("STRATOFORM_DATA", "data"))
    is_tuned = (data / BASELINES_FILE).is_file()
    folder = (data / BASELINES_FILE).parent
    rules = {one.name: one for one in (baseline_policies(folder) if is_tuned else [])}
    planners = planner_policies(folder) if is_tuned else []
    baselines: dict[str, Policy] = {**rules, **{one.name: one for one in planners}}
    if name in baselines:
        return baselines[name]
    if name == ClairvoyantPolicy.name and REFERENCE in baselines:
        return ClairvoyantPolicy(rules[REFERENCE].action, stages(20), climb=ClimbConfig())
    folder = data / TRAINED_FOLDER
    wanted = f"{name}-seed{'*' if training_seed is None else training_seed}.safetensors"
    files = sorted(folder.glob(wanted), key=lambda file: int(file.stem.rpartition("-seed")[2]))
    if files:
        return LearnedPolicy(load_policy_file(files[0]))
    known = ["random", *baselines, *([ClairvoyantPolicy.name] if REFERENCE in baselines else [])]
    known += sorted({file.stem.rpartition("-seed")[0] for file in folder.glob("*.safetensors")})
    raise FileNotFoundError(
        f"no policy {name!r} in {data}; there are: {', '.join(known)}. "
        "`dagster asset materialize --select '*trained_policies,*baseline_policies'` makes more"
    )


def _sizes(spec: Mapping[str, Any]) -> dict[str, int]:
    return {agent: int(space.shape[0]) for agent, space in spec.items()}


def _refuse_mismatch(
    name: str, what: str, known: Mapping[str, int], found: Mapping[str, int]
) -> None:
    if dict(known) != dict(found):
        raise ValueError(f"{name} was made for {what} {dict(known)}; this world has {dict(found)}")
