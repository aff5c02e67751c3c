"""Serving: demand meets capacity, what does not fit waits or is lost, latency follows.

A request crosses network, compute, database and storage, so each class is served as far as the
narrowest of the four lets it (throughput is a minimum, latency a sum). Web goes first; batch and ML
share what is left. Providing the capacity belongs to `scaling`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.params import CloudParams
from marl.cloud.queueing import RHO_MAX, Z95, gamma_below, gamma_quantile, gamma_spread, waits
from marl.cloud.types import WeatherStep

_EPS = 1e-6


@dataclass(frozen=True)
class Served:
    """One step's service."""

    backlog: Tensor  # (B, C, 5) carried into the next step
    served: Tensor  # (B, 2) background work served since the episode began
    offered: Tensor  # (B, S) arrivals and backlog of all classes
    used: Tensor  # (B, S) capacity that did work (retries included)
    utilisation: Tensor  # (B, S) used / capacity, in [0, 1]
    shortage: Tensor  # (B, S) share of the web's demand that the service could not carry
    gbps: Tensor  # (B, 2) traffic served, of web and of all classes
    dropped_share: Tensor  # (B,) of the web requests that were resolved in this step
    dropped: Tensor  # (B,) web requests
    on_time_share: Tensor  # (B,) of the work that fell due: web within the SLO, background in time
    latency_share: Tensor  # (B,) of the web requests served: those within the SLO
    latency_p50_s: Tensor  # (B,)
    latency_p95_s: Tensor  # (B,)
    sojourn_s: Tensor  # (B, S) mean time of a web request at each station
    blocked: Tensor  # (B,) extra CPU a request costs because the database starves, as a share


def serve(
    backlog: Tensor,
    served: Tensor,
    capacity: Tensor,
    tier_vcpu: Tensor,
    weather: WeatherStep,
    params: CloudParams,
) -> Served:
    """Serve one step.

    Args:
        backlog: (B, C, 5) carried over.
        served: (B, 2) background work served before, vCPU times steps.
        capacity: (B, S) in the unit of each service.
        tier_vcpu: (B,) vCPUs of one database node: the servers of its queue.
        weather: this step's arrivals and due work.
        params: of the cloud.
    """
    config = params.config
    offered = backlog + weather.work
    web = offered[:, 0, :4]
    background = offered[:, 1, :4] + offered[:, 2, :4]

    # A starved database holds compute's workers: waiting requests poll, time out and retry.
    starved = (web[:, 3] / capacity[:, 3].clamp_min(_EPS) - 1.0).clamp(0.0, 1.0)
    blocked = config.blocking * starved
    usable = torch.cat(((capacity[:, 0] / (1.0 + blocked))[:, None], capacity[:, 1:]), 1)
    usable = usable.clamp_min(_EPS)

    web_fit = (usable / web.clamp_min(_EPS)).clamp_max(1.0)
    web_share = web_fit.amin(1)
    web_used = web_share[:, None] * web
    left = (usable - web_used).clamp_min(0.0)
    share = (left / background.clamp_min(_EPS)).amin(1).clamp_max(1.0)
    used = web_used + share[:, None] * background

    # Web requests wait at most the time-out: what would wait longer is lost.
    unserved = 1.0 - web_share
    kept = torch.minimum(unserved, web_share * (config.web_timeout_s / params.step_s))
    lost = unserved - kept
    waiting = 1.0 - share
    carried = offered * torch.stack((kept, waiting, waiting), 1)[:, :, None]

    rho = (web + config.interference * torch.minimum(background, (usable - web).clamp_min(0.0))) / (
        usable
    )
    latency = _latency(rho, web_share, kept, tier_vcpu, params)
    p50, p95, within, sojourn = latency

    resolved = web_share + lost
    background_served = served + offered[:, 1:, 0] * share[:, None]
    late = torch.minimum((weather.due - background_served).clamp_min(0.0), weather.due_now)
    due_web = web[:, 0] * resolved
    due = due_web + weather.due_now.sum(1)
    on_time = web[:, 0] * web_share * within + (weather.due_now - late).sum(1)
    return Served(
        backlog=carried,
        served=background_served,
        offered=web + background,
        used=used,
        utilisation=(used / usable).clamp_max(1.0),
        shortage=1.0 - web_fit,
        gbps=torch.stack((web_used[:, 2], used[:, 2]), 1),
        dropped_share=lost / resolved.clamp_min(_EPS),
        dropped=offered[:, 0, 4] * lost * params.step_s,
        on_time_share=torch.where(due > _EPS, on_time / due.clamp_min(_EPS), 1.0),
        latency_share=within,
        latency_p50_s=p50,
        latency_p95_s=p95,
        sojourn_s=sojourn,
        blocked=blocked,
    )


def _latency(
    rho: Tensor, web_share: Tensor, kept: Tensor, tier_vcpu: Tensor, params: CloudParams
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """p50 and p95 in s, the share within the SLO, and the mean time at each station.

    `rho` is the load offered to each station, not what upstream let through: the latency of a
    station then never rises because another one got more capacity.
    """
    config = params.config
    ones = torch.ones_like(tier_vcpu)
    servers = torch.stack(
        (
            ones * float(params.machine.vcpu),  # the balancer picks a VM: its vCPUs are the servers
            ones * config.storage_channels,
            ones * config.network_channels,
            tier_vcpu.clamp_min(1.0),
        ),
        1,
    )
    variability = 0.5 * (config.arrival_scv + config.service_scv)
    wait, wait_variance = waits(rho.clamp(0.0, RHO_MAX), servers, params.service_s, variability)
    sojourn = wait + params.service_s
    mean = sojourn.sum(1)
    variance = (wait_variance + config.service_scv * params.service_s**2).sum(1)
    spread = gamma_spread(mean, variance)
    # The queue left at the end of the step grew evenly over it: a fluid wait from 0 to this.
    longest = kept / web_share.clamp_min(_EPS) * params.step_s
    longest = longest.clamp_max(config.web_timeout_s)
    base = config.propagation_ms / 1e3
    limit = config.slo_ms / 1e3
    within = gamma_below(limit - base, mean, spread)
    within = within * limit / torch.clamp_min(longest, limit)
    p50 = base + gamma_quantile(mean, spread, 0.0) + 0.5 * longest
    p95 = base + gamma_quantile(mean, spread, Z95) + 0.95 * longest
    return p50, p95, within, sojourn
