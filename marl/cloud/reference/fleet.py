"""The slow reference's VMs: arrivals and refusals, where machines go, which go, which are lost."""

import math

from marl.cloud.reference.state import Cell, LocalState, LocalWeather, Machines
from marl.cloud.types import KINDS, PURCHASES

_TOLERANCE = 1e-4  # what the rules forgive before they count one machine more
_CPU_KINDS = KINDS[:3]


def whole_up(units: float) -> float:
    """Whole units that hold `units`."""
    return float(math.ceil(units - _TOLERANCE))


def whole_part(units: float) -> float:
    """Whole units in `units`."""
    return float(math.floor(units + _TOLERANCE))


def nearest(units: float) -> float:
    """The nearest whole number, halves up."""
    return float(math.floor(units + 0.5 + _TOLERANCE))


def share_out(parts: list[float], total: float) -> list[float]:
    """`total` machines in proportion to `parts`: where the running sum passes a half, one goes."""
    everything = max(sum(parts), 1e-6)
    given, out, running = 0.0, [], 0.0
    for part in parts:
        running += part
        edge = nearest(running * total / everything)
        out.append(edge - given)
        given = edge
    return out


def losses(counts: list[float], chances: list[float], draw: float) -> list[float]:
    """Machines lost of each group: one wherever the expected sum, moved by `draw`, passes one."""
    gone, out, expected = 0.0, [], 0.0
    for count, chance in zip(counts, chances, strict=True):
        expected += count * chance
        edge = float(math.floor(expected + draw))
        out.append(min(edge - gone, count))
        gone = edge
    return out


def arrive(state: LocalState, weather: LocalWeather) -> float:
    """Deliver what is due; what a zone cannot give is refused and remembered. VMs refused."""
    due: dict[Cell, float] = dict.fromkeys(state.cells, 0.0)
    for when, cell, units in state.vm_orders:
        if when == state.time:
            due[cell] += units
    state.vm_orders = [order for order in state.vm_orders if order[0] > state.time]
    refusals = 0.0
    for cell, units in due.items():
        purchase, kind, zone = cell
        can = weather.is_up[zone] and not weather.is_sold_out[kind, zone]
        if purchase == "spot":
            can = can and not weather.is_shocked[zone]
            _grow_older(state, cell, units if can else 0.0, weather.is_new_hour)
        turned_away = 0.0 if can else units
        refusals += turned_away
        memory = state.refused[cell] * state.cloud.params.config.refusal_memory
        state.refused[cell] = max(memory, min(1.0, turned_away))
        state.vms[cell] += units - turned_away
    return refusals


def _grow_older(state: LocalState, cell: Cell, born: float, is_new_hour: bool) -> None:
    first, second, third, old = state.ages[cell[1:]]
    if is_new_hour:
        first, second, third, old = 0.0, first, second, third + old
    young = born / max(state.vms[cell] + born, 1.0)
    state.ages[cell[1:]] = [
        first * (1 - young) + young,
        second * (1 - young),
        third * (1 - young),
        old * (1 - young),
    ]


def wanted_shares(state: LocalState, knobs: dict[str, float]) -> dict[Cell, float]:
    """Share of each cell in the fleet of CPU machines, or in that of GPU machines."""
    zones = state.cloud.params.config.zones
    highmem = knobs["compute_highmem_share"]
    arm = (1 - highmem) * knobs["compute_arm_share"]
    of_kind = {"general": 1 - highmem - arm, "highmem": highmem, "arm": arm, "gpu": 1.0}
    of_purchase = {
        "on_demand": 1 - knobs["compute_spot_share"],
        "spot": knobs["compute_spot_share"],
    }
    spread = knobs["compute_zone_spread"]
    of_zone = [spread / zones + (1 - spread if z == 0 else 0.0) for z in range(zones)]
    shares, homeless = {}, {"general": 0.0, "gpu": 0.0}
    for cell in state.cells:
        purchase, kind, zone = cell
        share = of_purchase[purchase] * of_kind[kind] * of_zone[zone]
        moving = share * state.refused[cell] * knobs["compute_fallback_share"]
        shares[cell] = share - moving
        homeless["gpu" if kind == "gpu" else "general"] += moving
    for kind, amount in homeless.items():
        # A zone takes the more, the more it has and the less it refused itself.
        free = [
            (of_zone[z] + 1 / zones) * (1 - state.refused["on_demand", kind, z])
            for z in range(zones)
        ]
        for z in range(zones):
            part = free[z] / sum(free) if sum(free) > 1e-6 else 1 / zones
            shares["on_demand", kind, z] += amount * part
    return shares


