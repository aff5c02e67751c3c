"""Arrival processes: counts per five-minute window with a daily cycle, four families.

Fits one class's counts and draws new ones. What an arrival brings belongs to `requests`,
`lifetimes` and `levels`.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload import daily
from marl.workload.choice import Score, choose, mean_score
from marl.workload.noise import ArNoise, autocorrelation

Floats = NDArray[np.float64]
Family = Literal["poisson", "negative_binomial", "cox_ar1", "negative_binomial_ar1"]
FAMILIES: Final[tuple[Family, ...]] = (
    "poisson",
    "negative_binomial",
    "cox_ar1",
    "negative_binomial_ar1",
)
_MAX_PHI: Final = 0.985  # the filter's grid resolves no slower modulation
_REACH: Final = 4.5  # standard deviations the grid covers
_EVALUATIONS: Final = 60
_LONGEST: Final = 2016  # windows the search for σ, φ and size looks at: the last week
LEAST_ARRIVALS: Final = 50  # fewer tell no family from another


class ArrivalModel(Frozen):
    """Counts N_t of a class per window of five minutes.

    The mean is μ_t = rate·daily(t); given modulation z (unit Gaussian AR(1)), N_t is Poisson or
    negative binomial of mean μ_t·exp(σ z_t − σ²/2).

    Attributes:
        family: `poisson`; `negative_binomial` (variance μ + μ²/size); `cox_ar1`: log-Gaussian Cox
            process in discrete time (Poisson given z); `negative_binomial_ar1`: both.
        rate: mean arrivals per window.
        daily: Fourier coefficients of the log mean (see `marl.workload.daily`).
        size: negative binomial size; None is Poisson.
        sigma: standard deviation of the log modulation.
        noise: its memory.
        scores: by family.
    """

    family: Family = "poisson"
    rate: float = Field(default=0.0, ge=0)
    daily: tuple[float, ...] = ()
    size: float | None = Field(default=None, gt=0)
    sigma: float = Field(default=0.0, ge=0)
    noise: ArNoise = ArNoise()
    scores: dict[str, Score] = Field(default_factory=dict)

    def mean(self, time_us: NDArray[np.int64], is_cyclical: bool = True) -> Floats:
        """Expected counts of the windows at `time_us`, same shape."""
        if not is_cyclical:
            return np.full(time_us.shape, self.rate)
        return self.rate * daily.factor(time_us, self.daily)

    def sample(
        self, time_us: NDArray[np.int64], rng: np.random.Generator, is_cyclical: bool = True
    ) -> NDArray[np.float32]:
        """(B, T) counts of independent paths over the windows at `time_us` (B, T)."""
        if self.rate == 0:
            return np.zeros(time_us.shape, np.float32)
        mean = self.mean(time_us, is_cyclical)
        if self.sigma > 0:
            z = self.noise.sample(len(time_us), time_us.shape[1], rng)
            mean = mean * np.exp(np.float32(self.sigma) * z - np.float32(self.sigma**2 / 2))
        if self.size is not None:
            mean = mean * (rng.standard_gamma(self.size, time_us.shape) / self.size)
        return rng.poisson(mean).astype(np.float32)

    def log_likelihoods(self, counts: Floats, time_us: NDArray[np.int64]) -> Floats:
        """(T,) one-step predictive log-likelihood of each count given those before it, nats."""
        mean = np.maximum(self.mean(time_us), 1e-9)
        if self.sigma == 0:
            return _log_pmf(counts, mean, self.size)
        return _filter(counts, mean, self.size, self.sigma, self.noise.phis[0])

    @property
    def dispersion(self) -> float:
        """Index of dispersion (variance / mean) of a window at the mean rate, daily cycle aside."""
        spread = np.expm1(self.sigma**2)
        extra = spread if self.size is None else spread + (1 + spread) / self.size
        return float(1 + self.rate * extra)


def _log_pmf(counts: Floats, mean: Floats, size: float | None) -> Floats:
    from scipy.special import gammaln, xlogy

    if size is None:
        return np.asarray(xlogy(counts, mean) - mean - gammaln(counts + 1))
    head = gammaln(counts + size) - gammaln(size) - gammaln(counts + 1)
    tail = size * np.log(size / (size + mean)) + xlogy(counts, mean / (size + mean))
    return np.asarray(head + tail)


def _filter(counts: Floats, mean: Floats, size: float | None, sigma: float, phi: float) -> Floats:
    """Predictive log-likelihoods by the forward algorithm on a grid of the modulation z.

    A deterministic point-mass filter (Kitagawa, JASA 82:400, 1987, doi:10.1080/01621459.1987.
    10478534): the grid is fine enough to resolve the counting noise of the mean count.
    """
    finest = 0.5 / np.sqrt(max(float(mean.mean()), 1.0)) / sigma
    points = int(np.clip(2 * _REACH / max(finest, 1e-9), 61, 241)) | 1
    z = np.linspace(-_REACH, _REACH, points)
    spread = np.sqrt(1 - phi * phi)
    move = np.exp(-0.5 * ((z[None, :] - phi * z[:, None]) / spread) ** 2)
    move /= move.sum(axis=1, keepdims=True)
    belief = np.exp(-0.5 * z**2)
    belief /= belief.sum()
    log_emission = _log_pmf(counts[:, None], mean[:, None] * np.exp(sigma * z - sigma**2 / 2), size)
    top = log_emission.max(axis=1, keepdims=True)
    emission = np.exp(log_emission - top)
    out = np.empty(len(counts))
    for t in range(len(counts)):
        joint = belief * emission[t]
        total = joint.sum()
        out[t] = total
        belief = (joint / total if total > 0 else belief) @ move
    return np.asarray(np.log(np.maximum(out, 1e-300)) + top[:, 0])


def fit_family(
    family: Family, counts: Floats, time_us: NDArray[np.int64], harmonics: int
) -> ArrivalModel:
    """Fit one family by maximum likelihood (the mean by quasi-likelihood first).

    Args:
        family: which.
        counts: (T,) arrivals per window.
        time_us: (T,) start of each window.
        harmonics: of the daily cycle.
    """
    rate, beta = daily.fit_counts(counts, time_us, harmonics)
    plain = ArrivalModel(rate=rate, daily=beta)
    if rate == 0 or family == "poisson":
        return plain
    mean = np.maximum(plain.mean(time_us), 1e-9)
    ratio = (counts - mean) / mean
    # Moments: Var(N/μ) = E[1/μ] + relative excess; the start of every search below.
    excess = max(float((ratio**2).mean() - (1 / mean).mean()), 1e-4)
    if family == "negative_binomial":
        return plain.model_copy(update={"family": family, "size": _fit_size(counts, mean, excess)})
    rho = autocorrelation(ratio, 2)
    phi = float(np.clip(rho[2] / rho[1] if rho[1] > 0.02 else 0.2, 0.05, 0.95))
    found = _fit_modulated(counts, mean, excess, phi, has_size=family == "negative_binomial_ar1")
    return plain.model_copy(update={"family": family, **found})


def _fit_size(counts: Floats, mean: Floats, excess: float) -> float:
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(
        lambda log_size: -_log_pmf(counts, mean, float(np.exp(log_size))).sum(),
        bounds=(-np.log(excess) - 4, -np.log(excess) + 6),
        method="bounded",
    )
    return float(np.exp(best.x))


def _fit_modulated(
    counts: Floats, mean: Floats, excess: float, phi: float, has_size: bool
) -> dict[str, object]:
    """σ, φ and (optionally) size by Nelder–Mead on the filter's likelihood."""
    from scipy.optimize import minimize

    counts, mean = counts[-_LONGEST:], mean[-_LONGEST:]

    def unpack(p: Floats) -> tuple[float | None, float, float]:
        size = float(np.exp(np.clip(p[2], -5, 12))) if has_size else None
        sigma = float(np.exp(np.clip(p[0], -5, 1.1)))
        return size, sigma, float(_MAX_PHI / (1 + np.exp(-p[1])))

    share = 0.5 if has_size else 1.0  # of the excess variance given to the modulation at the start
    sigma = np.sqrt(np.log1p(share * excess))
    start = [np.log(sigma), np.log(phi / (_MAX_PHI - phi + 1e-3))]
    start += [-np.log(excess / 2)] if has_size else []
    best = minimize(
        lambda p: -_filter(counts, mean, *unpack(p)).sum(),
        start,
        method="Nelder-Mead",
        options={"maxfev": _EVALUATIONS * (2 if has_size else 1), "xatol": 5e-3, "fatol": 0.05},
    )
    size, sigma, phi = unpack(best.x)
    return {"size": size, "sigma": sigma, "noise": ArNoise(phis=(phi,))}


