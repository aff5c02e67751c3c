"""`python -m tests.benchmarks.check_queueing`: the latency formulas against a simulated tandem.

Prints, for every load, layout and variability, mean, p50, p95 and p99 of the time in the system:
simulated, and the formulas' relative error, with the simulation's own standard error of p95. Ends
with the largest errors; the exit status is 1 if p50, p95 or the mean is off by more than 15 % and
three standard errors. About 13 minutes on one core; `--share 0.1` takes every tenth case.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import torch

from marl.cloud.queueing import Z95, Z99, gamma_quantile, gamma_spread, variabilities, waits
from tests.doubles.tandem_queue import Tandem, sojourns

SERVICE_MS = (2.0, 20.0, 8.0, 4.0)  # network, compute, database, storage
SCVS = ((1.0, 1.0), (1.0, 0.5), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0), (2.0, 0.5), (1.4, 1.4))
LAYOUTS = {  # servers of the database, copies of each: what is busiest differs
    "even": (8, (1, 10, 2, 1)),
    "few vms": (8, (1, 5, 2, 1)),
    "one database": (8, (1, 10, 1, 1)),
    "busy disk": (8, (2, 20, 4, 1)),
    "busy network": (8, (1, 20, 4, 2)),
    "small databases": (2, (1, 10, 8, 1)),
    "large database": (16, (1, 10, 1, 1)),
}
POOLED = (
    (0.9, 0.5, 0.7, 0.3),
    (0.3, 0.5, 0.7, 0.9),
    (0.7, 0.95, 0.8, 0.9),
    (0.5, 0.9, 0.3, 0.95),
    (0.95, 0.95, 0.95, 0.95),
)
BAR = 0.15


@dataclass(frozen=True)
class Comparison:
    """One case: simulated values and the relative errors of the formulas."""

    tandem: Tandem
    simulated_ms: tuple[float, ...]  # mean, p50, p95, p99
    error: tuple[float, ...]  # of the same
    noise: tuple[float, ...]  # relative standard error of the simulated p50, p95, p99


def cases():
    """Loads 0.3 to 0.95 of the busiest station, layouts, variabilities."""
    base = [
        Tandem.loaded(f"{name} {most:g}", most, (4, 4, database, 8), SERVICE_MS, copies)
        for most in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
        for name, (database, copies) in LAYOUTS.items()
    ]
    base += [Tandem.pooled(f"pooled {c} {u}", u, (4, 4, c, 8)) for u in POOLED for c in (2, 16)]
    return [tandem.with_scv(*scv) for tandem in base for scv in SCVS]


def predicted_ms(tandem):
    """Mean, p50, p95, p99 by the formulas."""
    rho, servers, service, copies = (
        torch.tensor([values], dtype=torch.float64)
        for values in (tandem.utilisation, tandem.servers, tandem.service_ms, tandem.copies)
    )
    order = range(len(tandem.servers))
    scv = tandem.arrival_scv, tandem.service_scv
    variability = variabilities(rho, servers, copies, order, *scv)
    wait, variance = waits(rho, servers, service[0], variability)
    mean = (wait + service).sum(1)
    spread = gamma_spread(mean, (variance + tandem.service_scv * service**2).sum(1))
    quantiles = (gamma_quantile(mean, spread, z) for z in (0.0, Z95, Z99))
    return tuple(float(x) for x in (mean, *quantiles))


def compare(tandems, requests, runs, seed, family="usual"):
    """Simulate them together and set the formulas beside."""
    found = []
    for tandem, times in zip(tandems, sojourns(tandems, requests, runs, seed, family), strict=True):
        shares = (0.5, 0.95, 0.99)
        simulated = (times.mean(), *np.quantile(times, shares))
        noise = np.quantile(times, shares, axis=0).std(1, ddof=1) / np.sqrt(runs) / simulated[1:]
        error = tuple(p / s - 1.0 for p, s in zip(predicted_ms(tandem), simulated, strict=True))
        found.append(Comparison(tandem, simulated, error, tuple(noise)))
    return found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the cases to run")
    parser.add_argument("--requests", type=int, default=120_000, help="of each run")
    parser.add_argument("--runs", type=int, default=16, help="independent runs of a case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=("usual", "lognormal"), default="usual")
    options = parser.parse_args()
    chosen = cases()[:: max(round(1 / options.share), 1)]
    out = sys.stdout
    out.write(f"{'case':42} {'utilisation':20} | simulated p50 p95 p99 ms | error of ")
    out.write("mean p50 p95 p99, % | noise of p95, %\n")
    found = []
    for i in range(0, len(chosen), 12):
        seed = (options.seed, i)
        part = chosen[i : i + 12]
        for c in compare(part, options.requests, options.runs, seed, options.family):
            found.append(c)
            busy = " ".join(f"{u:.2f}" for u in c.tandem.utilisation)
            times = " ".join(f"{t:7.1f}" for t in c.simulated_ms[1:])
            errors = " ".join(f"{100 * e:+6.1f}" for e in c.error)
            out.write(f"{c.tandem.name:42} {busy} | {times} | {errors} | {100 * c.noise[1]:4.1f}\n")
        out.flush()
    errors = np.abs([c.error for c in found])
    for name, column in zip(("mean", "p50", "p95", "p99"), errors.T, strict=True):
        out.write(
            f"{name}: largest error {100 * column.max():.1f} %, mean {100 * column.mean():.1f} %, "
            f"over 15 % in {int((column > BAR).sum())} of {len(found)} cases\n"
        )
    noise = np.array([(max(c.noise[:2]), *c.noise[:2]) for c in found])
    return int((errors[:, :3] > BAR + 3 * noise).any())


if __name__ == "__main__":
    sys.exit(main())
