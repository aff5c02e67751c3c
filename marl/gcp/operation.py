"""What every operation on Google Cloud has: a method, its arguments, a JSON body, a way back.

One operation is one call of an API method that changes one resource from what it `was` to what it
should become. The kinds are in `compute_operations` and `data_operations`; which of them an action
calls for is `operations`' and `policies`' business. Nothing here calls Google: fingerprints, which
some methods want, are read by the caller right before the call.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field

from marl.frozen import Frozen

PREFIX: Final = "stratoform"
Verb = Literal["create", "resize", "update", "buy", "delete"]
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
Share = Annotated[float, Field(ge=0, le=1)]
WindowSeconds = Annotated[int, Field(ge=0, le=3600)]  # Google: timeWindowSec up to an hour


class Operation(Frozen):
    """One call of one API method.

    Attributes:
        verb: what it does, in a word.
        api_method: as in Google's discovery documents: API, resources, method.
        terraform_resource: what a Terraform module would change instead.
        kind: tells operations apart in JSON.
    """

    verb: ClassVar[Verb] = "update"
    api_method: ClassVar[str]
    terraform_resource: ClassVar[str]

    kind: str

    def parameters(self, project: str) -> dict[str, str | int]:
        """Path and query parameters of the method."""
        raise NotImplementedError

    def body(self) -> dict[str, Any] | None:
        """JSON body of the request; None where the method takes none."""
        raise NotImplementedError

    def reverse(self) -> "Operation | None":
        """The operation that undoes this one; None where Google offers no way back."""
        return None

    def describe(self) -> str:
        """One readable line."""
        raise NotImplementedError


class Change(Operation):
    """An operation that replaces `was` by `to`, and is undone by the opposite."""

    to: Any
    was: Any

    def reverse(self) -> Self:
        """The same change the other way round."""
        return self.model_copy(update={"to": self.was, "was": self.to})


class Policy(Frozen):
    """Values that agents set, in the whole numbers in which Google keeps them."""

    def described(self, was: "Policy") -> str:
        """`name was → is` for what differs."""
        before, after = was.model_dump(), self.model_dump()
        changes = [f"{k} {before[k]} → {after[k]}" for k in after if after[k] != before[k]]
        return ", ".join(changes) or "no change"


class LabelPolicy(Policy):
    """A policy for which Google has no field: kept as labels of the resource that it governs.

    Shares are counted in basis points (1/10,000), since labels are text without a decimal point.
    """

    def labels(self) -> dict[str, str]:
        """Label to value: lower case letters, digits and dashes, as Google asks."""
        values: Mapping[str, int] = self.model_dump()
        return {f"{PREFIX}-{name.replace('_', '-')}": str(int(v)) for name, v in values.items()}
