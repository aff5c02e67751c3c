"""Evaluation: policies, tuned baselines, paired episodes, statistics. The page is in `report`."""
