"""Lifetimes of collections: four families, fitted with right-censoring.

A collection still running when observation ends contributes its survival function, not its
density. What runs during a lifetime belongs to `requests`.
"""

from functools import cache
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marl.frozen import Frozen
from marl.workload.choice import Score, choose, mean_score

Floats = NDArray[np.float64]
Family = Literal["lognormal", "weibull", "pareto", "lognormal_mixture"]
FAMILIES: Final[tuple[Family, ...]] = ("lognormal", "weibull", "pareto", "lognormal_mixture")
PARAMETERS: Final[dict[Family, tuple[str, ...]]] = {
    "lognormal": ("mu", "sigma"),
    "weibull": ("shape", "scale_s"),
    "pareto": ("shape", "scale_s"),
    "lognormal_mixture": ("share", "mu_1", "sigma_1", "mu_2", "sigma_2"),
}
LEAST_S: Final = 1.0  # shorter lifetimes are only known to be shorter (left-censored)
_MOST: Final = 8_000  # observations a fit looks at (evenly spaced ones of more)
_LEAST: Final = 8  # complete observations a fit needs


class LifetimeModel(Frozen):
    """How long a collection lives, seconds.

    Attributes:
        family: `lognormal`; `weibull`; `pareto`: the Pareto II (Lomax) survival
            (1 + x/scale)^(−shape), tail index `shape`; `lognormal_mixture` of two.
        parameters: by name (`PARAMETERS`); seconds where the name says so, else of log-seconds or
            without unit.
        scores: by family.
        observations, censored: what the fit saw.
    """

    family: Family
    parameters: dict[str, float]
    scores: dict[str, Score] = Field(default_factory=dict)
    observations: int = 0
    censored: int = 0

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        if set(self.parameters) != set(PARAMETERS[self.family]):
            raise ValueError(
                f"{self.family} needs {PARAMETERS[self.family]}; got {sorted(self.parameters)}"
            )
        return self

    def _vector(self) -> Floats:
        return np.array([self.parameters[name] for name in PARAMETERS[self.family]])

    def survival(self, seconds: Floats) -> Floats:
        """P(lifetime > seconds), same shape."""
        return np.exp(_log_survival(self.family, self._vector(), np.maximum(seconds, 1e-9)))

    def log_likelihoods(self, seconds: Floats, is_censored: NDArray[np.bool_]) -> Floats:
        """(n,) log density of each lifetime, nats; log survival where censored.

        Lifetimes of at most `LEAST_S` give the log probability of being so short.
        """
        return _log_likelihoods(self.family, self._vector(), seconds, is_censored)

    def quantile(self, shares: Floats) -> Floats:
        """Lifetimes (seconds) below which the given shares of collections end."""
        from scipy import stats

        p = self._vector()
        if self.family == "lognormal":
            return np.asarray(np.exp(p[0] + p[1] * stats.norm.ppf(shares)))
        if self.family == "weibull":
            return np.asarray(p[1] * (-np.log1p(-shares)) ** (1 / p[0]))
        if self.family == "pareto":
            return np.asarray(p[1] * np.expm1(-np.log1p(-shares) / p[0]))
        grid, below = _distribution(self.family, tuple(float(x) for x in p))
        return np.asarray(np.exp(np.interp(shares, below, grid)))

    def sample(self, size: int | tuple[int, ...], rng: np.random.Generator) -> Floats:
        """Independent lifetimes in seconds."""
        return self.quantile(rng.random(size))


@cache  # asked for by every draw of demand
def _distribution(family: Family, p: tuple[float, ...]) -> tuple[Floats, Floats]:
    """(4001,) log-seconds and the share of lifetimes below each, never falling."""
    grid = np.linspace(-5.0, 40.0, 4001)
    below = -np.expm1(_log_survival(family, np.array(p), np.exp(grid)))
    return grid, np.maximum.accumulate(below)


def _log_normal_parts(mu: float, sigma: float, log_x: Floats) -> tuple[Floats, Floats]:
    """Log density in x and log survival of a lognormal."""
    from scipy.special import log_ndtr

    z = (log_x - mu) / sigma
    return -0.5 * z * z - np.log(sigma * np.sqrt(2 * np.pi)) - log_x, log_ndtr(-z)


def _log_density(family: Family, p: Floats, x: Floats) -> Floats:
    log_x = np.log(x)
    if family == "lognormal":
        return _log_normal_parts(p[0], p[1], log_x)[0]
    if family == "weibull":
        ratio = log_x - np.log(p[1])
        return np.log(p[0] / p[1]) + (p[0] - 1) * ratio - np.exp(np.minimum(p[0] * ratio, 700.0))
    if family == "pareto":
        return np.log(p[0] / p[1]) - (p[0] + 1) * np.log1p(x / p[1])
    first, second = (_log_normal_parts(p[i], p[i + 1], log_x)[0] for i in (1, 3))
    return np.logaddexp(np.log(p[0]) + first, np.log1p(-p[0]) + second)


