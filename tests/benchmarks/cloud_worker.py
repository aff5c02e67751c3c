"""Our simulator, measured in a process of its own: one line of JSON in, one out.

Run by `bench_cloud`, not by hand. What is compared with what is said there.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from marl.envs import make
from marl.envs.batched import BatchedEnv
from marl.envs.parallel import parallel_env
from tests.benchmarks.cloud_peers import median, timed

Request = dict[str, Any]
Answer = dict[str, float]
_ACTIONS = 8  # different random actions, drawn beforehand, taken in turn
_COPY_BYTES = 2**28  # of the bandwidth test: far more than any cache holds


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def random_actions(env: BatchedEnv) -> list[dict[str, Tensor]]:
    """Random actions for every agent, uniform over their range."""
    rng = torch.Generator(env.device).manual_seed(0)
    return [
        {
            agent: torch.rand((env.num_envs, *space.shape), generator=rng, device=env.device) * 2
            - 1
            for agent, space in env.action_spec.items()
        }
        for _ in range(_ACTIONS)
    ]


def stepper(request: Request) -> tuple[BatchedEnv, Callable[[], object], float]:
    """An environment past its first step, a function that steps it, s of that first step."""
    env = make(
        num_envs=request["batch"],
        device=request["device"],
        mode=request["mode"],
        seed=0,
        **request.get("overrides", {}),
    )
    actions = random_actions(env)
    env.reset()
    count = 0

    def step() -> None:
        nonlocal count
        env.step(actions[count % _ACTIONS])
        wait(request["device"])
        count += 1

    begun_s = time.perf_counter()
    step()
    return env, step, time.perf_counter() - begun_s


class Worker:
    """Keeps environments between requests, so that each is built and compiled once."""

    def __init__(self) -> None:
        self._ready: dict[str, Any] = {}

    def answer(self, request: Request) -> Answer:
        """Do what `request["what"]` names."""
        return {
            "steps": self.steps,
            "face": self.face,
            "traffic": traffic,
            "bandwidth": bandwidth,
            "memory": memory,
        }[request["what"]](request)

    def steps(self, request: Request) -> Answer:
        """Env-steps a second of the batched face, without and with the resets of its episodes."""
        key = json.dumps({k: v for k, v in request.items() if k != "seconds"}, sort_keys=True)
        if key not in self._ready:
            self._ready[key] = stepper(request)
        env, step, first_s = self._ready[key]
        begun_s = time.perf_counter()
        env.reset()
        wait(request["device"])
        reset_s = time.perf_counter() - begun_s
        step_s = median(timed(step, request["seconds"]))
        episode = env.episode_steps
        return {
            "rate": env.num_envs / step_s,
            "rate_with_resets": env.num_envs * episode / (episode * step_s + reset_s),
            "reset_s": reset_s,
            "first_s": first_s,
        }

    def face(self, request: Request) -> Answer:
        """Steps a second of the PettingZoo face; resets left out, as for the peer."""
        key = f"face {request['mode']}"
        if key not in self._ready:
            env = parallel_env(mode=request["mode"], episode_steps=2_000, seed=0)
            env.reset(seed=0)
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            begun_s = time.perf_counter()
            env.step(actions)
            self._ready[key] = env, actions, time.perf_counter() - begun_s
        env, actions, first_s = self._ready[key]
        times: list[float] = []
        end_s = time.perf_counter() + request["seconds"]
        while time.perf_counter() < end_s:
            if not env.agents:
                env.reset()
            begun_s = time.perf_counter()
            env.step(actions)
            times.append(time.perf_counter() - begun_s)
        return {"rate": 1.0 / median(times), "first_s": first_s}


class _Count(TorchDispatchMode):
    """Counts operations, and the bytes of the tensors they take and give."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            self.bytes += tensor_bytes((args, kwargs, result))
        return result


def tensor_bytes(value: object) -> int:
    """Bytes of all tensors in dataclasses, mappings and sequences; each part of memory once."""
    found: dict[tuple[int, int], int] = {}

    def visit(part: object) -> None:
        if isinstance(part, Tensor):
            size = part.numel() * part.element_size()
            found[part.data_ptr(), size] = size
        elif is_dataclass(part):
            for field in fields(part):
                visit(getattr(part, field.name))
        elif isinstance(part, Mapping):
            for inner in part.values():
                visit(inner)
        elif isinstance(part, tuple | list):
            for inner in part:
                visit(inner)

    visit(value)
    return sum(found.values())


def traffic(request: Request) -> Answer:
    """Bytes that a step must move at least, and what eager's single operations move.

    At least: state in and out, weather, actions, and everything the step gives back.
    """
    env, step, _ = stepper({**request, "mode": "eager"})
    actions = random_actions(env)[0]
    before = tensor_bytes(env.cloud_state)
    now = tensor_bytes((env.weather.packed[env.step_index], env.weather.told[env.step_index + 1]))
    result = env.step(actions)
    least = before + now + tensor_bytes(actions) + tensor_bytes(env.cloud_state)
    least += tensor_bytes((result.obs, result.reward, result.info, env.state()))
    count = _Count()
    with count:
        step()
    return {"least": least, "eager": count.bytes, "operations": count.operations}


def bandwidth(request: Request) -> Answer:
    """Bytes a second of a torch copy, read and written, in memory and at the step's own size."""
    answer = {}
    for name, size in (("memory", _COPY_BYTES), ("same_size", int(request["bytes"]) // 2)):
        source = torch.ones(size // 4, device=request["device"])
        target = torch.empty_like(source)

        def copy(target: Tensor = target, source: Tensor = source) -> None:
            target.copy_(source)
            wait(request["device"])

        answer[name] = 2 * 4 * source.numel() / median(timed(copy, request["seconds"]))
    return answer


def memory(request: Request) -> Answer:
    """Peak resident memory after a tenth and after all of `steps` steps, resets included."""

    def peak_mib() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak_mib()
    env, step, _ = stepper(request)
    while env.step_index != env.episode_steps - 1:  # an episode's end holds two weathers at once
        step()
    step()
    for _ in range(request["steps"] // 10):
        step()
    early = peak_mib()
    for _ in range(request["steps"] - request["steps"] // 10):
        step()
    return {"before": before, "early": early, "late": peak_mib()}


def main() -> None:
    """Answer until the input ends."""
    torch.set_num_threads(1)
    worker = Worker()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
