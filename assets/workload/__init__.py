"""Group `workload`: classes of work, their demand, the fitted model and how well it fits."""
