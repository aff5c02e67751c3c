"""A workload whose parameters are known: demand and marks simulated from stated models."""

import numpy as np
import polars as pl

from marl.traces.schema import WINDOW_US
from marl.workload.arrivals import ArrivalModel
from marl.workload.levels import KERNEL_WINDOWS, follow, survival_kernel
from marl.workload.lifetimes import LifetimeModel
from marl.workload.noise import ArNoise

TRUTH = {
    "web": ArrivalModel(rate=3.0, daily=(0.4, 0.2)),
    "batch": ArrivalModel(
        family="cox_ar1", rate=20.0, daily=(0.3, 0.1), sigma=0.4, noise=ArNoise(phis=(0.8,))
    ),
    "ml": ArrivalModel(family="negative_binomial", rate=4.0, size=2.0),
}
LIVES = {
    "web": LifetimeModel(family="weibull", parameters={"shape": 0.7, "scale_s": 20_000.0}),
    "batch": LifetimeModel(family="lognormal", parameters={"mu": 6.0, "sigma": 1.2}),
    "ml": LifetimeModel(family="lognormal", parameters={"mu": 8.5, "sigma": 0.8}),
}
TASK_NCU = {"web": 0.05, "batch": 0.01, "ml": 0.08}


def simulate(windows: int = 2016, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(demand, marks) as `class_demand` and `class_marks` would give them."""
    rng = np.random.default_rng(seed)
    demand, marks, next_id = [], [], 1
    for name, arrivals in TRUTH.items():
        time_us = np.arange(1 - KERNEL_WINDOWS, windows, dtype=np.int64) * WINDOW_US
        counts = arrivals.sample(time_us[None], rng)[0].astype(float)
        echo = np.asarray(follow(counts, survival_kernel(LIVES[name])))
        seen, at = counts[KERNEL_WINDOWS - 1 :], time_us[KERNEL_WINDOWS - 1 :]
        noise = ArNoise(weights=(0.5, 0.5), phis=(0.5, 0.97)).sample(2, windows, rng)
        cpu = 2 * TASK_NCU[name] * echo * np.exp(0.15 * noise[0])
        memory = 1.5 * TASK_NCU[name] * echo * np.exp(0.1 * noise[0] + 0.05 * noise[1])
        demand.append(
            pl.DataFrame(
                {
                    "window_us": at,
                    "workload_class": name,
                    "collection_arrivals": seen,
                    "task_arrivals": seen * 2,
                    "running_tasks": echo * 2,
                    "requested_cpu_ncu": cpu * 2,
                    "requested_memory_nmu": memory * 2,
                    "cpu_ncu": cpu,
                    "memory_nmu": memory,
                    "is_imputed": False,
                }
            )
        )
        total = int(seen.sum())
        first = np.repeat(at, seen.astype(int)) + rng.integers(0, WINDOW_US, total)
        life = LIVES[name].sample(total, rng)
        left = (windows * WINDOW_US - first) / 1e6
        pairs = TASK_NCU[name] * np.exp(0.5 * rng.standard_normal((total, 2)))
        marks.append(
            pl.DataFrame(
                {
                    "collection_id": np.arange(next_id, next_id + total),
                    "workload_class": name,
                    "first_us": first,
                    "tasks": rng.geometric(0.3, total),
                    "cpu_request_ncu": pairs[:, 0],
                    "memory_request_nmu": pairs[:, 1],
                    "lifetime_s": np.minimum(life, left),
                    "is_censored": life > left,
                }
            )
        )
        next_id += total
    return pl.concat(demand), pl.concat(marks)
