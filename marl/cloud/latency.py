"""How long a web request takes, and how much of the work that was due was in time.

Puts the stations a request crosses into `queueing`'s formulas. Whether it is served at all belongs
to `service`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.params import TIER_STEP_VCPU, CloudParams
from marl.cloud.queueing import (
    RHO_MAX,
    Z95,
    Z99,
    gamma_below,
    gamma_quantile,
    gamma_spread,
    variabilities,
    waits,
)
from marl.cloud.scaling import PROXY, REPLICA, TIER, Provisioned
from marl.cloud.service import Offered, Served
from marl.cloud.types import WeatherStep

_EPS = 1e-6
_PATH = (2, 0, 3, 1)  # network, compute, database, storage: as a request crosses the services


@dataclass(frozen=True)
class Latency:
    """Of the web requests that reached the backends and were served in this step."""

    p50_s: Tensor  # (B,)
    p95_s: Tensor  # (B,)
    p99_s: Tensor  # (B,)
    within: Tensor  # (B,) share within the SLO
    sojourn_s: Tensor  # (S, B) mean time at each station
    web_due: Tensor  # (B,) vCPU of web work whose time had come: served, lost or a hit
    web_late: Tensor  # (B,) of it lost or beyond the SLO
    on_time_share: Tensor  # (B,) of all work that fell due: web within the SLO, background in time


def latency(
    offered: Offered,
    served: Served,
    now: Provisioned,
    network: tuple[Tensor, Tensor],
    weather: WeatherStep,
    params: CloudParams,
) -> Latency:
    """Latency of a step.

    Loads are those offered to each station, not what upstream let through: the latency of a station
    then never rises because another one got more capacity.

    Args:
        offered: work that asked to be served.
        served: what became of it.
        now: units in service.
        network: (B,) share of egress on the premium tier, (B,) share of hops to another zone.
        weather: of this step.
        params: of the cloud.
    """
    config = params.config
    tier = now.pools[TIER]
    one = torch.ones_like(tier)
    servers = torch.stack(
        (
            one * float(params.machine.vcpu),  # the balancer picks a VM: its vCPUs serve
            one * config.storage_channels,
            one * config.network_channels,
            (tier * TIER_STEP_VCPU).clamp_min(1.0),
        )
    )
    reads_cached = config.read_share * offered.redis_hit
    service_s = params.service_s * torch.stack(
        (one, 1.0 / weather.disk_speed, one, 1.0 - 0.9 * reads_cached)
    )
    rho = served.rho[:4].clamp(0.0, RHO_MAX)
    variability = _variability(rho, servers, now, params)
    wait, wait_variance = waits(rho, servers, service_s, variability)
    sojourn = wait + service_s
    mean = sojourn.sum(0)
    variance = (wait_variance + config.service_scv * service_s * service_s).sum(0)
    spread = gamma_spread(mean, variance)
    # The queue left at the end of the step grew evenly over it: a fluid wait from 0 to this.
    longest = served.kept / served.web_share.clamp_min(_EPS) * params.step_s
    longest = longest.clamp_max(config.web_timeout_s)
    premium, crossing = network
    base = (
        config.propagation_ms
        + config.standard_tier_ms * (1.0 - premium)
        + config.cross_zone_ms * crossing
    ) * 1e-3
    limit = config.slo_ms / 1e3
    within = gamma_below(limit - base, mean, spread)
    within = within * limit / torch.clamp_min(longest, limit)
    web = offered.work[0, 0]
    on_time = web * served.web_share * within + offered.hits_vcpu
    web_due = web * (served.web_share + served.lost_share) + offered.hits_vcpu
    on_time = on_time + (weather.due_now - served.late).sum(0)
    due = web_due + weather.due_now.sum(0)
    return Latency(
        p50_s=base + gamma_quantile(mean, spread, 0.0) + 0.5 * longest,
        p95_s=base + gamma_quantile(mean, spread, Z95) + 0.95 * longest,
        p99_s=base + gamma_quantile(mean, spread, Z99) + 0.99 * longest,
        within=within,
        sojourn_s=sojourn,
        web_due=web_due,
        web_late=web * (served.web_share * (1.0 - within) + served.lost_share),
        on_time_share=torch.where(due > _EPS, on_time / due.clamp_min(_EPS), 1.0),
    )


def _variability(
    rho: Tensor, servers: Tensor, now: Provisioned, params: CloudParams
) -> float | Tensor:
    """(S, B) of each station, or the 1 that it is everywhere for Poisson streams."""
    config = params.config
    if config.arrival_scv == config.service_scv == 1.0:
        return 1.0
    vms = now.fleet.serving[:, :3].sum((0, 1))
    copies = torch.stack((vms, torch.ones_like(vms), now.pools[PROXY], 1.0 + now.pools[REPLICA]))
    stations = (rho.t(), servers.t(), copies.clamp_min(1.0).t())
    return variabilities(*stations, _PATH, config.arrival_scv, config.service_scv).t()
