"""Is one policy better than another? Paired, seeded, corrected for asking often.

Every function takes episodes paired by number (the same weather for both policies). Which metrics
exist and which direction is good belong to the report; deciding while episodes still come belongs
to `marl.evaluate.ab`. What is assumed and how it was tried: docs/statistics.md.
"""

from marl.evaluate.statistics.comparison import KEYS, compare
from marl.evaluate.statistics.effects import (
    cohens_d_z,
    improvement_interval,
    probability_of_improvement,
    rank_biserial,
)
from marl.evaluate.statistics.gap import gap_closed, share_of_gap
from marl.evaluate.statistics.intervals import (
    Interval,
    interquartile_mean,
    paired_bootstrap,
    retraining_interval,
)
from marl.evaluate.statistics.pooled import compare_pooled
from marl.evaluate.statistics.power import episodes_needed, minimum_detectable_effect, power_of
from marl.evaluate.statistics.profiles import performance_profile, performance_profiles
from marl.evaluate.statistics.significance import (
    both_p,
    holm,
    mean_p,
    signed_rank_p,
    signed_rank_ps,
)
from marl.evaluate.statistics.stratified import stratified_bootstrap

__all__ = [
    "KEYS",
    "Interval",
    "both_p",
    "cohens_d_z",
    "compare",
    "compare_pooled",
    "episodes_needed",
    "gap_closed",
    "holm",
    "improvement_interval",
    "interquartile_mean",
    "mean_p",
    "minimum_detectable_effect",
    "paired_bootstrap",
    "performance_profile",
    "performance_profiles",
    "power_of",
    "probability_of_improvement",
    "rank_biserial",
    "retraining_interval",
    "share_of_gap",
    "signed_rank_p",
    "signed_rank_ps",
    "stratified_bootstrap",
]
