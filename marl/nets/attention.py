"""Attention: the pure maths, and an encoder that weighs an agent's observation fields.

Transformers over lists are in `transformer`, critics that attend over agents in `agent_critic`.
"""
# ruff: noqa: N803 - dimension letters as suffixes (x_NBF), legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from marl.nets.mlp import uniform


def masked_softmax(scores: Tensor, is_open: Tensor) -> Tensor:
    """Softmax over the last dimension's open entries; closed ones get 0, all of them if none is.

    Args:
        scores: (..., R).
        is_open: bool, broadcastable to `scores`.
    """
    least = torch.finfo(scores.dtype).min
    return scores.masked_fill(~is_open, least).softmax(-1) * is_open


def attend(
    query: Tensor, key: Tensor, value: Tensor, is_open: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention in several heads (Vaswani et al. 2017, eq. 1).

    Args:
        query: (..., L, D); D is shared by the heads.
        key: (..., R, D).
        value: (..., R, D).
        is_open: (..., L or 1, R) bool: which values may be seen.
        heads: must divide D.

    Returns:
        (..., L, D) pooled values, and (..., heads, L, R) weights, which sum to one over R where
        anything is open.
    """

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(-3, -2)

    query, key, value = split(query), split(key), split(value)
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    weights = masked_softmax(scores, is_open.unsqueeze(-3))
    return (weights @ value).transpose(-3, -2).flatten(-2), weights


class FieldAttention(nn.Module):
    """Encoders of N agents in which learned queries pool observation fields as tokens.

    The token of field f is x_f · v_f + e_f, a direction times the value plus the field's embedding
    (Gorishniy et al. 2021, arXiv:2106.11959, section 3.3). Head h weighs tokens by
    softmax_f(token_f · q_h / √D) and pools them. Tokens are affine in x, so scores and pooled
    values are products of small matrices and no token is ever laid out. Padded fields get no
    weight. Nothing bypasses the weights: what they do not show, the agent has not used.

    Args:
        in_features: (N,) observation fields of each agent.
        token: D, width of a token.
        heads: queries; each pools whole tokens.
        generator: source of the initial weights.
        has_layer_norm: normalise what each head has pooled.
    """

    exists: Tensor

    def __init__(
        self,
        in_features: Sequence[int],
        *,
        token: int,
        heads: int,
        generator: torch.Generator,
        has_layer_norm: bool = True,
    ) -> None:
        super().__init__()
        agents, widest = len(in_features), max(in_features)
        self.token, self.has_layer_norm = token, has_layer_norm
        self.out_features = (heads * token,) * agents
        bound = token**-0.5  # Gorishniy et al.'s code
        self.value = uniform((agents, widest, token), bound, generator)
        self.field = uniform((agents, widest, token), bound, generator)
        self.query = uniform((agents, token, heads), 3**0.5, generator)  # unit variance
        exists = torch.arange(widest) < torch.tensor(tuple(in_features))[:, None]
        self.register_buffer("exists", exists[:, None, None], persistent=False)  # (N, 1, 1, F)

    def weights(self, x_NBF: Tensor) -> Tensor:
        """(N, B, heads, F) weights of the fields, which sum to one."""
        slope, offset = (
            (table @ self.query).transpose(1, 2)[:, None] * self.token**-0.5  # (N, 1, heads, F)
            for table in (self.value, self.field)
        )
        return masked_softmax(torch.addcmul(offset, x_NBF[:, :, None], slope), self.exists)

    def forward(self, x_NBF: Tensor) -> Tensor:
        """(N, B, heads · D) pooled tokens, head by head."""
        weights = self.weights(x_NBF)
        both = torch.cat((weights * x_NBF[:, :, None], weights), -1)  # (N, B, heads, 2F)
        pooled = both.flatten(1, 2) @ torch.cat((self.value, self.field), 1)
        if self.has_layer_norm:
            pooled = nn.functional.layer_norm(pooled, pooled.shape[-1:])
        return pooled.unflatten(1, both.shape[1:3]).flatten(2)
