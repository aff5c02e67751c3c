"""One MADDPG update: beside its matrix products alone, and beside a Python loop over agents.

Run: `python -m tests.benchmarks.bench_maddpg [--rounds 7] [--threads 1]`

Four agents of 24 observations and 5 knobs each, a state of 96; critics and actors with layer norm,
both updated in every step, soft targets, clipping, Adam. "Lowe": a critic per agent
(`is_team=False`); "team": one critic.

* "products": every matrix product that the update needs, forward and backward, with the same
  shapes and threads, into memory that is there already, and nothing else. Per critic step: the
  target actors, the target critics, the critics, and the critics' gradients by weights and hidden
  layers (not by inputs). Per actor step: the actors, their gradients by weights and hidden layers,
  the critics, and the critics' gradients by hidden layers and by the actions (not by the state or
  by weights). The first layer's product with the state is counted once per member, as it must be.
  What it leaves out: normalisation, activations, losses, clipping, Adam, soft targets. Each is
  timed as one call of `torch.bmm` and member by member with `torch.mm`, and the faster counts.
* "fastest": the same with `marl.nets.products` as a third way for each.
* "loop": the same update, agent by agent with `nn.Linear` and `nn.LayerNorm`, each agent with fused
  Adam and its own clipping. That it computes the same is checked before anything is timed.

A round measures every way in turn, so that noise hits all alike; medians of CPU time over the
rounds (wall time where several threads are asked for). Freed memory is kept, as in training, for
every way alike. Bars: at 256 × 256 and batch 1,024 the products are at least 90 % of our time; at
64 × 64 the loop takes at least 1.5 times as long. Nothing about speed is asserted.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from marl.algos.base import Batch, TeamSpec
from marl.algos.maddpg import Maddpg, MaddpgConfig
from marl.nets import products
from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP
from marl.train.memory import keep_freed_memory

AGENTS, OBS, KNOBS, STATE = 4, 24, 5, 96
SPEC = TeamSpec(tuple("abcd"), (OBS,) * AGENTS, (KNOBS,) * AGENTS, STATE)


def learner(hidden: tuple[int, ...], *, is_team: bool, critic_lr: float = 1e-3) -> Maddpg:
    """Ours."""
    config = MaddpgConfig(
        net=NetConfig(hidden=hidden),
        is_team=is_team,
        critic_lr=critic_lr,
        actor_warmup=0,
        residual_l2=0.0,
    )
    g = torch.Generator().manual_seed(0)
    made = Maddpg(config, SPEC, torch.zeros(AGENTS, KNOBS), g)
    made.observe(torch.randn((64, AGENTS, OBS), generator=g), torch.randn((64, STATE), generator=g))
    return made


def random_batch(rows: int) -> Batch:
    """A batch of ordinary size."""
    g = torch.Generator().manual_seed(1)
    obs, after = torch.randn((2, rows, AGENTS, OBS), generator=g)
    return Batch(
        obs_BNF=obs,
        state_BS=torch.randn((rows, STATE), generator=g),
        residual_BNA=torch.rand((rows, AGENTS, KNOBS), generator=g) * 2 - 1,
        return_BN=torch.randn((rows, AGENTS), generator=g),
        discount_B=torch.full((rows,), 0.9),
        weight_B=torch.ones(rows),
        next_obs_BNF=after,
        next_state_BS=torch.randn((rows, STATE), generator=g),
    )


class Loop:
    """The same update over agents in Python, as most published code has it (Lowe et al. 2017)."""

    def __init__(self, ours: Maddpg) -> None:
        self.ours, config = ours, ours.config
        self.actors = [_plain(ours.actor.net.mlp, i) for i in range(AGENTS)]
        self.critics = [_plain(ours.critic, i) for i in range(AGENTS)]
        self.target_actors = copy.deepcopy(self.actors)
        self.target_critics = copy.deepcopy(self.critics)
        self.steps = [
            (
                torch.optim.Adam(actor.parameters(), lr=config.actor_lr, fused=True),
                torch.optim.Adam(critic.parameters(), lr=config.critic_lr, fused=True),
            )
            for actor, critic in zip(self.actors, self.critics, strict=True)
        ]

    def update(self, batch: Batch) -> None:
        """One critic and one actor step of every agent, then the targets."""
        ours, config = self.ours, self.ours.config
        obs, after = ours.actor.norm(batch.obs_BNF), ours.actor.norm(batch.next_obs_BNF)
        state, next_state = ours.state_norm(batch.state_BS), ours.state_norm(batch.next_state_BS)
        stored = batch.residual_BNA.flatten(1) * config.action_gain
        with torch.no_grad():
            following = [torch.tanh(net(after[:, i])) for i, net in enumerate(self.target_actors)]
            joint = torch.cat([next_state, torch.cat(following, 1) * config.action_gain], 1)
        seen = torch.cat([state, stored], 1)
        for i in range(AGENTS):
            with torch.no_grad():
                value = self.target_critics[i](joint)[:, 0]
                target = batch.return_BN[:, i] + batch.discount_B * value
            error = (self.critics[i](seen)[:, 0] - target) ** 2
            self._step(self.critics[i], self.steps[i][1], (error * batch.weight_B).mean())
        for i in range(AGENTS):
            mine = torch.tanh(self.actors[i](obs[:, i])) * config.action_gain
            begin = STATE + i * KNOBS
            inputs = torch.cat([seen[:, :begin], mine, seen[:, begin + KNOBS :]], 1)
            value = self.critics[i](inputs)[:, 0]
            self._step(self.actors[i], self.steps[i][0], -(value * batch.weight_B).mean())
        for kept, new in ((self.target_actors, self.actors), (self.target_critics, self.critics)):
            for old, now in zip(kept, new, strict=True):
                with torch.no_grad():
                    torch._foreach_lerp_(list(old.parameters()), list(now.parameters()), config.tau)

    def _step(self, net: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        parameters = list(net.parameters())
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(parameters, self.ours.config.grad_limit, foreach=True)
        optimiser.step()


def _plain(stack: StackedMLP, member: int) -> nn.Sequential:
    """One member as ordinary layers with the same weights."""
    layers: list[nn.Module] = []
    for i, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
        if i:
            layers += [nn.LayerNorm(weight.shape[1], elementwise_affine=False), nn.ReLU()]
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data.copy_(weight[member].T)
        linear.bias.data.copy_(bias[member, 0])
        layers.append(linear)
    return nn.Sequential(*layers)


def check_same(rows: int) -> None:
    """The loop and ours compute the same gradients.

    Critics hardly move: Adam's first step is the gradient's sign, which is rounding where the
    gradient is nothing, and actors would then follow different critics.

    Raises:
        RuntimeError: they do not.
    """
    ours = learner((64, 64), is_team=False, critic_lr=1e-12)
    loop, batch = Loop(ours), random_batch(rows)
    loop.update(batch)
    ours.update(batch)
    for mine, theirs in ((ours.actor.net.mlp, loop.actors), (ours.critic, loop.critics)):
        for i in range(AGENTS):
            layers = [layer for layer in theirs[i] if isinstance(layer, nn.Linear)]
            for stacked, single in zip(mine.weights, layers, strict=True):
                error = (stacked.grad[i] - single.weight.grad.T).abs().max()
                if error > 1e-4 * stacked.grad[i].abs().max():
                    raise RuntimeError(f"the loop computes otherwise: {float(error)}")


Calls = list[Callable[[], object]]


def bounds(hidden: Sequence[int], rows: int, *, is_team: bool) -> tuple[Calls, Calls]:
    """The update's matrix products: by torch, and by the fastest way there is here."""
    judged = 1 if is_team else AGENTS
    joint = AGENTS * KNOBS
    actor, critic = [OBS, *hidden, KNOBS], [STATE + joint, *hidden, 1]
    own = joint if is_team else KNOBS  # actions by which a critic is differentiated
    made = [*_forward(AGENTS, rows, actor), *_forward(judged, rows, critic)]  # targets
    made += [*_forward(judged, rows, critic), *_by_weights(judged, rows, critic)]
    made += _by_inputs(judged, rows, critic[1:])
    made += [*_forward(AGENTS, rows, actor), *_by_weights(AGENTS, rows, actor)]
    made += _by_inputs(AGENTS, rows, actor[1:])
    made += [*_forward(judged, rows, critic), *_by_inputs(judged, rows, [own, *critic[1:]])]
    return [plain for plain, _ in made], [fastest for _, fastest in made]


