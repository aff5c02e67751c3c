"""The fleet: VMs by purchase, kind and zone; where new ones go, which ones go, which ones are lost.

A total is decided by `scaling`; here it is spread over cells, filled or refused by the zones, aged,
preempted. Purchases are make-before-break: no VM goes while it is still needed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.cloud.params import CloudParams
from marl.cloud.rounding import Rounding
from marl.cloud.types import AGE_GROUPS, KINDS, CloudState, WeatherStep

_SPOT = row("compute", "spot_share")
_ARM = row("compute", "arm_share")
_HIGHMEM = row("compute", "highmem_share")
_SPREAD = row("compute", "zone_spread")
_FALLBACK = row("compute", "fallback_share")
_EPS = 1e-6
_GPU_KIND = KINDS.index("gpu")


@dataclass(frozen=True)
class Fleet:
    """The VMs of a step, and what they amount to."""

    vms: Tensor  # (N, B)
    ages: Tensor  # (A, M·Z, B)
    refused: Tensor  # (N, B)
    pending: Tensor  # (D, N, B)
    serving: Tensor  # (2, M, B) VMs in zones that are up, by purchase and kind
    vcpu_by_zone: Tensor  # (Z, B) in zones that are up, GPU VMs left out
    memory_gib: Tensor  # (B,) the same
    gpu_vms: Tensor  # (B,) in zones that are up
    lost: Tensor  # (B,) VMs that failed or were preempted
    preempted: Tensor  # (B,) spot VMs among them
    refusals: Tensor  # (B,) VMs refused in this step
    changes: Tensor  # (B,) operations begun


def pending_after(pending: Tensor, order: Tensor, delay: Tensor, slots: Tensor) -> Tensor:
    """(D, n, B) orders under way after this step: earlier ones a slot nearer, `order` added."""
    moved = torch.cat((pending[1:], torch.zeros_like(pending[:1])))
    return moved + order * (delay == slots).to(order.dtype)


def cell_weights(knobs: Tensor, refused: Tensor, params: CloudParams) -> Tensor:
    """(2, M, Z, B) share of each cell in the CPU fleet (first three kinds) and in the GPU fleet.

    The purchase and kind mix is the knobs'; over zones VMs are spread evenly or kept in the home
    zone. Of what was lately refused, `fallback_share` is bought as general on-demand VMs (of GPUs:
    on-demand GPUs) in zones that did not refuse; the rest waits for its own cell.
    """
    spot, highmem = knobs[_SPOT], knobs[_HIGHMEM]
    arm = (1.0 - highmem) * knobs[_ARM]
    by_kind = torch.stack((1.0 - highmem - arm, highmem, arm, torch.ones_like(arm)))
    by_purchase = torch.stack((1.0 - spot, spot))
    zones = params.config.zones
    base = knobs[_SPREAD] * (1.0 / zones) + (1.0 - knobs[_SPREAD]) * params.home
    cells = by_purchase[:, None, None] * by_kind[None, :, None] * base[None, None]
    refused = refused.view(2, len(KINDS), zones, -1)
    moving = cells * refused * knobs[_FALLBACK]
    # Even where a zone's weight is 0 it may take what others refuse.
    free = (base + 1.0 / zones) * (1.0 - refused[0])
    to_general = _to_zones(moving[:, :_GPU_KIND].sum((0, 1, 2)), free[0])
    to_gpu = _to_zones(moving[:, _GPU_KIND].sum((0, 1)), free[_GPU_KIND])
    none = torch.zeros_like(to_general)
    added = torch.stack((to_general, none, none, to_gpu))
    kept = cells - moving
    return torch.stack((kept[0] + added, kept[1]))


def _to_zones(amount: Tensor, free: Tensor) -> Tensor:
    """(Z, B) `amount` (B,) spread in proportion to `free` (Z, B); evenly where nothing is free."""
    total = free.sum(0)
    even = torch.full_like(free, 1.0 / len(free))
    return amount * torch.where(total > _EPS, free / total.clamp_min(_EPS), even)


def steer(
    running: Tensor, pending: Tensor, target: Tensor, total: Tensor, rounding: Rounding
) -> tuple[Tensor, Tensor]:
    """(n, B) VMs to order and (n, B) to remove, so that cells approach `target`.

    Args:
        running: (n, B) VMs that serve.
        pending: (n, B) VMs ordered.
        target: (n, B) wanted in each cell, fractions allowed; sums to about `total`.
        total: (B,) whole VMs wanted.
        rounding: how fractions become machines.

    A cell within one VM of its target is left alone unless the total is short, so that a small
    change of the total does not reshuffle the fleet.
    """
    have = running + pending
    missing = (target - have).clamp_min(0.0)
    short = (total - have.sum(0)).clamp_min(0.0)
    misplaced = rounding.whole_part((missing - 1.0).clamp_min(0.0).sum(0))
    order = rounding.share_out(missing, torch.maximum(short, misplaced))
    surplus = torch.minimum((have - target).clamp_min(0.0), running)
    spare = (running.sum(0) - total).clamp_min(0.0)
    spare = torch.minimum(spare, surplus.sum(0))
    return order, rounding.share_out(surplus, rounding.whole_part(spare))


def fleet_step(
    state: CloudState,
    knobs: Tensor,
    weather: WeatherStep,
    wanted: tuple[Tensor, Tensor, Tensor, Tensor],
    rounding: Rounding,
    params: CloudParams,
) -> Fleet:
    """One step of the fleet.

    Args:
        state: before the step.
        knobs: (WIDTH, B) physical values.
        weather: of this step.
        wanted: (B,) each: vCPUs and GiB of memory of CPU VMs, GPU VMs, the most vCPUs allowed.
        rounding: exact or smooth.
        params: of the cloud.
    """
    zones = params.config.zones
    kind_cells = len(KINDS) * zones
    cpu = _GPU_KIND * zones  # cells of CPU kinds come first within a purchase
    up_mz = weather.is_up.repeat(len(KINDS), 1)
    up = up_mz.repeat(2, 1)

    # Earlier orders arrive, or are refused by zones without capacity.
    in_stock = (1.0 - weather.is_sold_out) * up_mz
    gives_spot = in_stock * (1.0 - weather.is_shocked).repeat(len(KINDS), 1)
    is_open = torch.cat((in_stock, gives_spot))
    arrived = state.pending_vms[0]
    delivered = arrived * is_open
    refusals = arrived - delivered
    refused = torch.maximum(state.refused * params.config.refusal_memory, refusals.clamp_max(1.0))
    vms = state.vms + delivered
    ages = _aged(state.ages, state.vms[kind_cells:], delivered[kind_cells:], weather.is_new_hour)

    # The total in whole VMs, spread over cells.
    weights = cell_weights(knobs, refused, params)
    cpu_weights = weights[:, :_GPU_KIND].flatten(0, 2)
    gpu_weights = weights[:, _GPU_KIND].flatten(0, 1)
    vcpu_each = params.vcpu[:cpu].repeat(2, 1)
    mean_vcpu = (cpu_weights * vcpu_each).sum(0)
    mean_gib = (cpu_weights * params.memory_gib[:cpu].repeat(2, 1)).sum(0)
    vcpu, memory, gpu_vms, cap = wanted
    serving = vms * up
    cpu_serving = _rows(serving, zones, gpu=False)
    # A cut quota stops growth; it takes nothing away that runs.
    most = torch.maximum(cap / mean_vcpu, cpu_serving.sum(0))
    total = rounding.up(torch.minimum(torch.maximum(vcpu / mean_vcpu, memory / mean_gib), most))
    total = total.clamp_min(1.0)
    gpu_total = rounding.up(gpu_vms)
    pending = state.pending_vms[1:].sum(0)
    cpu_order, cpu_down = steer(
        cpu_serving, _rows(pending, zones, gpu=False), cpu_weights * total, total, rounding
    )
    gpu_order, gpu_down = steer(
        _rows(serving, zones, gpu=True),
        _rows(pending, zones, gpu=True),
        gpu_weights * gpu_total,
        gpu_total,
        rounding,
    )
    order = _cells(cpu_order, gpu_order)
    down = _cells(cpu_down, gpu_down)
    vms = vms - down

    # Failures and preemption: by age and size, together within a zone.
    fails = params.config.vm_failure_per_h / params.steps_per_hour
    spot_chance = _preemption(ages, weather.is_shocked, params) + fails
    chance = torch.cat((torch.full_like(spot_chance, fails), spot_chance)).clamp_max(1.0)
    lost = rounding.lose(vms, chance, weather.loss_draw)
    vms = vms - lost
    ages = _survivors(ages, weather.is_shocked, params)
    delay = torch.cat(
        (weather.delay[:1].expand(cpu, -1), weather.delay[1:2].expand(zones, -1))
    ).repeat(2, 1)
    serving = vms * up
    by_cell = serving.view(2, len(KINDS), zones, -1)
    by_zone = by_cell.sum(0)
    return Fleet(
        vms=vms,
        ages=ages,
        refused=refused,
        pending=pending_after(state.pending_vms, order, delay, params.slots),
        serving=by_cell.sum(2),
        vcpu_by_zone=(by_zone * params.vcpu.view(len(KINDS), zones, 1)).sum(0),
        memory_gib=(by_zone * params.memory_gib.view(len(KINDS), zones, 1)).sum((0, 1)),
        gpu_vms=by_zone[_GPU_KIND].sum(0),
        lost=lost.sum(0),
        preempted=lost[kind_cells:].sum(0),
        refusals=refusals.sum(0),
        changes=(order + down).view(2, len(KINDS), zones, -1).sum(2).clamp_max(1.0).sum((0, 1)),
    )


def _rows(cells: Tensor, zones: int, *, gpu: bool) -> Tensor:
    """The cells of CPU kinds (18, B) or of GPUs (6, B), purchase by purchase."""
    by_kind = cells.view(2, len(KINDS), zones, -1)
    return (by_kind[:, _GPU_KIND] if gpu else by_kind[:, :_GPU_KIND]).reshape(-1, cells.shape[-1])


def _cells(cpu: Tensor, gpu: Tensor) -> Tensor:
    """(N, B) of the two parts that `_rows` makes."""
    half, gpu_half = len(cpu) // 2, len(gpu) // 2
    return torch.cat((cpu[:half], gpu[:gpu_half], cpu[half:], gpu[gpu_half:]))


def _aged(ages: Tensor, before: Tensor, born: Tensor, is_new_hour: Tensor) -> Tensor:
    """(A, M·Z, B) shares by age after an hour may have struck and `born` VMs joined `before`."""
    shifted = torch.cat(
        (torch.zeros_like(ages[:1]), ages[: AGE_GROUPS - 2], ages[-2:].sum(0, keepdim=True))
    )
    ages = ages + (shifted - ages) * is_new_hour
    young = born / (before + born).clamp_min(1.0)
    first = torch.cat((torch.ones_like(ages[:1]), torch.zeros_like(ages[1:])))
    return ages + (first - ages) * young


def _chance(is_shocked: Tensor, params: CloudParams) -> Tensor:
    """(A, M·Z, B) chance of preemption of a spot VM by age, kind and zone."""
    calm, storm = params.hazard[0], params.hazard[1]
    return (calm + storm * is_shocked).flatten(1, 2)


def _preemption(ages: Tensor, is_shocked: Tensor, params: CloudParams) -> Tensor:
    """(M·Z, B) chance of preemption of a cell's average VM."""
    return (ages * _chance(is_shocked, params)).sum(0)


def _survivors(ages: Tensor, is_shocked: Tensor, params: CloudParams) -> Tensor:
    """(A, M·Z, B) expected shares by age among the survivors."""
    alive = ages * (1.0 - _chance(is_shocked, params))
    return alive / alive.sum(0).clamp_min(_EPS)
