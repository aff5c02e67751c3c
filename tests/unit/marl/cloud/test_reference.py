"""The tensors against the plain-Python oracle: same weather, same knobs, same numbers.

In float64 the two must agree closely in every scenario; in float32, as clouds run, to 1e-5 of each
quantity's scale (rounding may there tip one machine of a thousand, which is no error).
"""

import dataclasses

import pytest
import torch

from marl.cloud.actions import SIZES
from marl.cloud.catalogue import default_catalog
from marl.cloud.dynamics import build_cloud, initial_state, knobs_from_actions, step
from marl.cloud.params import CloudConfig, build_params, measure_reference
from marl.cloud.reference import ReferenceCloud
from marl.cloud.types import POOLS, SERVICES
from marl.cloud.weather import draw_weather
from marl.workload.toy import ToyGenerator

STEPS, CLOUDS = 144, 4


def random_walk(generator, steps, batch):
    """Actions of a policy that wanders over the whole range, extremes included."""
    width = sum(SIZES)
    walk = torch.randn((steps, batch, width), generator=generator).cumsum(0) * 0.2
    return (walk + torch.rand((1, batch, width), generator=generator) * 2 - 1).clamp(-1, 1)


SCENARIOS = {
    "calm": ({}, {}),
    "stormy": (
        {"noise": 0.5},
        {
            "spot_shock_time_share": 0.3,
            "spot_hazard_per_h": (2.0, 1.0, 1.0, 0.5),
            "failover_per_step": 0.1,
        },
    ),
    "starved": (
        {"noise": 0.8},
        {"quota_share": 0.6, "qps_per_vcpu": 300.0, "committed_share": 0.0},
    ),
    "other shapes": (
        {"mean_vcpu": 40.0},
        {
            "zones": 2,
            "machine_type": "n4a-standard-4",
            "disk_type": "pd-ssd",
            "batch_deadline_steps": 6,
            "ml_deadline_steps": 2,
            "vm_warm_up_s": (100.0, 900.0),
        },
    ),
}


def in_double(value):
    """The same dataclass (or tuple of them) with float32 tensors in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype == torch.float32 else value
    if dataclasses.is_dataclass(value):
        fields = {f.name: in_double(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return tuple(map(in_double, value)) if isinstance(value, tuple) else value


def compare(name, convert, check):
    toy, overrides = SCENARIOS[name]
    generator = ToyGenerator(**toy)
    catalog = default_catalog("europe-west4" if name == "other shapes" else "us-central1")
    config = CloudConfig(**overrides)
    reference = measure_reference(generator, config, catalog, STEPS)
    cloud = build_cloud(build_params(config, catalog, reference, torch.device("cpu"), 300.0))
    weather = draw_weather(generator, CLOUDS, STEPS, seed=5, episode=0, params=cloud.params)
    actions = random_walk(torch.Generator().manual_seed(7), STEPS, CLOUDS)
    cloud, steps = convert(cloud), convert(weather.steps)

    state = initial_state(steps[0], cloud)
    oracles = [ReferenceCloud.start(cloud, steps[0], i) for i in range(CLOUDS)]
    state = convert(state)
    seen = {"preemptions": 0.0, "dropped": 0.0, "changes": 0.0}
    for t in range(STEPS):
        knobs = knobs_from_actions(convert(actions[t]), cloud)
        state, outcome = step(state, knobs, steps[t], cloud)
        for i, oracle in enumerate(oracles):
            expected = oracle.step(knobs[i].tolist(), steps[t], i)
            assert state.pools[i].tolist() == oracle.pools, (t, i, POOLS)
            assert state.spot[i].tolist() == [vms for zone in oracle.spot for vms in zone]
            agents = {f"agent_{a}": outcome.reward[i, s] for s, a in enumerate(SERVICES)}
            actual = {k: float(v[i]) for k, v in outcome.info.items()}
            actual |= {k: float(v) for k, v in agents.items()}
            assert actual.keys() == expected.keys()
            for key, value in expected.items():
                assert actual[key] == check(key, value, cloud), (t, i, key)
            for key in seen:
                seen[key] += expected[key]
    return seen


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_episode_equals_the_plain_python_reference(name):
    def exactly(key, value, cloud):
        return pytest.approx(value, rel=1e-6, abs=1e-6)

    seen = compare(name, in_double, exactly)
    # The comparison is worth nothing if nothing happened.
    assert seen["changes"] > 100
    if name in ("stormy", "starved"):
        assert seen["dropped"] > 0
    if name == "stormy":
        assert seen["preemptions"] > 50


def test_so_it_does_in_single_precision():
    def nearly(key, value, cloud):
        scale = {"backlog": cloud.params.reference.peak[0], "dropped": 1e6}.get(key, 1.0)
        return pytest.approx(value, rel=1e-5, abs=1e-5 * scale)

    compare("calm", lambda value: value, nearly)
