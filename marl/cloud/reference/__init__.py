"""The exact dynamics once more in plain Python, for one cloud: slow, readable, for tests only."""

from marl.cloud.reference.cloud import ReferenceCloud

__all__ = ["ReferenceCloud"]
