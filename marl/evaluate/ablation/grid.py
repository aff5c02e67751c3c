"""What a base and a component of the grid are: plain data, and the names they are asked for by.

Which there are belongs to `bases` and `components`; what a run of one is to `setups`.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from marl.frozen import Frozen

Shaping = Literal["", "constant", "annealed"]
Goals = Literal["", "easy", "hard"]


class WorldChange(Frozen):
    """How the clouds of a run differ from the stored world's.

    Attributes:
        shown: fields of `CloudConfig` in training and in evaluation: what agents see.
        rewarded: fields of `CloudConfig` in training alone: what learners are paid for. Episodes
            are judged by the full objective whatever stands here.
        hidden: beginnings of the names of state features that read 0, in training and evaluation.
        shaping: potential-based shaping of the training reward (`marl.cloud.shaping`).
        goals: sparse service-level goals instead of the dense reward (`marl.train.service_goals`).
    """

    shown: dict[str, Any] = Field(default_factory=dict)
    rewarded: dict[str, Any] = Field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    shaping: Shaping = ""
    goals: Goals = ""


class Base(Frozen):
    """A configuration that components change.

    Attributes:
        name: of it.
        told: what it is, in words.
        learner: name of the learner.
        settings: of `TrainConfig`; the learner's own below "learner".
        clouds: trained in together, unless the run's budget allows fewer.
        steps: of single clouds, unless the run's budget says otherwise.
        world: of its clouds.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    told: str
    learner: str
    settings: dict[str, Any] = Field(default_factory=dict)
    clouds: int = Field(ge=1)
    steps: int = Field(ge=1)
    world: WorldChange = WorldChange()


class Component(Frozen):
    """One change of a base, and what is expected of it.

    Attributes:
        name: of it.
        bases: names of the bases it changes.
        change: what is changed, in words.
        hypothesis: what should come of it, in words, written down before the run.
        settings: of `TrainConfig`, put over the base's (deep).
        learner: another learner's name, where the change is that.
        world: put over the base's; fields that are empty here stay the base's.
        teacher: base whose policy, of the same seed, training starts from.
        includes: component whose change this one's comes on top of, and whose run it is compared
            with, so that the difference is this change alone.
        against: what it is compared with instead, by identity ("" for its base); several make
            several effects.
        seed_shift: added to the training seed.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    bases: tuple[str, ...] = Field(min_length=1)
    change: str
    hypothesis: str
    settings: dict[str, Any] = Field(default_factory=dict)
    learner: str = ""
    world: WorldChange = WorldChange()
    teacher: str = ""
    includes: str = ""
    against: tuple[str, ...] = ()
    seed_shift: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        changed = (self.settings, self.learner, self.teacher, self.seed_shift)
        if not any(changed) and self.world == WorldChange():
            raise ValueError(f"{self.name} changes nothing")
        if self.includes and self.against:
            raise ValueError(f"{self.name}: with `includes` it is clear what to compare with")
        return self


class Contrast(Frozen):
    """A question of the grid: is `run` better than `reference`? Both are identities."""

    run: str
    reference: str


def identity(base: str, component: str = "") -> str:
    """`base` or `base/component`: what a configuration is called everywhere."""
    return f"{base}/{component}" if component else base


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` put over `below`, mappings within mappings too."""
    whole = dict(below)
    for key, value in above.items():
        old = whole.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        whole[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return whole


def world_over(below: WorldChange, above: WorldChange) -> WorldChange:
    """`above` put over `below`, field by field."""
    return WorldChange(
        shown=below.shown | above.shown,
        rewarded=below.rewarded | above.rewarded,
        hidden=below.hidden + above.hidden,
        shaping=above.shaping or below.shaping,
        goals=above.goals or below.goals,
    )


class Grid(Frozen):
    """Bases and components by name.

    Raises:
        ValueError: a name twice; a component of a base, teacher, component or reference that is
            not there.
    """

    bases: tuple[Base, ...]
    components: tuple[Component, ...]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        bases = [base.name for base in self.bases]
        if len(set(bases)) < len(bases):
            raise ValueError(f"a base twice: {bases}")
        known = set(self.identities())
        if len(known) < len(self.identities()):
            raise ValueError("a component twice for the same base")
        for one in self.components:
            wanted = {*one.bases, *one.against, one.teacher} - {""}
            wanted |= {identity(base, one.includes) for base in one.bases}
            if absent := sorted(wanted - known):
                raise ValueError(f"{one.name} names {', '.join(absent)}, which is not there")
        return self

    def identities(self) -> list[str]:
        """Of every configuration: each base, then its components."""
        return [
            identity(base.name, name)
            for base in self.bases
            for name in ("", *(one.name for one in self.components if base.name in one.bases))
        ]

    def base(self, name: str) -> Base:
        """The base of an identity."""
        return next(base for base in self.bases if base.name == name.partition("/")[0])

    def component(self, name: str) -> Component | None:
        """The component of an identity; None of a base itself."""
        base, _, wanted = name.partition("/")
        if not wanted:
            return None
        return next(one for one in self.components if one.name == wanted and base in one.bases)

    def contrasts(
        self, bases: tuple[str, ...] = (), components: tuple[str, ...] = ()
    ) -> list[Contrast]:
        """What is asked of these components of these bases (all where none is named), in order.

        Raises:
            ValueError: a name that is not there, or components that these bases do not have.
        """
        names = {base.name for base in self.bases}
        if absent := sorted(set(bases) - names):
            raise ValueError(f"no base {', '.join(absent)}; there are: {', '.join(sorted(names))}")
        offered = [
            (one, base)
            for one in self.components
            for base in one.bases
            if not bases or base in bases
        ]
        known = list(dict.fromkeys(one.name for one, _ in offered))
        if absent := sorted(set(components) - set(known)):
            raise ValueError(
                f"no component {', '.join(absent)} of {', '.join(bases) or 'any base'}; there "
                f"are: {', '.join(known)}"
            )
        order = {name: place for place, name in enumerate(components)}
        asked = [pair for pair in offered if not components or pair[0].name in order]
        asked.sort(key=lambda pair: order.get(pair[0].name, 0))
        return [
            Contrast(
                run=identity(base, one.name), reference=reference or identity(base, one.includes)
            )
            for one, base in asked
            for reference in one.against or ("",)
        ]
