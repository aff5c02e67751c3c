"""The whole lineage, small."""
