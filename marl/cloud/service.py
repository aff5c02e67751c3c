"""Serving: demand meets capacity, what does not fit waits or is lost and comes again.

A request crosses network, compute, cache or database, and storage, so each class is served as far
as the narrowest of the five resources lets it (throughput is a minimum, latency a sum). Web goes
first, then background work that falls due, then the rest. Providing the capacity belongs to
`scaling`, how long a request takes to `latency`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.params import CloudParams
from marl.cloud.rounding import Rounding
from marl.cloud.types import RESOURCES, WeatherStep

_EPS = 1e-6
_R = len(RESOURCES)


@dataclass(frozen=True)
class Offered:
    """Work that asks to be served in a step, after the caches took their part."""

    work: Tensor  # (C, R+1, B) arrivals and backlog
    on_gpu: Tensor  # (B,) vCPUs of ML work that GPUs take over
    load: Tensor  # (R, B) arrivals alone, summed over classes
    hits_vcpu: Tensor  # (B,) web work the CDN answered, in the vCPUs it would have cost
    asked_gbps: Tensor  # (B,) web traffic that arrived, hits and retries included
    hits_gbps: Tensor  # (B,) of it answered by the CDN
    hits_per_s: Tensor  # (B,) the same in requests
    lookups_per_s: Tensor  # (B,) requests that pass the CDN, hit or not: each is charged
    redis_hit: Tensor  # (B,) share of the database's reads that Redis answers


@dataclass(frozen=True)
class Served:
    """One step's service."""

    backlog: Tensor  # (C, R+1, B) carried into the next step
    served: Tensor  # (2, B) background work served since the episode began
    retries: Tensor  # (B,) requests/s that will come again
    used: Tensor  # (R, B) capacity that did work
    utilisation: Tensor  # (R, B) used / capacity, in [0, 1]
    shortage: Tensor  # (R, B) share of the web's demand that the resource could not carry
    gap: Tensor  # (B,) widest difference between the shares that services could carry
    rho: Tensor  # (R, B) load that a web request meets
    web_share: Tensor  # (B,) of the web's offered work served in this step
    kept: Tensor  # (B,) of it carried into the next
    lost_share: Tensor  # (B,) of it lost
    web_gbps: Tensor  # (B,)
    all_gbps: Tensor  # (B,)
    gpu_used: Tensor  # (B,) of GPU capacity, in [0, 1]
    work_done: Tensor  # (2, B) background work served in this step, vCPU times steps
    late: Tensor  # (2, B) background work that fell due in this step and was not done
    blocked: Tensor  # (B,) extra CPU a request costs because the database starves, as a share


def offer(
    backlog: Tensor,
    retries: Tensor,
    cdn: Tensor,
    redis_gib: Tensor,
    gpu_vms: Tensor,
    weather: WeatherStep,
    params: CloudParams,
) -> Offered:
    """Arrivals with retries, less what the CDN and Redis answer, and the backlog.

    Args:
        backlog: (C, R+1, B) carried over.
        retries: (B,) requests/s that come again.
        cdn: (B,) share of cacheable requests that hit.
        redis_gib: (B,) of cache in service.
        gpu_vms: (B,) in service.
        weather: this step's arrivals.
        params: of the cloud.
    """
    config = params.config
    arriving = weather.work
    requests = arriving[0, _R]
    again = 1.0 + retries / requests.clamp_min(_EPS)
    web = arriving[0] * torch.where(requests > _EPS, again, 1.0)
    hit = cdn * config.cacheable_share
    reaching = web * (1.0 - hit)
    redis_hit = redis_hits(redis_gib, params)
    work = torch.cat((reaching[None], arriving[1:]))
    # Redis answers reads of every class; the other rows are as they were.
    database = work[:, 3:4] * (1.0 - config.read_share * redis_hit)
    work = torch.cat((work[:, :3], database, work[:, 4:]), 1)
    total = backlog + work
    on_gpu = torch.minimum(gpu_vms * config.gpu_vcpu, config.gpu_fit_share * total[2, 0])
    return Offered(
        work=total,
        on_gpu=on_gpu,
        load=work[:, :_R].sum(0),
        hits_vcpu=web[0] * hit,
        asked_gbps=web[2],
        hits_gbps=web[2] * hit,
        hits_per_s=web[_R] * hit,
        lookups_per_s=web[_R] * cdn,
        redis_hit=redis_hit,
    )