def _forward(members: int, rows: int, widths: Sequence[int]) -> list[Calls]:
    made = []
    for a, b in pairwise(widths):
        x, weight = torch.randn(members, rows, a), torch.randn(members, a, b)
        nothing = torch.zeros(members, 1, b)
        made.append(_ways(x, weight, partial(products.forward, x, weight, nothing)))
    return made


def _by_weights(members: int, rows: int, widths: Sequence[int]) -> list[Calls]:
    made = []
    for a, b in pairwise(widths):
        x, grad = torch.randn(members, rows, a), torch.randn(members, rows, b)
        made.append(_ways(x.mT, grad, partial(products.by_weight, x, grad)))
    return made


def _by_inputs(members: int, rows: int, widths: Sequence[int]) -> list[Calls]:
    made = []
    for a, b in pairwise(widths):
        grad, weight = torch.randn(members, rows, b), torch.randn(members, a, b)
        made.append(_ways(grad, weight.mT, partial(products.by_input, grad, weight)))
    return made


def _ways(left: Tensor, right: Tensor, ours: Callable[[], object]) -> Calls:
    """Torch's faster of one batched call and one call per member, and the fastest with ours."""
    out = torch.empty(left.shape[0], left.shape[1], right.shape[2])
    members = list(zip(left, right, out, strict=True))

    def batched() -> None:
        torch.bmm(left, right, out=out)

    def singly() -> None:
        for a, b, c in members:
            torch.mm(a, b, out=c)

    times = {way: min(_seconds(way, 3) for _ in range(3)) for way in (batched, singly, ours)}
    return [min(ways, key=times.__getitem__) for ways in ((batched, singly), times)]


