"""What on-policy learners learn from: the decisions of one rollout, in order, and shuffled."""
# ruff: noqa: N815 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """T decisions of B clouds; see `marl.algos.base` for the letters.

    Attributes:
        obs_TBNF: what the actors saw.
        state_TBS: what central critics see, exogenous future included.
        latent_TBNA: what was drawn (`marl.nets.gaussian`).
        log_prob_TBN: its log-density under the policy that drew it.
        mask_TBNA: zero where a knob does not exist or could do nothing.
        reward_TBN: rewards.
        terminated_TB: the episode ended for good.
        cut_TB: what follows in the rollout is not what followed the decision.
        is_known_TB: whether `next_*` are true. Decisions of unknown outcome are left out, and the
            decision before is judged by the value of the state in which they were taken.
        next_obs_TBNF: observations that the decision led to, also where the episode was cut.
        next_state_TBS: the same of the state.
    """

    obs_TBNF: Tensor
    state_TBS: Tensor
    latent_TBNA: Tensor
    log_prob_TBN: Tensor
    mask_TBNA: Tensor
    reward_TBN: Tensor
    terminated_TB: Tensor
    cut_TB: Tensor
    is_known_TB: Tensor
    next_obs_TBNF: Tensor
    next_state_TBS: Tensor


class RowTable:
    """Columns of the same rows side by side, so that a minibatch is one gather instead of many.

    Args:
        columns: name → (R, ...), all of the same type and number of rows.
    """

    def __init__(self, columns: Mapping[str, Tensor]) -> None:
        self._shapes = {name: column.shape[1:] for name, column in columns.items()}
        flat = [column.flatten(1) for column in columns.values()]
        self._widths = [column.shape[1] for column in flat]
        self._rows = torch.cat(flat, 1)

    def shuffled(self, parts: int, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """All rows once, in random order, in at most `parts` parts; name → (R / parts, ...)."""
        order = torch.randperm(len(self._rows), generator=generator).to(self._rows.device)
        for index in order.chunk(parts):
            columns = self._rows.index_select(0, index).split(self._widths, 1)
            yield {
                name: column.unflatten(1, shape)
                for (name, shape), column in zip(self._shapes.items(), columns, strict=True)
            }