def _log_survival(family: Family, p: Floats, x: Floats) -> Floats:
    log_x = np.log(x)
    if family == "lognormal":
        return _log_normal_parts(p[0], p[1], log_x)[1]
    if family == "weibull":
        return -np.exp(np.minimum(p[0] * (log_x - np.log(p[1])), 700.0))
    if family == "pareto":
        return -p[0] * np.log1p(x / p[1])
    first, second = (_log_normal_parts(p[i], p[i + 1], log_x)[1] for i in (1, 3))
    return np.logaddexp(np.log(p[0]) + first, np.log1p(-p[0]) + second)


def _log_likelihoods(
    family: Family, p: Floats, seconds: Floats, is_censored: NDArray[np.bool_]
) -> Floats:
    x = np.maximum(seconds, LEAST_S)
    survival = _log_survival(family, p, x)
    below = np.log(np.maximum(-np.expm1(survival), 1e-300))
    complete = np.where(seconds <= LEAST_S, below, _log_density(family, p, x))
    return np.where(is_censored, survival, complete)


# Each family is searched in free parameters; these carry them to the named ones.
def _bounded(free: Floats, family: Family) -> Floats:
    free = np.clip(free, -30, 60)
    if family == "lognormal":
        return np.array([free[0], 0.05 + np.exp(min(free[1], 5.0))])
    if family in ("weibull", "pareto"):
        return np.array([0.05 + np.exp(min(free[0], 6.0)), np.exp(min(free[1], 40.0))])
    return np.array(
        [
            0.02 + 0.96 / (1 + np.exp(-free[0])),
            free[1],
            0.05 + np.exp(min(free[2], 5.0)),
            free[1] + np.exp(min(free[3], 5.0)),  # the second component is the longer
            0.05 + np.exp(min(free[4], 5.0)),
        ]
    )


def fit_family(family: Family, seconds: Floats, is_censored: NDArray[np.bool_]) -> LifetimeModel:
    """Fit one family by maximum likelihood with right-censoring.

    Args:
        family: which.
        seconds: (n,) lifetimes, or times observed so far where censored; n >= 1.
        is_censored: (n,).
    """
    from scipy.optimize import minimize

    x = np.maximum(seconds, LEAST_S)
    mu, sigma = float(np.log(x).mean()), max(float(np.log(x).std()), 0.1)
    starts = {
        "lognormal": [[mu, np.log(sigma)]],
        "weibull": [[np.log(1.2 / sigma), mu + 0.5]],
        "pareto": [[0.0, mu], [np.log(3.0), mu + 1.5]],
        "lognormal_mixture": [
            [0.0, mu - 0.7 * sigma, np.log(0.6 * sigma), np.log(1.4 * sigma), np.log(0.8 * sigma)],
            [2.0, mu - 0.2 * sigma, np.log(0.7 * sigma), np.log(2.5 * sigma), np.log(0.7 * sigma)],
        ],
    }[family]

    def loss(free: Floats) -> float:
        logs = _log_likelihoods(family, _bounded(free, family), seconds, is_censored)
        return -float(np.maximum(logs, -1e4).mean())

    runs = [minimize(loss, start, method="L-BFGS-B") for start in starts]
    best = min(runs, key=lambda run: run.fun)
    values = _bounded(best.x, family)
    return LifetimeModel(
        family=family,
        parameters={n: float(v) for n, v in zip(PARAMETERS[family], values, strict=True)},
        observations=len(x),
        censored=int(is_censored.sum()),
    )


def fit_lifetimes(
    seconds: Floats,
    is_censored: NDArray[np.bool_],
    held_out_seconds: Floats,
    held_out_is_censored: NDArray[np.bool_],
    validation_share: float = 0.25,
    families: tuple[Family, ...] = FAMILIES,
) -> LifetimeModel | None:
    """Fit the training part, choosing the family on its last stretch.

    Args:
        seconds: (n,) training lifetimes in the order of arrival; censored ones as observed so far.
        is_censored: (n,).
        held_out_seconds: (m,) lifetimes only the report may see.
        held_out_is_censored: (m,).
        validation_share: last share of the training part the choice is made on.
        families: candidates, simplest first.

    Returns:
        The chosen family fitted to the whole training part; None with fewer than 8 complete
        lifetimes, from which no family can be told.
    """
    if (~is_censored).sum() < _LEAST:
        return None
    pick = np.unique(np.linspace(0, len(seconds) - 1, min(len(seconds), _MOST)).astype(int))
    x, mark = seconds[pick], is_censored[pick]
    cut = max(int(len(x) * (1 - validation_share)), 1)
    if (~mark[:cut]).sum() < _LEAST // 2 or cut == len(x):
        return fit_family("lognormal", x, mark)
    validation: dict[Family, Floats] = {}
    fitted: dict[Family, LifetimeModel] = {}
    for family in families:
        early = fit_family(family, x[:cut], mark[:cut])
        validation[family] = early.log_likelihoods(x[cut:], mark[cut:])
        fitted[family] = fit_family(family, x, mark)
    scores = {
        family: Score(
            validation=mean_score(validation[family]),
            held_out=mean_score(
                fitted[family].log_likelihoods(held_out_seconds, held_out_is_censored)
            ),
        )
        for family in families
    }
    return fitted[choose(validation)].model_copy(update={"scores": scores})
