"""Every knob of the workload: how collections are classed, how the history is cut and scaled.

One immutable document, hashed into the model's provenance. Coefficients of the services belong to
`coefficients`; thresholds of the report to `goodness`.
"""

from typing import Final, Literal

from pydantic import Field

from marl.frozen import Frozen

LEAST_WINDOWS: Final = 10  # fifty minutes: below it there is nothing to split


class ClassRules(Frozen):
    """Thresholds of the rules in `classes`.

    Attributes:
        serving_tiers: tiers whose work serves people or watches over it.
        serving_scheduling_class: from this class on (0–3) Borg treats work as latency-sensitive.
        long_running_s: a job alive this long behaves as a service, not as a batch step.
        gang_tasks: fewest equal tasks that count as a gang.
        gang_lifetime_s: shortest life of a gang that counts as training.
        gang_spread: most by which the largest CPU request of a gang may exceed its mean.
        large_request_quantile: requests (CPU or memory) from this quantile of the trace are large.
    """

    serving_tiers: tuple[str, ...] = ("production", "monitoring")
    serving_scheduling_class: int = Field(default=2, ge=0, le=3)
    long_running_s: float = Field(default=3600.0, gt=0)
    gang_tasks: int = Field(default=8, ge=2)
    gang_lifetime_s: float = Field(default=1200.0, gt=0)
    gang_spread: float = Field(default=1.05, ge=1)
    large_request_quantile: float = Field(default=0.6, ge=0, le=1)


class WorkloadConfig(Frozen):
    """Everything that decides the fitted workload besides the trace.

    Attributes:
        rules: of the classes.
        train_share: share of the windows, from the first on, that training may see.
        validation_share: last share of the training part on which families are chosen.
        target_vcpu: mean compute demand of the training part after scaling, vCPU.
        overrides: of the services' coefficients, by key.
        usage_per_request: CPU and memory used per requested unit, where the trace has too little
            usage to tell; Reiss et al., SoCC 2012, doi:10.1145/2391229.2391236, find about half.
        seed: of imputation and of the spreading of rounded requests.
    """

    rules: ClassRules = ClassRules()
    train_share: float = Field(default=0.6, gt=0, lt=1)
    validation_share: float = Field(default=0.25, gt=0, lt=1)
    target_vcpu: float = Field(default=256.0, gt=0)
    overrides: dict[str, float] = Field(default_factory=dict)
    usage_per_request: float = Field(default=0.5, gt=0, le=2)
    seed: int = 0


Split = Literal["train", "held_out"]
