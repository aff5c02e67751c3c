"""Group `training`: the price catalogue, and policies trained on the fitted workload."""
