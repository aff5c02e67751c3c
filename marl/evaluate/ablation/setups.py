"""Runs of the grid: a base or component and a seed, as a training configuration and its clouds.

Where clouds come from is `worlds`; training and playing a run is `cells`.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from marl.evaluate.ablation.bases import HOLD
from marl.evaluate.ablation.grid import Base, Contrast, Grid, WorldChange, merged, world_over
from marl.frozen import Frozen
from marl.train.config import TrainConfig, learner_named

_NEVER = 1_000_000  # epochs between checkpoints: a cell is short, and is done again as a whole


class Budget(Frozen):
    """How long every run of a grid trains, the same for a component and its reference.

    Attributes:
        steps: of single clouds; None: the base's own.
        clouds: most trained in together; None: the base's own.
        episode_steps: steps of five minutes in an episode.
        held_in: episodes of each held-in evaluation.
        evaluate_every: epochs between them.
    """

    steps: int | None = Field(default=None, ge=1)
    clouds: int | None = Field(default=None, ge=1)
    episode_steps: int = Field(default=144, ge=2)
    held_in: int = Field(default=128, ge=2)
    evaluate_every: int = Field(default=3, ge=1)


class Setup(Frozen):
    """One run.

    Attributes:
        name: identity of its configuration.
        seed: asked for; the configuration's own is shifted where the component says so.
        config: of training.
        world: of the clouds.
        teacher: the run whose policy it starts from.
    """

    name: str
    seed: int
    config: TrainConfig
    world: WorldChange
    teacher: "Setup | None" = None

    @property
    def label(self) -> str:
        """What files and lines call it."""
        return f"{self.name.replace('/', '-')}-seed{self.seed}"


def setup(grid: Grid, name: str, seed: int, budget: Budget) -> Setup:
    """The run of an identity.

    A run that starts from a teacher takes over the teacher's settings of what an actor is, except
    those that its base states itself.

    Raises:
        ValueError: settings that do not fit together.
    """
    base, component = grid.base(name), grid.component(name)
    settings, world, learner = dict(base.settings), base.world, base.learner
    shift, teacher = 0, None
    chain = [component] if component else []
    if component and component.includes:
        included = grid.component(f"{base.name}/{component.includes}")
        chain = [one for one in (included, component) if one]
    for one in chain:
        settings = merged(settings, one.settings)
        world = world_over(world, one.world)
        learner = one.learner or learner
        shift += one.seed_shift
        teacher = setup(grid, one.teacher, seed, budget) if one.teacher else teacher
    config = _config(name, base, learner, settings, world, seed + shift, budget, teacher)
    return Setup(name=name, seed=seed, config=config, world=world, teacher=teacher)


def _config(
    name: str,
    base: Base,
    learner: str,
    settings: dict[str, Any],
    world: WorldChange,
    seed: int,
    budget: Budget,
    teacher: Setup | None,
) -> TrainConfig:
    clouds = min(base.clouds, budget.clouds or base.clouds)
    steps = budget.steps or base.steps
    epochs = max(2, round(steps / (clouds * budget.episode_steps)))
    epoch_steps = budget.episode_steps
    if world.goals:
        if epoch_steps % HOLD:
            raise ValueError(
                f"episodes of {epoch_steps} steps do not hold whole decisions of {HOLD} steps, "
                f"which {name} is asked about"
            )
        epoch_steps //= HOLD
    rest = {key: value for key, value in settings.items() if key != "learner"}
    return TrainConfig(
        learner=learner_named(learner, **settings.get("learner", {})),
        name=name.replace("/", "_"),
        seed=seed,
        epochs=epochs,
        epoch_steps=epoch_steps,
        num_envs=clouds,
        evaluate_envs=budget.held_in,
        evaluate_every=budget.evaluate_every,
        checkpoint_every=_NEVER,
        warm_start=None if teacher is None else teacher.config.policy_name,
        **rest,
    )


def differences(one: Setup, other: Setup) -> dict[str, tuple[Any, Any]]:
    """`path` → (value of `one`, value of `other`) wherever two runs differ, names aside."""
    left, right = (_flat(part) for part in (one, other))
    return {
        path: (left.get(path), right.get(path))
        for path in sorted(left.keys() | right.keys())
        if left.get(path) != right.get(path) and path != "config.name"
    }


def _flat(one: Setup) -> dict[str, Any]:
    whole = {"config": one.config.model_dump(mode="json"), "world": one.world.model_dump()}
    flat: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, part in value.items():
                walk(part, f"{path}.{key}" if path else key)
        else:
            flat[path] = value

    walk(whole, "")
    return flat


def runs_of(
    grid: Grid, contrasts: Sequence[Contrast], seeds: Sequence[int], budget: Budget
) -> list[Setup]:
    """Every run that contrasts need, each once: references before what is compared with them.

    Teachers count as runs of their own. Runs of a contrast come together, so that a grid stopped
    half-way has whole answers.
    """
    found: dict[tuple[str, int], Setup] = {}

    def add(name: str, seed: int) -> None:
        one = setup(grid, name, seed, budget)
        if one.teacher is not None:
            add(one.teacher.name, seed)
        found.setdefault((name, seed), one)

    for contrast in contrasts:
        for name in (contrast.reference, contrast.run):
            for seed in seeds:
                add(name, seed)
    return list(found.values())
