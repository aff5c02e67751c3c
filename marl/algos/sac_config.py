"""What decides how a soft actor-critic learns; the learners are `marl.algos.sac` and `sac_gru`."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from marl.frozen import Frozen
from marl.nets.config import NetConfig


class SacConfig(Frozen):
    """Hyper-parameters of the soft actor-critics. "Paper" is Haarnoja et al. 2018, 1812.05905.

    Attributes:
        name: who controls. "sac": one controller, joint observation to joint action, the
            single-agent rival; "masac": decentralised actors, one central critic (pair) of the
            team's reward that sees the state and all actions; "isac": independent learners, each
            critic sees its agent's observation and action and never the exogenous future. The same
            with "_gru": actors and critics with a memory, learned from replayed sequences
            (`marl.algos.sac_gru`).
        critics: critics per judge; the smallest value counts (paper: 2).
        net: kind and sizes of the actors' networks; critics are MLPs of its sizes (paper: 256, 256;
            less here, because small networks learn as much on the cloud in a fraction of the time),
            behind a GRU where the actors have one.
        actor_lr: Adam step of the actors (paper: 3e-4).
        critic_lr: Adam step of the critics (paper: 3e-4).
        alpha_lr: Adam step of the temperatures' logarithms (paper: 3e-4).
        lr_end: actors' and critics' steps shrink linearly to this share of themselves over the run.
        tau: soft target rate (paper: .005).
        residual_bound: how far an actor may move a knob from the baseline, in action units.
        is_team: agents are rewarded with the team's mean reward; always so under "sac" and
            "masac", False gives independent learners their own.
        alpha: temperature at the start, one per agent; small, because entropy is in nats and what
            a knob moves is a few per cent of the normalised reward.
        target_entropy: wanted entropy per knob in nats, of residuals (paper: −1, i.e. minus the
            number of knobs in all); −1 is a standard deviation of .09 where tanh is straight.
        sigma: exploration's standard deviation at the start, in residual units.
        sigma_range: least and largest it may become (published code: e^-20 to e^2; narrower here,
            because noise costs reward and a density without bound a temperature).
        sigma_hidden: widths of a network that makes it depend on the observation (paper: yes);
            empty for one learned number per knob.
        action_gain: factor on residuals as critics see them, see MaddpgConfig.
        residual_l2: weight of the squared pre-squashing mean (published code of 1801.01290: .001).
        grad_limit: largest gradient norm per network.
        actor_warmup: critic steps before the first actor step.
        sequence: decisions of a replayed sequence, or the whole epoch where that is shorter
            ("_gru" only; Kapturowski et al. 2019, R2D2: 80).
        burn_in: decisions at a sequence's start that only warm the memory up, unless the episode
            begins within them and the memory is right from there on ("_gru" only; R2D2: 40).
    """

    name: Literal["sac", "masac", "isac", "sac_gru", "masac_gru", "isac_gru"] = "sac"
    critics: int = Field(default=2, ge=1, le=2)
    net: NetConfig = NetConfig()
    actor_lr: float = Field(default=1e-4, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    alpha_lr: float = Field(default=1e-3, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    tau: float = Field(default=0.005, gt=0, le=1)
    residual_bound: float = Field(default=0.4, gt=0, le=2)
    is_team: bool = True
    alpha: float = Field(default=0.003, gt=0)
    target_entropy: float = -1.0
    sigma: float = Field(default=0.2, gt=0)
    sigma_range: tuple[float, float] = (0.02, 1.0)
    sigma_hidden: tuple[int, ...] = (64,)
    action_gain: float = Field(default=3.0, gt=0)
    residual_l2: float = Field(default=1e-3, ge=0)
    grad_limit: float = Field(default=10.0, gt=0)
    actor_warmup: int = Field(default=1000, ge=0)
    sequence: int = Field(default=24, ge=2)
    burn_in: int = Field(default=6, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _memory_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A name that ends in "_gru" stands for networks with one."""
        if str(values.get("name")).endswith("_gru") and "net" not in values:
            return {**values, "net": NetConfig(kind="gru")}
        return values

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.has_memory != (self.net.kind == "gru"):
            raise ValueError(f"{self.name} and net.kind {self.net.kind!r} do not go together")
        if self.is_central and not self.is_team:
            raise ValueError(f"the critics of {self.name} judge the team: is_team must be True")
        if self.burn_in >= self.sequence:
            raise ValueError(f"burn_in {self.burn_in} leaves nothing of sequence {self.sequence}")
        return self

    @property
    def is_joint(self) -> bool:
        """Whether one controller acts for all agents."""
        return self.name in ("sac", "sac_gru")

    @property
    def is_central(self) -> bool:
        """Whether critics see the global state and all actions."""
        return not self.name.startswith("isac")

    @property
    def has_memory(self) -> bool:
        """Whether actors and critics remember."""
        return self.name.endswith("_gru")
