"""Typed resources that asset bodies ask for. Their instances are made in `pipelines`."""

from typing import Any

import dagster as dg
from pydantic import Field


class TraceSettings(dg.ConfigurableResource):
    """Which slice of which trace. The launchpad's RawTraceConfig overrides single fields.

    Attributes:
        source: embedded, local, gcs or bigquery (TRACE_SOURCE).
        location: folder, gs://bucket/prefix or project.dataset (TRACE_PATH).
        start_s: first second of the window, trace time (TRACE_START_S).
        hours: length of the window; 0 means all there is (TRACE_HOURS; default 24 for gcs and
            bigquery, which cost money or time, all for embedded and local).
        sample: share of collections or machines kept, by hash (TRACE_SAMPLE).
        sample_by: collections or machines (TRACE_SAMPLE_BY).
        budget_gib: most GiB read or billed (TRACE_BUDGET_GIB, at most 5).
        tables: canonical tables wanted of gcs or bigquery, separated by commas; empty means all
            (TRACE_TABLES).
        billing_project: Google Cloud project that pays for a query (TRACE_BILLING_PROJECT).
    """

    source: str = "embedded"
    location: str = ""
    start_s: float = 0.0
    hours: float = 0.0
    sample: float = 1.0
    sample_by: str = "collections"
    budget_gib: float = 2.0
    tables: str = ""
    billing_project: str = ""


class TrainingPlan(dg.Config):
    """How one policy is trained; what it does not say is `marl.train.config.TrainConfig`'s.

    Attributes:
        learner: the algorithm; empty: the policy's own name.
        steps: environment steps of one training, summed over its clouds; they are spread over
            epochs of one episode in all clouds.
        clouds: trained in together.
        warm_start: policy of the same profile whose actors training starts from, seed by seed;
            empty: none.
        seeds: independent trainings; 0: the profile's `training_seeds`. Rivals and bounds, which
            nothing is claimed of but where they end, may have fewer.
        settings: further fields of `TrainConfig`, those of `learner` among them.
    """

    learner: str = ""
    steps: int
    clouds: int = 1024
    warm_start: str = ""
    seeds: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)


class Profile(dg.ConfigurableResource):
    """One set of knobs that scales everything: quick (minutes), standard (an hour), full (paper).

    Attributes:
        name: quick, standard or full.
        seed: seed of everything random.
        embedded_days, embedded_jobs_per_hour, embedded_machines: size of the synthetic trace.
        episode_steps: steps of 5 minutes in an episode.
        training: what is trained and how long, by the name that tables call the policy. A name
            that ends in `_oracle` is trained and played where forecasts are the truth: a bound.
        mode: of tuning and training, see `marl.evaluate.world`: "compiled" ("eager" where the
            machine cannot), or "eager", which saves compiling, a minute or two once on a machine.
        processes: to tune, train and evaluate in, side by side; 0: as many as there are cores, and
            memory for.
        training_seeds: independent trainings of each policy.
        tuning_candidates, tuning_generations, tuning_episodes: budget of every tuned baseline, the
            same for each: settings per generation, generations, training episodes per setting.
        tuning_continued: of these generations, those that a rule which continues another's search
            has for itself.
        frontier_generations: of the search for each further point of a cost-SLO frontier.
        clairvoyant_rounds: of the clairvoyant planner in the main scenario
            (`marl.evaluate.study.plan_episodes`); 0 leaves it out.
        mpc_iterations: gradient steps of each plan of model-predictive control, which is played in
            the main scenario; 0 leaves it out.
        evaluation_episodes: paired held-out episodes for each scenario.
        robustness_episodes: held-out episodes under each perturbation; 0 leaves them out.
        scenarios: of `marl.envs.scenarios`, evaluated on, by name; the first is the main one.
    """

    name: str
    seed: int = 0
    embedded_days: float
    embedded_jobs_per_hour: float
    embedded_machines: int
    episode_steps: int
    training: dict[str, TrainingPlan]
    mode: str = "compiled"
    processes: int = 0
    training_seeds: int
    tuning_candidates: int
    tuning_generations: int
    tuning_continued: int
    frontier_generations: int
    clairvoyant_rounds: int
    mpc_iterations: int
    tuning_episodes: int
    evaluation_episodes: int
    robustness_episodes: int
    scenarios: list[str]
