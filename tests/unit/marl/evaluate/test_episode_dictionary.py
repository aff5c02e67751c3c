"""What docs/sql.md says of the episodes table is what a played table holds."""

from marl.envs import make
from marl.evaluate.episode_columns import DERIVED
from marl.evaluate.episode_sums import EpisodeSums
from marl.evaluate.policies import RandomPolicy
from marl.evaluate.report.metrics import METRICS
from marl.evaluate.rollout import Labels, play_episodes
from marl.features.episode_dictionary import COLUMNS

LIKE_ANOTHER = ("reward_", "cost_")  # said of all of them at once


def played():
    def make_env(num_envs, seed):
        return make("provisioning", num_envs, seed=seed, episode_steps=3)

    return play_episodes(RandomPolicy(), make_env, 2, 0, Labels("mixed", True, True))


def test_the_dictionary_and_the_table_know_the_same_columns():
    table = played()
    assert set(COLUMNS) <= set(table.columns)
    figures = set(make("provisioning", 1, episode_steps=3).figure_names)
    own = [name for name in table.columns if name not in figures]
    assert set(own) <= set(COLUMNS), set(own) - set(COLUMNS)
    assert set(DERIVED) <= set(COLUMNS)
    silent = {metric.column for metric in METRICS} - set(COLUMNS)
    assert all(name.startswith(LIKE_ANOTHER) for name in silent), silent


def test_what_is_no_mean_over_steps_is_said():
    """Means need no words of their own; sums and weighted means do."""
    table, sums = played(), EpisodeSums()
    env = make("provisioning", 2, episode_steps=3)
    env.reset(seed=0)
    for t in range(3):
        info = {name: env.state()[:, 0] * 0 + t + 1.0 for name in env.figure_names}
        sums.add(env.state()[:, 0] * 0, info, env.state()[:, 0] >= -1e9)
    plain = {
        name for name, value in sums.figures().items()
        if name in env.figure_names and abs(float(value[0]) - 2.0) < 1e-9
    }  # fmt: skip
    unsaid = set(env.figure_names) - plain - set(COLUMNS)
    assert all(name.startswith(LIKE_ANOTHER) for name in unsaid), unsaid
    assert "capacity_compute" in plain
    assert "refusals" in set(table.columns) & (set(env.figure_names) - plain)
