"""Operations on traffic: the proxies, the routes to CDN and zones, the network tier.

Google's rules are checked where an operation is made. Limits are those of the Compute Engine, Cloud
Load Balancing and Cloud DNS documentation (2026).
"""

from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from marl.gcp.compute_operations import AutoscalingPolicy
from marl.gcp.operation import PREFIX, Change, Policy, Share, Verb

MAX_REGIONAL_GROUP: Final = 2000  # VMs in a regional managed instance group; assumed, unconfirmed
MAX_WEIGHT: Final = 1000  # of a weighted backend service
SENT_BYTES: Final = "compute.googleapis.com/instance/network/sent_bytes_count"


class SetProxyAutoscaler(Change):
    """Target, floor and window of the proxies.

    Google's own load balancers size themselves and take no target; the knobs are those of Envoy
    proxies that one runs in a regional group, scaled on the bytes that each sends.
    """

    api_method: ClassVar[str] = "compute.regionAutoscalers.patch"
    terraform_resource: ClassVar[str] = "google_compute_region_autoscaler"

    kind: Literal["set_proxy_autoscaler"] = "set_proxy_autoscaler"
    region: str
    proxy_gbps: float = Field(gt=0)
    to: AutoscalingPolicy
    was: AutoscalingPolicy

    def parameters(self, project: str) -> dict[str, str | int]:
        """Where the autoscaler is."""
        return {"project": project, "region": self.region, "autoscaler": f"{PREFIX}-proxies"}

    def body(self) -> dict[str, Any]:
        """An `Autoscaler` whose metric is bytes sent per proxy and second."""
        metric = {
            "metric": SENT_BYTES,
            "utilizationTarget": round(self.to.target * self.proxy_gbps * 1e9 / 8),
            "utilizationTargetType": "DELTA_PER_SECOND",
        }
        return {"autoscalingPolicy": self.to.common() | {"customMetricUtilizations": [metric]}}

    def describe(self) -> str:
        """One readable line."""
        return f"proxies: {self.to.described(self.was)}"


class ResizeProxies(Change):
    """Wanted number of proxies in the region."""

    verb: ClassVar[Verb] = "resize"
    api_method: ClassVar[str] = "compute.regionInstanceGroupManagers.resize"
    terraform_resource: ClassVar[str] = "google_compute_region_instance_group_manager"

    kind: Literal["resize_proxies"] = "resize_proxies"
    region: str
    to: int = Field(ge=0, le=MAX_REGIONAL_GROUP)
    was: int = Field(ge=0, le=MAX_REGIONAL_GROUP)

    def parameters(self, project: str) -> dict[str, str | int]:
        """The size is a query parameter."""
        name = f"{PREFIX}-proxies"
        return {
            "project": project,
            "region": self.region,
            "instanceGroupManager": name,
            "size": self.to,
        }

    def body(self) -> None:
        """None: the method takes no body."""

    def describe(self) -> str:
        """One readable line."""
        return f"proxies: {self.was} → {self.to}"


class TrafficSplit(Policy):
    """Weights, of 1,000, of the backend services that requests are routed to."""

    cdn_weight: int = Field(ge=0, le=MAX_WEIGHT)
    zonal_weight: int = Field(ge=0, le=MAX_WEIGHT)


class SetTrafficSplit(Change):
    """How much of the cacheable paths goes through Cloud CDN, how much of the rest stays in a zone.

    Cloud CDN is a switch of a backend service (`enableCDN`), keeping requests in their zone one of
    its service policy (`WATERFALL_BY_ZONE` against `SPRAY_TO_REGION`). A share between none and all
    is a route over a service that has it and one that has not.
    """

    api_method: ClassVar[str] = "compute.urlMaps.patch"
    terraform_resource: ClassVar[str] = "google_compute_url_map"

    kind: Literal["set_traffic_split"] = "set_traffic_split"
    to: TrafficSplit
    was: TrafficSplit

    def parameters(self, project: str) -> dict[str, str | int]:
        """The one URL map."""
        return {"project": project, "urlMap": f"{PREFIX}-web"}

    def body(self) -> dict[str, Any]:
        """A `UrlMap` with its only path matcher."""
        cacheable = _route(1, "/static/", "cdn", "origin", self.to.cdn_weight)
        dynamic = _route(2, "/", "zonal", "regional", self.to.zonal_weight)
        matcher = {
            "name": "web",
            "defaultService": _service("regional"),
            "routeRules": [cacheable, dynamic],
        }
        return {"pathMatchers": [matcher]}

    def describe(self) -> str:
        """One readable line."""
        return f"routes: {self.to.described(self.was)}"


def _service(name: str) -> str:
    return f"global/backendServices/{PREFIX}-{name}"


def _route(priority: int, prefix: str, service: str, other: str, weight: int) -> dict[str, Any]:
    return {
        "priority": priority,
        "matchRules": [{"prefixMatch": prefix}],
        "routeAction": {
            "weightedBackendServices": [
                {"backendService": _service(service), "weight": weight},
                {"backendService": _service(other), "weight": MAX_WEIGHT - weight},
            ]
        },
    }


class SetNetworkTierSplit(Change):
    """Share of clients that are told the premium-tier address; the rest, the standard-tier one.

    The tier of an address is fixed when it is made, so there is one front end in each tier, and DNS
    answers with either by weight.
    """

    api_method: ClassVar[str] = "dns.resourceRecordSets.patch"
    terraform_resource: ClassVar[str] = "google_dns_record_set"

    kind: Literal["set_network_tier_split"] = "set_network_tier_split"
    domain: str = "www.example.com."
    premium_address: str = "192.0.2.1"
    standard_address: str = "198.51.100.1"
    to: Share
    was: Share

    def parameters(self, project: str) -> dict[str, str | int]:
        """The web's address record."""
        zone = f"{PREFIX}-zone"
        return {"project": project, "managedZone": zone, "name": self.domain, "type": "A"}

    def body(self) -> dict[str, Any]:
        """A `ResourceRecordSet` with a weighted round robin policy."""
        standard = round(1.0 - self.to, 4)
        items = [
            {"weight": self.to, "rrdatas": [self.premium_address]},
            {"weight": standard, "rrdatas": [self.standard_address]},
        ]
        record = {"name": self.domain, "type": "A", "ttl": 30}
        return record | {"routingPolicy": {"wrr": {"items": items}}}

    def describe(self) -> str:
        """One readable line."""
        return f"premium network tier: {self.was:.2%} → {self.to:.2%} of clients"
