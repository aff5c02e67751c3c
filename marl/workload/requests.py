"""Joint CPU and memory requests of a task: two families with tails, as NCU and NMU.

What a whole collection asks for (tasks × request) and how long belongs to `levels` and
`lifetimes`.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload.choice import Score, choose, mean_score

Floats = NDArray[np.float64]
Family = Literal["lognormal_mixture", "copula_pareto"]
FAMILIES: Final[tuple[Family, ...]] = ("lognormal_mixture", "copula_pareto")
_MOST: Final = 10_000  # pairs a fit looks at (evenly spaced ones of more)
_LEAST: Final = 30
_ROUNDING: Final = 0.05  # requests are scaled and rounded in the trace: spread by ±5 % before a fit
_TAIL: Final = 0.95  # share below the threshold of the Pareto tail
_BINS: Final = 24  # of the body of a margin
_CELLS: Final = 10  # a side of the checkerboard copula
_FLOOR_VARIANCE: Final = 1e-3


class Margin(Frozen):
    """One margin in logarithms: histogram body, generalised Pareto tail above `threshold`.

    Attributes:
        edges: (n+1,) of the body's bins, log units, rising; each bin holds the same probability.
        shape, scale: of the excess of the log request over the last edge. An exponential excess
            (shape 0) is a Pareto tail of the request itself with index 1/scale.
    """

    edges: tuple[float, ...] = Field(min_length=2)
    shape: float
    scale: float = Field(gt=0)

    def cdf(self, logs: Floats) -> Floats:
        """P(log request <= logs)."""
        from scipy.stats import genpareto

        edges = np.asarray(self.edges)
        body = np.interp(logs, edges, np.linspace(0, _TAIL, len(edges)))
        excess = np.maximum(logs - edges[-1], 0)
        return np.asarray(body + (1 - _TAIL) * genpareto.cdf(excess, self.shape, scale=self.scale))

    def log_density(self, logs: Floats) -> Floats:
        """Log density of the log request."""
        from scipy.stats import genpareto

        edges = np.asarray(self.edges)
        height = _TAIL / (len(edges) - 1) / np.diff(edges)
        at = np.clip(np.searchsorted(edges, logs, side="right") - 1, 0, len(height) - 1)
        excess = np.maximum(logs - edges[-1], 0)
        tail = np.log1p(-_TAIL) + genpareto.logpdf(excess, self.shape, scale=self.scale)
        low = np.log(height[0]) - 8 * np.maximum(edges[0] - logs, 0) - np.log(100)
        inside = np.where(logs < edges[0], low, np.log(height[at]))
        return np.asarray(np.where(logs > edges[-1], tail, inside))

    def quantile(self, shares: Floats) -> Floats:
        """Log requests at the given shares."""
        from scipy.stats import genpareto

        edges = np.asarray(self.edges)
        body = np.interp(shares, np.linspace(0, _TAIL, len(edges)), edges)
        beyond = np.clip((shares - _TAIL) / (1 - _TAIL), 0, 1 - 1e-9)
        excess = genpareto.ppf(beyond, self.shape, scale=self.scale)
        return np.asarray(np.where(shares > _TAIL, edges[-1] + excess, body))


class RequestModel(Frozen):
    """What one task asks for: (CPU, memory) as fractions of the largest machine.

    Attributes:
        family: `lognormal_mixture`: a Gaussian mixture of the two logarithms; `copula_pareto`:
            a checkerboard copula of the ranks between two `Margin`s.
        zero_share: share of tasks that ask for no CPU (real traces hold them).
        weights, means, covariances: (K,), (K, 2), (K, 2, 2) of the mixture.
        cpu, memory, cells: margins, and (m, m) probabilities of the copula's cells.
        scores: by family.
        observations: what the fit saw.
    """

    family: Family
    zero_share: float = Field(default=0.0, ge=0, le=1)
    weights: tuple[float, ...] = ()
    means: tuple[tuple[float, float], ...] = ()
    covariances: tuple[tuple[tuple[float, float], tuple[float, float]], ...] = ()
    cpu: Margin | None = None
    memory: Margin | None = None
    cells: tuple[tuple[float, ...], ...] = ()
    scores: dict[str, Score] = Field(default_factory=dict)
    observations: int = 0

    def log_density(self, logs: Floats) -> Floats:
        """(n,) joint log density of (n, 2) log requests above zero, nats."""
        if self.family == "lognormal_mixture":
            from scipy.special import logsumexp
            from scipy.stats import multivariate_normal

            parts = [
                np.log(w) + np.atleast_1d(multivariate_normal.logpdf(logs, m, np.asarray(c)))
                for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
            ]
            return np.asarray(logsumexp(np.stack(parts), axis=0))
        cpu, memory = self._margins()
        cells = np.asarray(self.cells)
        side = len(cells)
        rows = np.minimum((cpu.cdf(logs[:, 0]) * side).astype(int), side - 1)
        columns = np.minimum((memory.cdf(logs[:, 1]) * side).astype(int), side - 1)
        copula = np.log(cells[rows, columns] * side * side)
        return np.asarray(copula + cpu.log_density(logs[:, 0]) + memory.log_density(logs[:, 1]))

    def sample(self, size: int, rng: np.random.Generator) -> Floats:
        """(size, 2) requests in [0, 1]: NCU, NMU; no task outgrows the largest machine."""
        if self.family == "lognormal_mixture":
            which = rng.choice(len(self.weights), size, p=self.weights)
            root = np.linalg.cholesky(np.asarray(self.covariances))
            draw = rng.standard_normal((size, 2))
            logs = np.asarray(self.means)[which] + np.einsum("nij,nj->ni", root[which], draw)
        else:
            cpu, memory = self._margins()
            cells = np.asarray(self.cells)
            at = rng.choice(cells.size, size, p=cells.ravel())
            corner = np.stack(np.divmod(at, len(cells)), axis=1)
            ranks = (corner + rng.random((size, 2))) / len(cells)
            logs = np.stack([cpu.quantile(ranks[:, 0]), memory.quantile(ranks[:, 1])], axis=1)
        pairs = np.exp(np.minimum(logs, 0.0))
        pairs[rng.random(size) < self.zero_share, 0] = 0.0
        return np.asarray(pairs)

    def _margins(self) -> tuple[Margin, Margin]:
        if self.cpu is None or self.memory is None:
            raise ValueError("a copula_pareto model needs both margins")
        return self.cpu, self.memory


def _fit_mixture(logs: Floats) -> RequestModel:
    """Components by the Bayesian information criterion, 1 to 5."""
    from sklearn.mixture import GaussianMixture

    fits = [
        GaussianMixture(k, reg_covar=_FLOOR_VARIANCE, random_state=0, max_iter=200).fit(logs)
        for k in range(1, 6)
        if len(logs) >= 20 * k
    ]
    best = min(fits, key=lambda fit: fit.bic(logs))
    order = np.argsort(best.means_[:, 0])
    weights = best.weights_[order] / best.weights_.sum()
    return RequestModel(
        family="lognormal_mixture",
        weights=tuple(weights.tolist()),
        means=tuple((float(a), float(b)) for a, b in best.means_[order]),
        covariances=tuple(
            ((float(c[0, 0]), float(c[0, 1])), (float(c[1, 0]), float(c[1, 1])))
            for c in best.covariances_[order]
        ),
    )


def _fit_margin(logs: Floats) -> Margin:
    from scipy.stats import genpareto

    edges = np.quantile(logs, np.linspace(0, _TAIL, _BINS + 1))
    edges = np.maximum.accumulate(edges + np.arange(_BINS + 1) * 1e-6)
    excess = logs[logs > edges[-1]] - edges[-1]
    if len(excess) < 10 or excess.max() <= 0:
        return Margin(edges=tuple(edges.tolist()), shape=0.0, scale=max(float(logs.std()), 0.01))
    shape, _, scale = genpareto.fit(excess, floc=0)
    return Margin(
        edges=tuple(edges.tolist()),
        shape=float(np.clip(shape, -0.9, 0.9)),
        scale=max(float(scale), 1e-3),
    )


def _fit_copula(logs: Floats) -> RequestModel:
    """Cells' shares with half a pair added to each, balanced so that both margins are uniform."""
    cpu, memory = _fit_margin(logs[:, 0]), _fit_margin(logs[:, 1])
    side = _CELLS
    rows = np.minimum((cpu.cdf(logs[:, 0]) * side).astype(int), side - 1)
    columns = np.minimum((memory.cdf(logs[:, 1]) * side).astype(int), side - 1)
    cells = np.full((side, side), 0.5)
    np.add.at(cells, (rows, columns), 1.0)
    for _ in range(100):  # iterative proportional fitting
        cells /= cells.sum(axis=1, keepdims=True) * side
        cells /= cells.sum(axis=0, keepdims=True) * side
    cells /= cells.sum()
    return RequestModel(
        family="copula_pareto",
        cpu=cpu,
        memory=memory,
        cells=tuple(tuple(row) for row in cells.tolist()),
    )


