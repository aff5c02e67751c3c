"""The tables of docs/actions.md: every knob and every operation, from the code.

Renew them with `python -m marl.gcp.actions_table docs/actions.md`.
"""

import sys
from pathlib import Path
from typing import Final

from marl.cloud.actions import ROWS, knobs
from marl.cloud.types import SERVICES
from marl.files import staged
from marl.gcp.operation import Change
from marl.gcp.operations import KINDS

_MEANING: Final[dict[str, str]] = {
    "compute_target_utilisation": "CPU use that the fleet is sized for",
    "compute_floor_share": "smallest fleet",
    "compute_scale_in_window": "how long the largest recommendation is kept",
    "compute_spot_share": "VMs bought as spot",
    "compute_arm_share": "Arm in place of general VMs, where memory is not asked for",
    "compute_highmem_share": "VMs with twice the memory",
    "compute_gpu_share": "ML work sent to GPU VMs, where it has a GPU version",
    "compute_zone_spread": "from all VMs in the home zone to as many in each",
    "compute_fallback_share": "refused VMs bought on demand in zones that have some",
    "compute_commitment_share": "capacity paid for a year or three; only ever more",
    "compute_three_year_share": "of newly bought commitments, those for three years",
    "storage_target_utilisation": "IOPS use that disks are sized for",
    "storage_floor_share": "smallest IOPS",
    "storage_free_space_share": "free space beside the data; disks only grow",
    "storage_provisioned_share": "IOPS bought on Hyperdisk, not by the disk's size",
    "storage_nearline_after": "age at which objects become nearline; coldline and archive at 3 "
    "and 10 times it",
    "network_target_utilisation": "bandwidth use that the proxies are sized for",
    "network_floor_share": "fewest proxies",
    "network_scale_in_window": "how long the largest recommendation is kept",
    "network_cdn_share": "cacheable traffic routed through Cloud CDN",
    "network_premium_share": "clients told the premium-tier address",
    "network_zone_locality": "other requests kept in their zone",
    "database_target_utilisation": "CPU use that the tier is sized for",
    "database_floor_share": "smallest tier",
    "database_scale_in_window": "how long the largest tier is kept",
    "database_read_replicas": "read replicas",
    "database_has_ha": "a standby in another zone",
    "database_cache_share": "hot data held in Redis",
    "database_storage_free_share": "free space beside the data; disks only grow",
}
TIER_CHANGE: Final = "while a change of the tier is under way"
BETWEEN_REVIEWS: Final = "between reviews of commitments"
IOPS_WAIT: Final = "within 4 h of the last change"
MASKED: Final[dict[str, str]] = {
    "compute_commitment_share": BETWEEN_REVIEWS,
    "compute_three_year_share": BETWEEN_REVIEWS,
    "storage_provisioned_share": IOPS_WAIT,
    "database_target_utilisation": TIER_CHANGE,
    "database_floor_share": TIER_CHANGE,
    "database_scale_in_window": TIER_CHANGE,
    "database_has_ha": TIER_CHANGE,
    "database_storage_free_share": TIER_CHANGE,
}
_RESOLUTION: Final[dict[str, str]] = {
    "compute_floor_share": "1 VM",
    "network_floor_share": "1 proxy",
    "compute_scale_in_window": "0.5 s",
    "network_scale_in_window": "0.5 s",
    "database_scale_in_window": "0.5 s",
    "storage_nearline_after": "0.5 d",
    "network_cdn_share": "0.0005",
    "network_zone_locality": "0.0005",
    "database_read_replicas": "0.5",
    "database_has_ha": "0.5",
}


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    return "<br>".join(f"`{part}`" for part in text.split("; "))


def actions_table() -> str:
    """Every knob as a Markdown table."""
    head = ("agent", "knob", "what it does", "unit", "low", "high", "within", "masked")
    lines = [_line(*head, "Google API method and field", "Terraform attribute"), "|---" * 10 + "|"]
    for agent in SERVICES:
        for knob in knobs(agent):
            name = f"{agent}_{knob.name}"
            lines.append(
                _line(
                    agent,
                    f"`{knob.name}`",
                    _MEANING[name],
                    knob.unit,
                    f"{knob.low:g}",
                    f"{knob.high:g}",
                    _RESOLUTION.get(name, "0.00005"),
                    MASKED.get(name, "–"),
                    _code(knob.operation),
                    _code(knob.terraform),
                )
            )
    return "\n".join(lines) + "\n"


def operations_table() -> str:
    """Every kind of operation as a Markdown table."""
    head = ("operation", "verb", "method", "Terraform resource", "what it is", "way back")
    lines = [_line(*head), "|---" * 6 + "|"]
    for kind in KINDS:
        about = (kind.__doc__ or "").splitlines()[0].rstrip(".")
        if issubclass(kind, Change):
            back = "the same, reversed"
        elif kind.__name__.startswith("Create"):
            back = kind.__name__.replace("Create", "Delete")
        elif kind.__name__.startswith("Delete"):
            back = kind.__name__.replace("Delete", "Create")
        else:
            back = "none"
        method, resource = f"`{kind.api_method}`", f"`{kind.terraform_resource}`"
        lines.append(_line(f"`{kind.__name__}`", kind.verb, method, resource, about, back))
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """`page` with both tables made anew between their marks.

    Raises:
        ValueError: a mark is missing.
    """
    for name, table in (("knobs", actions_table()), ("operations", operations_table())):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start not in page or end not in page:
            raise ValueError(f"the page lacks the marks {start.strip()} and {end}")
        before, rest = page.split(start, 1)
        page = before + start + table + end + rest.split(end, 1)[1]
    return page


def unexplained() -> set[str]:
    """Knobs without a meaning, and meanings, masks or resolutions without a knob."""
    known = set(_MEANING) | set(MASKED) | set(_RESOLUTION)
    return (set(ROWS) - set(_MEANING)) | (known - set(ROWS))


def main(path: Path) -> None:
    """Renew the tables of the page at `path`."""
    page = renewed(path.read_text(encoding="utf-8"))
    with staged(path) as aside:
        aside.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