def redis_hits(redis_gib: Tensor, params: CloudParams) -> Tensor:
    """(B,) share of reads that Redis answers: the most, times the square root of what is cached.

    Under Zipf's law with exponent near 1/2 the p most popular of n items draw a share √(p/n) of
    the reads (L. Breslau et al., "Web caching and Zipf-like distributions", INFOCOM 1999: caches
    see exponents below 1; the exponent taken here is an assumption).
    """
    cached = (redis_gib * (1.0 / max(params.hot_gib, _EPS))).clamp_max(1.0)
    # A little added before the root: its slope at an empty cache stays finite.
    return params.config.redis_hit_share * (torch.sqrt(cached + 1e-4) - 1e-2) * (1.0 / 0.99005)


def serve(
    offered: Offered,
    served: Tensor,
    capacity: Tensor,
    gpu_vcpu: Tensor,
    weather: WeatherStep,
    rounding: Rounding,
    params: CloudParams,
) -> Served:
    """Serve one step.

    Args:
        offered: work that asks to be served.
        served: (2, B) background work served before, vCPU times steps.
        capacity: (R, B) in the unit of each resource.
        gpu_vcpu: (B,) vCPUs that the GPUs replace.
        weather: this step's due work.
        rounding: exact or smooth.
        params: of the cloud.
    """
    config = params.config
    web, batch, ml = (offered.work[c, :_R] for c in range(3))
    ml = torch.cat(((ml[0] - offered.on_gpu)[None], ml[1:]))

    # A starved database holds compute's workers: waiting requests poll, time out and retry.
    starved = (web[3] / capacity[3].clamp_min(_EPS) - 1.0).clamp(0.0, 1.0)
    blocked = config.blocking * starved
    usable = torch.cat(((capacity[0] / (1.0 + blocked))[None], capacity[1:])).clamp_min(_EPS)

    web_fit = usable / web.clamp_min(_EPS)
    web_share = rounding.least(web_fit)
    web_used = web_share * web
    left = (usable - web_used).clamp_min(0.0)

    # Background: first what falls due by the end of this step, then the rest.
    waiting = offered.work[1:, 0]
    urgent = ((weather.due - served).clamp_min(0.0) / waiting.clamp_min(_EPS)).clamp_max(1.0)
    first = urgent[0] * batch + urgent[1] * ml
    first_share = rounding.least(left / first.clamp_min(_EPS))
    left = (left - first_share * first).clamp_min(0.0)
    rest = (1.0 - urgent[0]) * batch + (1.0 - urgent[1]) * ml
    rest_share = rounding.least(left / rest.clamp_min(_EPS))
    shares = urgent * first_share + (1.0 - urgent) * rest_share
    used = web_used + first_share * first + rest_share * rest

    # Web requests wait at most the time-out: what would wait longer is lost, part comes again.
    unserved = 1.0 - web_share
    kept = torch.minimum(unserved, web_share * (config.web_timeout_s / params.step_s))
    lost = unserved - kept
    carried = torch.stack((kept, 1.0 - shares[0], 1.0 - shares[1]))
    work_done = waiting * shares
    done = served + work_done
    background = batch + ml
    disturbing = config.interference * torch.minimum(background, (usable - web).clamp_min(0.0))
    fits = web_fit.clamp_max(1.0)
    return Served(
        backlog=offered.work * carried[:, None],
        served=done,
        retries=config.retry_share * lost * offered.work[0, _R],
        used=used,
        utilisation=(used / usable).clamp_max(1.0),
        shortage=1.0 - fits,
        gap=fits.amax(0) - fits.amin(0),
        rho=(web + disturbing) / usable,
        web_share=web_share,
        kept=kept,
        lost_share=lost,
        web_gbps=web_used[2],
        all_gbps=used[2],
        gpu_used=(offered.on_gpu * shares[1] / gpu_vcpu.clamp_min(_EPS)).clamp_max(1.0),
        work_done=work_done,
        late=torch.minimum((weather.due - done).clamp_min(0.0), weather.due_now),
        blocked=blocked,
    )
