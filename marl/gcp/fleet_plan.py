"""From the VMs that a policy held to instance groups and commitments.

One group for each kind and purchase that was really used. Disks belong to `service_plans`.
"""

import math
from typing import Final

import polars as pl

from marl.cloud.types import KINDS, PURCHASES
from marl.gcp.groups import commitment_type
from marl.gcp.plan import CommitmentPlan, ComputePlan, GroupPlan, Reason
from marl.gcp.series import at, mean, up
from marl.gcp.setting import Setting

HEADROOM: Final = 1.25  # of the largest fleet seen: a day may be worse than those played
USED_SHARE: Final = 0.05  # of the capacity, on average: less is no group of its own
LOW: Final = 0.02  # quantile over steps, so that one odd step decides nothing
_BOOT_P95_Z: Final = 1.645
_EVEN, _BALANCED = 2 / 3, 1 / 3  # zone spread from which on a group is spread so
_MOST_S: Final = 3600
Cell = tuple[str, str]  # purchase, kind


def figure(cell: Cell) -> str:
    """The trajectory's column of a purchase and kind."""
    return f"vms_{cell[0]}_{cell[1]}"


CELLS: Final[tuple[Cell, ...]] = tuple((purchase, kind) for purchase in PURCHASES for kind in KINDS)


def fleet(trajectory: pl.DataFrame, setting: Setting) -> dict[Cell, pl.Series]:
    """VMs of each used purchase and kind, by step.

    What was used less than `USED_SHARE` of the capacity is counted to the CPU group used most, in
    VMs of equal capacity; a GPU VM counts as the vCPUs it replaces.
    """
    weight = {
        kind: setting.config.gpu_vcpu
        if kind == "gpu"
        else float(setting.catalog.machine(setting.machine_type(kind)).vcpu)
        for kind in KINDS
    }
    capacity = {cell: trajectory[figure(cell)] * weight[cell[1]] for cell in CELLS}
    means = {cell: mean(values) for cell, values in capacity.items()}
    total = sum(means.values())
    main = max((cell for cell in CELLS if cell[1] != "gpu"), key=lambda cell: means[cell])
    used = [cell for cell in CELLS if cell == main or means[cell] >= USED_SHARE * max(total, 1e-9)]
    held = {cell: trajectory[figure(cell)] for cell in used}
    for cell in CELLS:
        if cell not in held:
            held[main] = held[main] + capacity[cell] / weight[main[1]]
    return held


def size_compute(
    trajectory: pl.DataFrame, held: dict[Cell, pl.Series], setting: Setting
) -> tuple[ComputePlan, tuple[Reason, ...]]:
    """Groups, autoscalers, spread over zones and commitments, each with its reason.

    Args:
        trajectory: steps of one policy.
        held: VMs by group and step, of `fleet`.
        setting: what the steps were played in.
    """
    config = setting.config
    fallback = mean(trajectory["compute_fallback_share"])
    groups = tuple(_group(cell, held, fallback, setting) for cell in held)
    boot_s = config.vm_boot_median_s * math.exp(_BOOT_P95_Z * config.vm_boot_sigma)
    commitments, commitments_why = _commitments(trajectory, setting)
    spread = mean(trajectory["compute_zone_spread"])
    shape = "EVEN" if spread >= _EVEN else "BALANCED" if spread >= _BALANCED else "ANY"
    plan = ComputePlan(
        groups=groups,
        target_cpu_utilisation=round(mean(trajectory["compute_target_utilisation"]), 2),
        initialization_period_s=min(_MOST_S, math.ceil(boot_s + config.vm_warm_up_s[1])),
        gpu_initialization_period_s=min(_MOST_S, math.ceil(boot_s + config.gpu_warm_up_s[1])),
        scale_in_window_s=min(_MOST_S, round(60 * mean(trajectory["compute_scale_in_window"]))),
        target_shape=shape,  # type: ignore[arg-type]
        commitments=commitments,
    )
    texts = [
        _held(held, trajectory, plan),
        f"It aimed at {plan.target_cpu_utilisation:.0%} CPU and kept a peak's size for "
        f"{plan.scale_in_window_s / 60:.0f} min. A VM is useful after "
        f"{plan.initialization_period_s} s (boot p95 {boot_s:.0f} s, warm-up up to "
        f"{config.vm_warm_up_s[1]:.0f} s).",
        f"Zone spread {spread:.2f} of 1: on-demand groups are spread {shape} (EVEN from "
        f"{_EVEN:.2f}, BALANCED from {_BALANCED:.2f}), spot ANY.",
    ]
    if len({group.is_spot for group in groups if group.kind in ("general", "gpu")}) == 2:
        texts.append(
            f"It bought {fallback:.0%} of refused VMs on demand elsewhere, so the on-demand group "
            "may grow by that share of the largest spot fleet."
        )
    reasons = [Reason(resource="compute", text=" ".join(texts))]
    if commitments_why:
        reasons.append(Reason(resource="commitments", text=commitments_why))
    return plan, tuple(reasons)


