"""The tensors against the plain-Python oracle: same weather, same knobs, same numbers.

In float64 the two run whole episodes side by side from their own initial states and must agree to
1e-6 in everything: state, figures, rewards. In float32, as clouds run, the oracle begins every step
anew from the tensors' state, so that a machine that falls on the other side of a rounding edge
cannot spoil the rest of the episode: a step in which the whole numbers differ is counted (at most 1
in 200 may be, by one machine) and every other step must agree to 1e-5 of each quantity's scale.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import marl
from marl.cloud.actions import WIDTH
from marl.cloud.catalogue import default_catalog
from marl.cloud.config import CloudConfig
from marl.cloud.dynamics import build_cloud, initial_state, knobs_from_actions, step
from marl.cloud.figures import figure_names
from marl.cloud.params import build_params, measure_reference
from marl.cloud.reference import ReferenceCloud
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import draw_weather, unpack
from marl.envs.scenarios import SCENARIOS, generator_for, reference_generator_for
from marl.workload.toy import ToyGenerator

STEPS, CLOUDS = 144, 4
FIELDS = tuple(field.name for field in dataclasses.fields(CloudState))
WHOLE = ("vms", "pending_vms", "pools", "pending_pools", "committed", "has_ha")

STORMY = {
    "spot_hazard_factor": 10.0,
    "spot_shock_time_share": 0.2,
    "vm_failure_per_h": 0.02,
    "failover_per_step": 0.1,
    "zone_outage_per_day": 3.0,
    "zone_outage_hours": 1.0,
    "stock_out_time_share": 0.2,
    "quota_cut_per_day": 6.0,
    "quota_cut_hours": 2.0,
    "price_shock_per_day": 6.0,
    "price_shock_hours": 3.0,
    "price_shock_factor": 2.0,
    "disk_slow_per_day": 12.0,
    "commitment_review_h": 2.0,
    "hyperdisk_hours": 0.3,
    "batch_deadline_steps": 6,  # short ones, so that some are missed for certain
    "ml_deadline_steps": 6,
}
WORLDS = {
    "calm": (ToyGenerator(), "us-central1", {}),
    "stormy": (ToyGenerator(noise=0.5), "us-central1", STORMY),
    "starved": (
        ToyGenerator(noise=0.8),
        "us-central1",
        {"quota_share": 0.2, "retry_share": 0.95, "qps_per_vcpu": 300.0, "committed_share": 0.0},
    ),
    "other shapes": (
        ToyGenerator(mean_vcpu=60.0, kind="burst"),
        "europe-west4",
        {
            "zones": 2,
            "machine_type": "n4a-standard-4",
            "highmem_type": "n2-highmem-4",
            "arm_type": "n4a-standard-4",
            "gpu_type": "g2-standard-4",
            "disk_type": "pd-ssd",
            "batch_deadline_steps": 6,
            "ml_deadline_steps": 2,
            "vm_warm_up_s": (100.0, 900.0),
            "gpu_fit_share": 1.0,
            "gpu_vcpu": 10.0,
            "local_share": 0.7,
            "stock_out_time_share": 0.1,
            "zone_outage_per_day": 1.0,
            "lifecycle_days": 0.1,
            "arrival_scv": 2.0,
            "service_scv": 0.6,
        },
    ),
}
HAPPENINGS = ("changes", "preemptions", "failures", "refusals", "dropped", "deadline_misses")
HAPPENINGS += ("zones_down", "is_failing_over", "utilisation_gpu", "cdn_hits", "redis_hits")
HAPPENINGS += ("gib_archive", "units_hyperdisk", "over_budget", "retries")


def random_walk(steps, batch, seed=7):
    """Actions of a policy that wanders over the whole range, extremes included."""
    rng = torch.Generator().manual_seed(seed)
    walk = torch.randn((steps, WIDTH, batch), generator=rng).cumsum(0) * 0.3
    return (walk + torch.rand((1, WIDTH, batch), generator=rng) * 2 - 1).clamp(-1, 1)


def in_double(value):
    """The same dataclass (or tuple of them) with float32 tensors in float64."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype == torch.float32 else value
    if dataclasses.is_dataclass(value):
        fields = {f.name: in_double(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return tuple(map(in_double, value)) if isinstance(value, tuple) else value


def world(generator, region, overrides, steps=STEPS, clouds=CLOUDS, measured_on=None):
    """A cloud and an episode's weather."""
    catalog, config = default_catalog(region), CloudConfig(**overrides)
    reference = measure_reference(measured_on or generator, config, catalog, steps)
    cloud = build_cloud(build_params(config, catalog, reference, torch.device("cpu"), 300.0))
    weather = draw_weather(generator, clouds, steps, seed=5, episode=0, params=cloud.params)
    return cloud, weather


def told(state, outcome, index):
    """Figures, agents' rewards and state of one cloud, one after the other."""
    rows = [outcome.figures, outcome.reward, *(getattr(state, name) for name in FIELDS)]
    return torch.cat([row[..., index].flatten() for row in rows]).tolist()


def names_of(state, zones):
    """What `told` lists."""
    fields = [(name, getattr(state, name)[..., 0].numel()) for name in FIELDS]
    agents = [f"agent_{service}" for service in SERVICES]
    state_names = [f"state.{name}[{n}]" for name, size in fields for n in range(size)]
    return [*figure_names(zones), *agents, *state_names]


def expected_of(oracle, figures, names):
    """The same of the oracle, by the names it has for it."""
    head = [figures[name] for name in names if not name.startswith("state.")]
    assert len(figures) == len(head)
    flat = oracle.state.flat()
    return head + [value for name in FIELDS for value in flat[name]]


def check(actual, expected, names, rel, scale):
    """Refuse the first step in which anything differs; all (T, clouds, names)."""
    actual, expected = np.array(actual), np.array(expected)
    wrong = ~(np.abs(actual - expected) <= rel * np.maximum(np.abs(expected), scale))
    if wrong.any():
        t, i, _ = np.argwhere(wrong)[0]
        pairs = zip(names, actual[t, i], expected[t, i], wrong[t, i], strict=True)
        shown = [f"{name}: {a} is not {e}" for name, a, e, bad in pairs if bad]
        raise AssertionError(f"step {t}, cloud {i}: " + "; ".join(shown))


def run_in_double(cloud, weather, actions):
    """Compare an episode; how much of each happening there was."""
    cloud, packed, actions = in_double(cloud), weather.packed.double(), actions.double()
    zones, clouds = cloud.params.config.zones, range(packed.shape[-1])
    first = unpack(packed[0], zones)
    state = initial_state(first, cloud)
    names = names_of(state, zones)
    oracles = [ReferenceCloud.start(cloud, first, i) for i in clouds]
    for i, oracle in enumerate(oracles):
        for name, values in oracle.state.flat().items():
            start = getattr(state, name)[..., i].flatten().tolist()
            assert start == pytest.approx(values, rel=1e-6, abs=1e-6), (i, name)
    seen = dict.fromkeys((*HAPPENINGS, "commitments", "ha_switches"), 0.0)
    actual, expected = [], []
    for t, rows in enumerate(packed):
        before, now = state, unpack(rows, zones)
        knobs = knobs_from_actions(actions[t], cloud)
        state, outcome = step(state, knobs, now, cloud)
        figures = [oracle.step(knobs[:, i].tolist(), now, i) for i, oracle in enumerate(oracles)]
        actual.append([told(state, outcome, i) for i in clouds])
        expected.append([expected_of(oracles[i], figures[i], names) for i in clouds])
        for key in HAPPENINGS:
            seen[key] += sum(each[key] for each in figures)
        seen["commitments"] += float((state.committed - before.committed).sum())
        seen["ha_switches"] += float((state.has_ha - before.has_ha).abs().sum())
    check(actual, expected, names, rel=1e-6, scale=1.0)
    return seen


MUST_HAPPEN = {
    "calm": ("commitments", "ha_switches", "units_hyperdisk", "utilisation_gpu", "gib_archive"),
    "stormy": (*HAPPENINGS, "commitments", "ha_switches"),
    "starved": ("dropped", "retries", "deadline_misses", "cdn_hits", "redis_hits"),
    "other shapes": ("refusals", "zones_down", "utilisation_gpu", "deadline_misses"),
}


@pytest.mark.parametrize("name", WORLDS)
def test_an_episode_equals_the_plain_python_reference(name):
    seen = run_in_double(*world(*WORLDS[name]), random_walk(STEPS, CLOUDS))
    # The comparison is worth nothing if nothing happened.
    assert seen["changes"] > 1000
    assert {key for key in MUST_HAPPEN[name] if seen[key] <= 0} == set()
    if name == "stormy":
        assert min(seen["preemptions"], seen["failures"], seen["refusals"]) > 100
    if name == "calm":
        assert seen["zones_down"] == 0


# In the starved cloud urgent work is the small difference of two sums over the whole episode.
@pytest.mark.parametrize(
    ("name", "rel"), [("calm", 1e-5), ("stormy", 1e-5), ("starved", 1e-4), ("other shapes", 1e-5)]
)
def test_so_does_every_step_in_single_precision(name, rel):
    cloud, weather = world(*WORLDS[name])
    zones, clouds = cloud.params.config.zones, range(CLOUDS)
    state = initial_state(weather.at(0), cloud)
    names = names_of(state, zones)
    actual, expected = [], []
    for t, actions in enumerate(random_walk(STEPS, CLOUDS)):
        knobs = knobs_from_actions(actions, cloud)
        oracles = [ReferenceCloud.at(cloud, state, i) for i in clouds]
        now = weather.at(t)
        state, outcome = step(state, knobs, now, cloud)
        figures = [oracle.step(knobs[:, i].tolist(), now, i) for i, oracle in enumerate(oracles)]
        actual.append([told(state, outcome, i) for i in clouds])
        expected.append([expected_of(oracles[i], figures[i], names) for i in clouds])
    actual, expected = np.array(actual), np.array(expected)
    whole = np.array([label.startswith(tuple(f"state.{w}[" for w in WHOLE)) for label in names])
    apart = np.abs(actual - expected)[..., whole].max(-1)
    tipped = apart > 0.5
    assert tipped.mean() <= 1 / 200
    assert apart.max() <= 1
    scale = np.maximum(np.abs(expected).max((0, 1)), 0.1)
    check(actual[~tipped][:, None], expected[~tipped][:, None], names, rel, scale)


def test_every_scenario_equals_it_too():
    for name, scenario in SCENARIOS.items():
        cloud, weather = world(
            generator_for(scenario, None, "train"),
            "us-central1",
            dict(scenario.overrides),
            steps=24,
            clouds=1,
            measured_on=reference_generator_for(scenario, None),
        )
        seen = run_in_double(cloud, weather, random_walk(24, 1, seed=scenario.difficulty))
        assert seen["changes"] > 24, name


def test_nothing_but_tests_imports_the_reference():
    package = Path(marl.__file__).parent
    own = package / "cloud" / "reference"
    users = {
        path
        for path in package.rglob("*.py")
        if "marl.cloud.reference" in path.read_text(encoding="utf-8")
    }
    assert {path for path in users if not path.is_relative_to(own)} == set()
    assert users
