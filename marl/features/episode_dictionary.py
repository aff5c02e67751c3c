"""The dictionary of `evaluation_episodes`: what each of its columns means and how it is reckoned.

Made by `marl.evaluate`, which this package does not know: a test there holds it against a played
table. The other tables' words are `dictionary`'s.
"""

from typing import Final

SUMMARY: Final = (
    "One row per policy, scenario, training seed and episode. Columns of a step's figures "
    "(docs/simulator.md) that are not listed here are means over the episode's steps; weights "
    "are said where there are any. Quantities in vCPU × steps are of steps of five minutes."
)

_SUM = "sum over the episode's steps"
_ASKED = "mean over the episode's steps, weighted by their web requests"
_PURCHASE = "cost_on_demand_usd + cost_spot_usd + cost_committed_usd + cost_traffic_usd = cost_usd"
_UNITS: Final = {
    "compute": "vCPU", "storage": "IOPS", "network": "Gbps", "database": "database vCPU",
    "memory": "GiB",
}  # fmt: skip

COLUMNS: Final[dict[str, str]] = {
    "policy": "its name",
    "scenario": "kind of demand (docs/scenarios.md)",
    "training_seed": "seed of the policy's training run; null where nothing was trained",
    "episode": "its number: the same number is the same weather for every policy",
    "is_held_out": "demand is of the part of the trace that nothing was trained or tuned on",
    "is_synthetic": "the workload was fitted to a generated trace",
    "steps": "steps in the episode",
    "hours": "length of the episode",
    "reward": "the composite objective: mean over steps and agents",
    "reward_cost": "objective, unweighted, mean over steps; so are the other reward_* terms",
    "cost_usd": f"the bill, {_SUM}; so are all cost_*_usd. By service: compute + storage + network "
    "+ database. By purchase: " + _PURCHASE,
    "cost_on_demand_usd": "capacity of every service at list price: capacity less spot and "
    "committed",
    "cost_spot_usd": "spot VMs",
    "cost_committed_usd": "VMs under commitment, used or not",
    "cost_traffic_usd": "passing and reading bytes",
    "cost_decided_usd": "what the cost objective counts (docs/simulator.md)",
    "slo_attainment": "share of due work that was in time, " + _ASKED,
    "latency_p50_ms": "of a step's web requests, " + _ASKED + "; so are p95 and p99 (no quantile "
    "of the whole episode)",
    "latency_p95_ms": "see latency_p50_ms",
    "latency_p99_ms": "see latency_p50_ms",
    "requests": "web requests that arrived, " + _SUM,
    "requests_served": "web requests answered, by the CDN or the backends, " + _SUM,
    "dropped": "web requests lost, repeated ones included, " + _SUM,
    "retries": "lost requests that came again, " + _SUM,
    "cdn_hits": "requests the CDN answered, " + _SUM,
    "requests_per_s": "requests_served ÷ seconds in the episode",
    "availability": "requests_served ÷ (requests_served + dropped); 1 without requests",
    "steps_up": "steps in which at most 5 % of the web's requests were lost",
    "up_share": "steps_up ÷ steps. Share of requests served and share of time up are two measures "
    "of availability (Hauer et al., Meaningful Availability, NSDI 2020); 5 % of errors is where "
    "Google's agreement on Workspace begins to count downtime",
    **{
        f"due_{name}": f"vCPU × steps of {name} work whose time had come, {_SUM}"
        for name in ("web", "batch", "ml")
    },
    **{
        f"late_{name}": f"vCPU × steps of it not in time, {_SUM}" for name in ("web", "batch", "ml")
    },
    **{
        f"service_level_{name}": f"1 − late_{name} ÷ due_{name}; 1 where nothing was due"
        for name in ("web", "batch", "ml")
    },
    "fairness": "Jain's index of the three service levels, (Σx)² ÷ (nΣx²), over the n classes with "
    "work due: 1 all alike, 1/n one gets everything (Jain, Chiu and Hawe 1984)",
    "work_done_batch": "vCPU × steps of batch work done, late or not, " + _SUM,
    "work_done_ml": "the same of ML work",
    "done_batch_vcpu_h": "work_done_batch in vCPU-hours",
    "done_ml_vcpu_h": "work_done_ml in vCPU-hours",
    "deadline_misses": "late_batch + late_ml",
    "deadline_miss_share": "deadline_misses ÷ (due_batch + due_ml); 0 where nothing was due",
    "waste": "share of a step's capacity bill that bought idle capacity, mean over steps",
    "slack_usd": "USD of capacity bought and not used: waste × cost_capacity_usd, " + _SUM,
    "slack": "slack_usd ÷ cost_capacity_usd: relative slack over the services, in money",
    **{
        f"used_{name}": f"{unit} × steps used: utilisation × capacity, {_SUM}"
        for name, unit in _UNITS.items()
    },
    **{
        f"slack_{name}": f"relative slack of {unit}: 1 − used ÷ bought over the episode (Rzadca et "
        "al., Autopilot, EuroSys 2020)"
        for name, unit in _UNITS.items()
    },
    "slack_vcpu_h": "absolute slack: vCPU-hours bought and not used",
    "carbon_gco2": "grams of CO2-equivalent, " + _SUM,
    "preemptions": "spot VMs preempted or failed, " + _SUM,
    "preemptions_survived": "of them, those in steps in which no web request was lost",
    "preemption_survival": "preemptions_survived ÷ preemptions; 1 without any",
    "failures": "on-demand VMs failed, " + _SUM,
    "refusals": "VMs refused by zones that were down, sold out or reclaiming, " + _SUM,
    "changes": "scaling operations begun, " + _SUM,
    "changes_per_h": "changes ÷ hours: churn",
    "steps_refused": "steps in which a VM was refused",
    "steps_over_budget": "steps at whose end the budget to date was overspent",
    "over_budget_share": "steps_over_budget ÷ steps",
    "steps_with_gap": "steps in which a service could carry over 1 % more of the web's demand than "
    "another",
    "steps_in_violation": "steps with a refusal, an overspent budget or such a gap",
    "violation_share": "steps_in_violation ÷ steps",
}
