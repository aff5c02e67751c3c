"""A discrete-event simulation of requests crossing stations in a row, many at once.

Each station is a number of equal copies (VMs, proxies) with c servers each; a balancer sends every
request to a copy drawn at random, where it waits in order of arrival. The state of a copy is when
each of its servers is free (J. Kiefer and J. Wolfowitz, "On the theory of queues with many
servers", Trans. AMS 78, 1955); a request takes the first free one. The loop runs over requests,
numpy over independent runs. Departures are sorted before they arrive at the next station, since
requests overtake one another. `tests/unit/marl/cloud/test_tandem_queue.py` holds it to `ciw`.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Tandem:
    """Stations in the order a request crosses them; all streams have one throughput."""

    name: str
    servers: tuple[int, ...]
    service_ms: tuple[float, ...]
    copies: tuple[int, ...]
    arrivals_per_ms: float
    arrival_scv: float = 1.0
    service_scv: float = 1.0

    @property
    def utilisation(self):
        """Share of the time a server works, by station."""
        shapes = zip(self.servers, self.service_ms, self.copies, strict=True)
        return tuple(self.arrivals_per_ms * s / (c * k) for c, s, k in shapes)

    @classmethod
    def loaded(cls, name, most, servers, service_ms, copies):
        """As much traffic as brings the busiest station to the utilisation `most`."""
        work = [s / (c * k) for c, s, k in zip(servers, service_ms, copies, strict=True)]
        rate = most / max(work)
        return cls(name, tuple(servers), tuple(service_ms), tuple(copies), rate)

    @classmethod
    def pooled(cls, name, utilisation, servers):
        """One copy of each; service times follow from the utilisations, the sum is 34 ms."""
        work = [u * c for u, c in zip(utilisation, servers, strict=True)]
        rate = sum(work) / 34.0
        service_ms = tuple(w / rate for w in work)
        return cls(name, tuple(servers), service_ms, (1,) * len(work), rate)

    def with_scv(self, arrival_scv, service_scv):
        """The same stations under other variability."""
        name = f"{self.name}, scv {arrival_scv:g}/{service_scv:g}"
        return replace(self, name=name, arrival_scv=arrival_scv, service_scv=service_scv)


def draws(rng, mean, scv, shape, family="usual"):
    """Positive draws of this mean and squared coefficient of variation.

    `usual`: gamma (Erlang) up to 1 and above it hyperexponential of two phases with balanced means,
    as in W. Whitt, "Approximating a point process by a renewal process", Oper. Res. 30, 1982;
    `lognormal`: that, whatever the scv.
    """
    if family == "lognormal":
        spread = np.log1p(scv)
        return mean * np.exp(rng.standard_normal(shape) * np.sqrt(spread) - spread / 2)
    if scv <= 1.0:
        return rng.gamma(1.0 / scv, mean * scv, shape)
    first = 0.5 * (1.0 + np.sqrt((scv - 1.0) / (scv + 1.0)))
    phase = np.where(rng.random(shape) < first, 0.5 / first, 0.5 / (1.0 - first))
    return rng.standard_exponential(shape) * phase * mean


def station(arrivals, service, copy, servers):
    """Departure times from one station.

    Args:
        arrivals: (N, R) times, rising along N, of R independent runs.
        service: (N, R) service times.
        copy: (N, R) the copy each request is sent to.
        servers: (R,) servers of a copy.
    """
    runs = np.arange(arrivals.shape[1])
    most = int(servers.max())
    free = np.where(np.arange(most) < servers[:, None, None], 0.0, np.inf)
    free = np.repeat(free, int(copy.max()) + 1, axis=1)
    out = np.empty_like(arrivals)
    for i in range(len(arrivals)):
        at = copy[i]
        busy = free[runs, at]
        taken = busy.argmin(1)
        done = np.maximum(arrivals[i], busy[runs, taken]) + service[i]
        free[runs, at, taken] = done
        out[i] = done
    return out


def cross(born, services, copies, servers):
    """Times in the system of requests that cross several stations.

    Args:
        born: (N, R) arrivals at the first station, rising along N.
        services: by station (N, R), in the order of arrival at that station.
        copies: by station (N, R), likewise.
        servers: by station (R,).

    Returns:
        (N, R) by birth.
    """
    arrivals, who = born, np.broadcast_to(np.arange(len(born))[:, None], born.shape)
    for service, copy, count in zip(services, copies, servers, strict=True):
        left = station(arrivals, service, copy, count)
        order = left.argsort(0, kind="stable")
        arrivals = np.take_along_axis(left, order, 0)
        who = np.take_along_axis(who, order, 0)
    times = np.empty_like(born)
    np.put_along_axis(times, who, arrivals, 0)
    return times - born


def sojourns(tandems, requests, runs, seed, family="usual", skip=0.25):
    """Times in the system, ms, by birth and run: one (requests kept, runs) array per tandem.

    The runs begin empty; the first share `skip` of the requests is left out.
    """
    rng = np.random.default_rng(seed)
    many = [tandem for tandem in tandems for _ in range(runs)]
    shape = (requests, len(many))

    def columns(draw):
        out = np.empty(shape)
        for r, tandem in enumerate(many):
            out[:, r] = draw(tandem)
        return out

    def services():
        for i in stations:
            yield columns(
                lambda t, i=i: draws(rng, t.service_ms[i], t.service_scv, requests, family)
            )

    def copies():
        for i in stations:
            yield (rng.random(shape) * np.array([t.copies[i] for t in many])).astype(np.intp)

    stations = range(len(tandems[0].servers))
    born = columns(lambda t: draws(rng, 1 / t.arrivals_per_ms, t.arrival_scv, requests, family))
    servers = [np.array([t.servers[i] for t in many]) for i in stations]
    times = cross(np.cumsum(born, 0), services(), copies(), servers)[int(skip * requests) :]
    return [times[:, j * runs : (j + 1) * runs] for j in range(len(tandems))]
