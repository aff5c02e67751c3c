"""Evaluation: policies, tuned baselines, paired episodes, statistics. The page is in `report`."""

from marl.evaluate.policies import load_policy
from marl.evaluate.rollout import rollout, trajectory

__all__ = ["load_policy", "rollout", "trajectory"]
