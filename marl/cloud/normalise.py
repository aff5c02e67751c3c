"""Running normalisation of the reward's objectives, so that each has unit scale and none dominates.

Mean and variance are merged batch by batch (T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating
formulae and a pairwise algorithm for computing sample variances", Stanford STAN-CS-79-773, 1979:
the parallel form of Welford's recursion), so that the result does not depend on how the stream was
cut into batches. The state is data: `update` returns a new one. What an objective is belongs to
`reward`; how the normalised objectives are weighed, too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class NormaliserConfig:
    """What normalising does.

    Attributes:
        warmup: samples before which values pass through unchanged: few samples have no scale yet.
        clip: bound of the normalised value, in standard deviations; None for no bound.
        is_centred: subtract the mean. Off by default: a shift that differs between objectives
            is the same for all actions, but where episodes end early it rewards staying or leaving.
        min_std: least standard deviation to divide by, in the objective's unit; an objective
            that hardly moves is not blown up beyond 1 / min_std.
    """

    warmup: int = 1000
    clip: float | None = 10.0
    is_centred: bool = False
    min_std: float = 1e-3

    def __post_init__(self) -> None:
        if self.warmup < 2:
            raise ValueError(f"warmup {self.warmup}: at least 2 samples make a variance")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip {self.clip} must be above 0, or None for no bound")
        if not (self.min_std > 0 and math.isfinite(self.min_std)):
            raise ValueError(f"min_std {self.min_std} must be above 0: it is divided by")


@dataclass(frozen=True)
class NormaliserState:
    """Statistics of the stream so far, float64: sums over 10⁹ samples must not stall."""

    count: Tensor  # () samples seen
    mean: Tensor  # (K,)
    squares: Tensor  # (K,) sum of squared deviations from the mean
    is_frozen: bool = False  # evaluation: update changes nothing

    def variance(self) -> Tensor:
        """(K,) population variance; 0 before the second sample."""
        return self.squares / self.count.clamp_min(1.0)


def initial_state(objectives: int, device: torch.device | str = "cpu") -> NormaliserState:
    """Nothing seen, for `objectives` columns."""
    if objectives < 1:
        raise ValueError(f"objectives {objectives}: at least one column")
    zeros = torch.zeros(objectives, dtype=torch.float64, device=device)
    return NormaliserState(zeros.new_zeros(()), zeros, zeros.clone())


def freeze(state: NormaliserState, is_frozen: bool = True) -> NormaliserState:
    """The same statistics, fixed (for evaluation) or moving again."""
    return replace(state, is_frozen=is_frozen)


def update(state: NormaliserState, values: Tensor) -> NormaliserState:
    """Take in one batch.

    No gradient flows into the statistics: the scale is no part of what an action achieves. A batch
    with a value that is not finite is refused by `check_finite`, not here, where looking at values
    would make a GPU wait.

    Args:
        state: before.
        values: (B, K) objectives, unweighted.

    Returns:
        The state after; the same one where it is frozen.
    """
    _check(state, values)
    if state.is_frozen or values.shape[0] == 0:
        return state
    batch = values.detach().to(torch.float64)
    added = float(batch.shape[0])
    mean = batch.mean(0)
    squares = (batch - mean).square().sum(0)
    count = state.count + added
    delta = mean - state.mean
    return NormaliserState(
        count=count,
        mean=state.mean + delta * (added / count),
        squares=state.squares + squares + delta.square() * (state.count * added / count),
    )


def normalise(state: NormaliserState, values: Tensor, config: NormaliserConfig) -> Tensor:
    """(B, K) values over their standard deviation, differentiable in `values`.

    Args:
        state: statistics; the batch itself counts only if `update` was called before.
        values: (B, K) objectives.
        config: warm-up, clip, centring.
    """
    _check(state, values)
    std = state.variance().sqrt().clamp_min(config.min_std)
    mean = state.mean if config.is_centred else torch.zeros_like(state.mean)
    # Chosen by tensor, not by `if`: no wait for the device, and the step can be compiled.
    is_warm = state.count >= config.warmup
    scale = torch.where(is_warm, 1.0 / std, 1.0).to(values.dtype)
    shift = torch.where(is_warm, mean, 0.0).to(values.dtype)
    scaled = (values - shift) * scale
    if config.clip is None:
        return scaled
    return torch.where(is_warm, scaled.clamp(-config.clip, config.clip), scaled)


def check_finite(state: NormaliserState) -> None:
    """Refuse statistics that a value not finite has spoilt.

    Raises:
        ValueError: naming the columns.
    """
    bad = ~(state.mean.isfinite() & state.squares.isfinite())
    if bool(bad.any()):
        columns = bad.nonzero().flatten().tolist()
        raise ValueError(f"objectives {columns} held a value that is not finite; nothing is saved")


def state_dict(state: NormaliserState) -> dict[str, Tensor]:
    """Everything needed to go on, as tensors for a checkpoint."""
    check_finite(state)
    entries = {f.name: getattr(state, f.name) for f in fields(state)}
    return {k: torch.as_tensor(v).detach().clone() for k, v in entries.items()}


def from_state_dict(
    saved: Mapping[str, Tensor], device: torch.device | str = "cpu"
) -> NormaliserState:
    """The state that `state_dict` wrote.

    Raises:
        ValueError: an entry is missing, unknown or of another shape.
    """
    names = {f.name for f in fields(NormaliserState)}
    if set(saved) != names:
        raise ValueError(f"a normaliser has {sorted(names)}, the checkpoint {sorted(saved)}")
    if saved["mean"].ndim != 1 or saved["mean"].shape != saved["squares"].shape:
        shapes = tuple(saved["mean"].shape), tuple(saved["squares"].shape)
        raise ValueError(f"mean and squares are vectors of one length, not {shapes}")
    count, mean, squares = (
        saved[k].to(device=device, dtype=torch.float64, copy=True)
        for k in ("count", "mean", "squares")
    )
    if bool((count < 0) | (squares < 0).any()):
        raise ValueError("count and squares cannot be negative: the checkpoint is damaged")
    state = NormaliserState(count, mean, squares, bool(saved["is_frozen"]))
    check_finite(state)
    return state


def _check(state: NormaliserState, values: Tensor) -> None:
    if values.ndim != 2 or values.shape[1] != len(state.mean):
        raise ValueError(f"expected (B, {len(state.mean)}) objectives, not {tuple(values.shape)}")