def steer(
    running: list[float], ordered: list[float], target: list[float], total: float
) -> tuple[list[float], list[float]]:
    """What to order and what to remove; see `fleet.steer`."""
    cells = range(len(running))
    have = [running[i] + ordered[i] for i in cells]
    missing = [max(target[i] - have[i], 0.0) for i in cells]
    short = max(total - sum(have), 0.0)
    misplaced = whole_part(sum(max(m - 1.0, 0.0) for m in missing))
    surplus = [min(max(have[i] - target[i], 0.0), running[i]) for i in cells]
    spare = min(max(sum(running) - total, 0.0), sum(surplus))
    return share_out(missing, max(short, misplaced)), share_out(surplus, whole_part(spare))


def move_fleet(
    state: LocalState,
    knobs: dict[str, float],
    weather: LocalWeather,
    need: dict[str, float],
    refusals: float,
) -> Machines:
    """Order and remove VMs so that the fleet meets `need`, then lose some.

    `need` has vcpu, memory_gib, gpu_vms and most_vcpu.
    """
    params = state.cloud.params
    machine = dict(zip(KINDS, params.machines, strict=True))
    shares = wanted_shares(state, knobs)
    cpu_cells = [cell for cell in state.cells if cell[1] in _CPU_KINDS]
    gpu_cells = [cell for cell in state.cells if cell[1] == "gpu"]
    running = {c: n if weather.is_up[c[2]] else 0.0 for c, n in state.vms.items()}

    mean_vcpu = sum(shares[cell] * machine[cell[1]].vcpu for cell in cpu_cells)
    mean_gib = sum(shares[cell] * machine[cell[1]].memory_gib for cell in cpu_cells)
    most = max(need["most_vcpu"] / mean_vcpu, sum(running[cell] for cell in cpu_cells))
    vms = min(max(need["vcpu"] / mean_vcpu, need["memory_gib"] / mean_gib), most)
    totals = (max(whole_up(vms), 1.0), whole_up(need["gpu_vms"]))

    begun = set()
    for cells, total in zip((cpu_cells, gpu_cells), totals, strict=True):
        ordered = [sum(n for _, c, n in state.vm_orders if c == cell) for cell in cells]
        order, remove = steer(
            [running[cell] for cell in cells],
            ordered,
            [shares[cell] * total for cell in cells],
            total,
        )
        for cell, more, fewer in zip(cells, order, remove, strict=True):
            delay = weather.delay["gpu" if cell[1] == "gpu" else "vm"]
            if more:
                state.vm_orders.append((state.time + delay, cell, more))
            state.vms[cell] -= fewer
            if more or fewer:
                begun.add(cell[:2])

    lost = _lose(state, weather)
    up = [cell for cell in state.cells if weather.is_up[cell[2]]]
    cpu_up = [cell for cell in up if cell[1] in _CPU_KINDS]
    return Machines(
        serving={
            (p, k): sum(state.vms[cell] for cell in up if cell[:2] == (p, k))
            for p in PURCHASES
            for k in KINDS
        },
        vcpu_by_zone=[
            sum(state.vms[cell] * machine[cell[1]].vcpu for cell in cpu_up if cell[2] == z)
            for z in range(params.config.zones)
        ],
        memory_gib=sum(state.vms[cell] * machine[cell[1]].memory_gib for cell in cpu_up),
        gpu_vms=sum(state.vms[cell] for cell in up if cell[1] == "gpu"),
        lost=sum(lost.values()),
        preempted=sum(n for cell, n in lost.items() if cell[0] == "spot"),
        refusals=refusals,
        changes=float(len(begun)),
    )


def _lose(state: LocalState, weather: LocalWeather) -> dict[Cell, float]:
    """VMs that fail or are preempted; what is left of a spot cell is older on average."""
    params = state.cloud.params
    fails = params.config.vm_failure_per_h * params.step_s / 3600.0
    calm, extra = params.hazard[0, :, :, 0, 0].tolist(), params.hazard[1, :, :, 0, 0].tolist()
    chances = []
    for purchase, kind, zone in state.cells:
        chance = fails
        if purchase == "spot":
            k = KINDS.index(kind)
            by_age = [
                calm[a][k] + (extra[a][k] if weather.is_shocked[zone] else 0.0)
                for a in range(len(calm))
            ]
            ages = state.ages[kind, zone]
            chance += sum(share * hit for share, hit in zip(ages, by_age, strict=True))
            alive = [share * (1 - hit) for share, hit in zip(ages, by_age, strict=True)]
            state.ages[kind, zone] = [share / max(sum(alive), 1e-6) for share in alive]
        chances.append(min(chance, 1.0))
    counts = [state.vms[cell] for cell in state.cells]
    lost = dict(zip(state.cells, losses(counts, chances, weather.loss_draw), strict=True))
    for cell, units in lost.items():
        state.vms[cell] -= units
    return lost