def _group(cell: Cell, held: dict[Cell, pl.Series], fallback: float, setting: Setting) -> GroupPlan:
    purchase, kind = cell
    vms = held[cell]
    largest = at(vms, 1.0)
    if purchase == "on_demand" and kind in ("general", "gpu"):
        largest += fallback * _refusable(held, kind, setting)
    high = up(HEADROOM * largest)
    return GroupPlan(
        kind=kind,  # type: ignore[arg-type]
        machine_type=setting.machine_type(kind),
        is_spot=purchase == "spot",
        min_replicas=min(up(at(vms, LOW)), high),
        max_replicas=high,
    )


def _refusable(held: dict[Cell, pl.Series], kind: str, setting: Setting) -> float:
    """The largest spot fleet that falls back on this on-demand group, in VMs of its kind."""
    falls_back = {"gpu"} if kind == "gpu" else set(KINDS) - {"gpu"}
    vcpu = {each: setting.catalog.machine(setting.machine_type(each)).vcpu for each in KINDS}
    return sum(
        at(vms, 1.0) * vcpu[cell[1]] / vcpu[kind]
        for cell, vms in held.items()
        if cell[0] == "spot" and cell[1] in falls_back
    )


def _held(held: dict[Cell, pl.Series], trajectory: pl.DataFrame, plan: ComputePlan) -> str:
    total = sum(mean(vms) for vms in held.values())
    parts = [
        f"{group.machine_type} {'as spot' if group.is_spot else 'on demand'} {at(vms, LOW):.0f} to "
        f"{at(vms, 1.0):.0f}, {mean(vms):.1f} ({mean(vms) / max(total, 1e-9):.0%} of the VMs)"
        for group, vms in zip(plan.groups, held.values(), strict=True)
    ]
    return (
        f"The policy held (2nd percentile to largest, mean): {'; '.join(parts)}; for "
        f"{mean(trajectory['demand_compute']):.1f} vCPUs of work. Each maximum leaves "
        f"{HEADROOM - 1:.0%} above the largest. A kind and purchase under {USED_SHARE:.0%} of the "
        "capacity is no group of its own."
    )


def _commitments(
    trajectory: pl.DataFrame, setting: Setting
) -> tuple[tuple[CommitmentPlan, ...], str | None]:
    name = setting.config.machine_type
    machine = setting.catalog.machine(name)
    wanted = {years: round(at(trajectory[f"committed_{years}y"], 1.0)) for years in (1, 3)}
    if not any(wanted.values()):
        return (), None
    told = " and ".join(f"{vms} for {years} year(s)" for years, vms in wanted.items() if vms)
    general = trajectory["vms_on_demand_general"]
    why = (
        f"The policy committed to {told} {name} and ran {mean(general):.1f} of them on demand on "
        f"average, {at(general, LOW):.0f} at the 2nd percentile. A commitment is paid whether used "
        "or not"
    )
    kind = commitment_type(name)
    if kind is None:
        return (), f"{why}; Compute Engine has no commitment type that is known for {name}."
    commitments = tuple(
        CommitmentPlan(
            years=years,  # type: ignore[arg-type]
            machine_type=name,
            commitment_type=kind,
            vms=vms,
            vcpu=vms * machine.vcpu,
            memory_mib=round(vms * machine.memory_gib * 1024 / 256) * 256,
        )
        for years, vms in wanted.items()
        if vms
    )
    return commitments, f"{why}, so it is bought only with `buy_commitments = true`."