def _seconds(operation: Callable[[], object], repeats: int) -> float:
    """Mean CPU time; on several threads wall time, which they are asked for to shorten."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    for _ in range(repeats):
        operation()
    return (clock() - started) / repeats


def ways(hidden: tuple[int, ...], rows: int, *, is_team: bool) -> dict[str, Callable[[], object]]:
    """Name → one update."""
    batch, ours = random_batch(rows), learner(hidden, is_team=is_team)
    plain, fastest = bounds(hidden, rows, is_team=is_team)
    made: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.update(batch),
        "products": lambda: [call() for call in plain],
        "fastest": lambda: [call() for call in fastest],
    }
    if not is_team:
        loop = Loop(ours)
        made["loop"] = lambda: loop.update(batch)
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    check_same(64)
    check_same(1024)
    for hidden, rows in (((64, 64), 256), ((64, 64), 1024), ((256, 256), 1024)):
        for is_team in (False, True):
            operations = ways(hidden, rows, is_team=is_team)
            repeats = 30 if hidden[0] == 64 else 5
            times: dict[str, list[float]] = {name: [] for name in operations}
            for _ in range(arguments.rounds):
                for name, operation in operations.items():
                    times[name].append(_seconds(operation, repeats) * 1e3)
            median = {name: statistics.median(values) for name, values in times.items()}
            text = f"{hidden[0]} × {hidden[1]}, batch {rows}, {'team' if is_team else 'Lowe'}: "
            text += ", ".join(f"{name} {ms:.2f} ms" for name, ms in median.items())
            text += f"; products {median['products'] / median['ours']:.0%} of ours"
            text += f", fastest {median['fastest'] / median['ours']:.0%}"
            if "loop" in median:
                text += f", loop {median['loop'] / median['ours']:.2f} × ours"
            sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
