"""What exists: one module per stage of the lineage, with its checks beside it.

Bodies are thin: load, one call into `marl`, return with metadata. Wiring belongs to `pipelines`.
"""
