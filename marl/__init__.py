"""The domain: traces, workload, simulated cloud, environments, learners, evaluation, Terraform.

A plain Python library. It knows nothing of Dagster or Great Expectations; `assets` calls it,
`pipelines` wires those assets. Importing this package imports nothing heavy.
"""