def fit_requests(
    pairs: Floats,
    held_out: Floats,
    rng: np.random.Generator,
    validation_share: float = 0.25,
    families: tuple[Family, ...] = FAMILIES,
) -> RequestModel | None:
    """Fit the training part, choosing the family on its last stretch.

    Args:
        pairs: (n, 2) training requests in the order of arrival, NCU and NMU.
        held_out: (m, 2) requests only the report may see.
        rng: spreads rounded requests by ±5 % so that densities exist.
        validation_share: last share of the training part the choice is made on.
        families: candidates, simplest first.

    Returns:
        The chosen family fitted to the whole training part; None with fewer than 30 tasks that
        ask for both CPU and memory.
    """
    complete = pairs[np.isfinite(pairs).all(axis=1)]
    is_positive = (complete > 0).all(axis=1)
    zero_share = float((complete[:, 0] <= 0).mean()) if len(complete) else 0.0
    logs = _spread_logs(complete[is_positive], rng)
    late = held_out[np.isfinite(held_out).all(axis=1)]
    late = _spread_logs(late[(late > 0).all(axis=1)], rng)
    if len(logs) < _LEAST:
        return None
    cut = max(int(len(logs) * (1 - validation_share)), 20)
    fitters = {"lognormal_mixture": _fit_mixture, "copula_pareto": _fit_copula}
    validation: dict[Family, Floats] = {}
    fitted: dict[Family, RequestModel] = {}
    for family in families:
        validation[family] = fitters[family](logs[:cut]).log_density(logs[cut:])
        fitted[family] = fitters[family](logs)
    scores = {
        family: Score(
            validation=mean_score(validation[family]),
            held_out=mean_score(fitted[family].log_density(late)),
        )
        for family in families
    }
    return fitted[choose(validation)].model_copy(
        update={"scores": scores, "zero_share": zero_share, "observations": len(logs)}
    )


def _spread_logs(pairs: Floats, rng: np.random.Generator) -> Floats:
    """Logarithms of at most `_MOST` evenly spaced pairs, spread by the rounding step."""
    pick = np.unique(np.linspace(0, max(len(pairs) - 1, 0), min(len(pairs), _MOST)).astype(int))
    chosen = pairs[pick] if len(pairs) else pairs.reshape(0, 2)
    return np.asarray(np.log(chosen) + rng.uniform(-_ROUNDING, _ROUNDING, chosen.shape))
