"""What a network is made of: its kind and its sizes, each stated once for every learner.

How the kinds are built is in `marl.nets.network`; what a learner supports it says itself.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marl.frozen import Frozen

NetKind = Literal["mlp", "attention", "transformer", "gru"]
Width = Annotated[int, Field(ge=1, le=8192)]


class NetConfig(Frozen):
    """Kind and sizes of a team's networks. Every actor is running norm → encoder → MLP → tanh.

    Attributes:
        kind: what stands before the MLP. "mlp": nothing; "attention": every observation field is
            a token, and heads weigh them (`marl.nets.attention`); "transformer": the same for a
            variable-length list within the observation (`marl.nets.transformer`); "gru": a memory
            of what was seen before (`marl.nets.gru`).
        hidden: widths of the MLP's hidden layers, and of critics (Lowe et al. 2017: 64, 64).
        has_layer_norm: normalise hidden layers before their ReLU, and what heads have pooled (Ba
            et al. 2016, arXiv:1607.06450).
        token: width of a token (attention, transformer), or of an agent's encoding in an attention
            critic (Iqbal and Sha 2019, arXiv:1810.02912: 128; less for four agents).
        heads: attention heads (the same: 4). Those of a transformer and of an attention critic
            share a token's width, those of "attention" pool whole tokens.
        depth: blocks of a transformer, the last of which pools (Set Transformer's encoders: 2; Lee
            et al. 2019, arXiv:1810.00825, section 3).
        feed_forward: hidden width of a block's feed-forward layer over the token's (Vaswani et al.
            2017, arXiv:1706.03762: 4; less for short lists).
        memory: width of a GRU's memory (Yu et al. 2022, arXiv:2103.01955: 64).
    """

    kind: NetKind = "mlp"
    hidden: Annotated[tuple[Width, ...], Field(max_length=16)] = (64, 64)
    has_layer_norm: bool = True
    token: int = Field(default=32, ge=1, le=1024)
    heads: int = Field(default=4, ge=1, le=64)
    depth: int = Field(default=2, ge=1, le=16)
    feed_forward: int = Field(default=2, ge=1, le=8)
    memory: Width = 64

    @model_validator(mode="after")
    def _heads_divide_the_token(self) -> Self:
        if self.kind == "transformer":
            self.refuse_uneven_heads()
        return self

    def refuse_uneven_heads(self) -> None:
        """Heads that share a token's width need equal parts of it.

        Raises:
            ValueError: they have not.
        """
        if self.token % self.heads:
            raise ValueError(f"token {self.token} is not a multiple of heads {self.heads}")

    def refuse_memory(self, learner: str, why: str) -> None:
        """For learners that cannot carry a memory.

        Raises:
            ValueError: the kind has one.
        """
        if self.kind == "gru":
            raise ValueError(
                f"{learner} takes net.kind 'mlp', 'attention' or 'transformer', not 'gru': {why}. "
                "'apg' and 'shac' carry a memory"
            )
