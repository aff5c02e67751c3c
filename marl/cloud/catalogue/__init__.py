"""The price catalogue of one region: what Google sells, what it costs, with source and date."""

from marl.cloud.catalogue.catalog import (
    DEFAULT_REGION,
    DiskType,
    MachineType,
    Price,
    PriceCatalog,
    RegionCarbon,
    default_catalog,
)

__all__ = [
    "DEFAULT_REGION",
    "DiskType",
    "MachineType",
    "Price",
    "PriceCatalog",
    "RegionCarbon",
    "default_catalog",
]