def fit_arrivals(
    counts: Floats,
    time_us: NDArray[np.int64],
    is_held_out: NDArray[np.bool_],
    validation_share: float = 0.25,
    families: tuple[Family, ...] = FAMILIES,
) -> ArrivalModel:
    """Fit the training part, choosing the family on its last stretch.

    Args:
        counts: (T,) arrivals per window.
        time_us: (T,) start of each window, rising.
        is_held_out: (T,) windows that only the report may see; all after the training part.
        validation_share: last share of the training part the choice is made on.
        families: candidates, simplest first.

    Returns:
        The chosen family fitted to the whole training part, with every family's scores. With fewer
        than 24 training windows (two hours) or 50 arrivals: a Poisson process of constant rate,
        without scores.
    """
    train = ~is_held_out
    length = int(train.sum())
    if length < 24 or counts[train].sum() < LEAST_ARRIVALS:
        rate, _ = daily.fit_counts(counts[train], time_us[train], 0)
        return ArrivalModel(rate=rate)
    cut = length - max(int(length * validation_share), 6)
    seen, at = counts[:length], time_us[:length]
    harmonics = daily.harmonics_for(cut)
    validation: dict[Family, Floats] = {}
    fitted: dict[Family, ArrivalModel] = {}
    for family in families:
        early = fit_family(family, seen[:cut], at[:cut], harmonics)
        validation[family] = early.log_likelihoods(seen, at)[cut:]
        fitted[family] = fit_family(family, seen, at, daily.harmonics_for(length))
    scores = {
        family: Score(
            validation=mean_score(validation[family]),
            held_out=mean_score(fitted[family].log_likelihoods(counts, time_us)[length:]),
        )
        for family in families
    }
    return fitted[choose(validation)].model_copy(update={"scores": scores})
