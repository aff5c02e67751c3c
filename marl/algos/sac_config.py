"""What decides how a soft actor-critic learns; the learner is `marl.algos.sac`."""

from typing import Literal

from pydantic import Field

from marl.frozen import Frozen


class SacConfig(Frozen):
    """Hyper-parameters of the soft actor-critics. "Paper" is Haarnoja et al. 2018, 1812.05905.

    Attributes:
        name: who controls. "sac": one controller, joint observation to joint action, the
            single-agent rival; "masac": decentralised actors, one central critic (pair) of the
            team's reward that sees the state and all actions; "isac": independent learners, each
            critic sees its agent's observation and action and never the exogenous future.
        critics: critics per judge; the smallest value counts (paper: 2).
        hidden: widths of actors' and critics' hidden layers (paper: 256, 256; less here, because
            small networks learn as much on the cloud in a fraction of the time).
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
        has_layer_norm: layer norm in actors and critics.
    """

    name: Literal["sac", "masac", "isac"] = "sac"
    critics: int = Field(default=2, ge=1, le=2)
    hidden: tuple[int, ...] = (64, 64)
    actor_lr: float = Field(default=1e-4, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    alpha_lr: float = Field(default=1e-3, gt=0)
    lr_end: float = Field(default=0.1, gt=0, le=1)
    tau: float = Field(default=0.005, gt=0, le=1)
    residual_bound: float = Field(default=0.4, gt=0, le=2)
    is_team: bool = True
    alpha: float = Field(default=0.01, gt=0)
    target_entropy: float = -1.0
    sigma: float = Field(default=0.2, gt=0)
    sigma_range: tuple[float, float] = (0.02, 1.0)
    sigma_hidden: tuple[int, ...] = (64,)
    action_gain: float = Field(default=3.0, gt=0)
    residual_l2: float = Field(default=1e-3, ge=0)
    grad_limit: float = Field(default=10.0, gt=0)
    actor_warmup: int = Field(default=1000, ge=0)
    has_layer_norm: bool = True

    @property
    def is_joint(self) -> bool:
        """Whether one controller acts for all agents."""
        return self.name == "sac"

    @property
    def is_central(self) -> bool:
        """Whether critics see the global state and all actions."""
        return self.name != "isac"
