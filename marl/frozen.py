"""The base of every configuration and document type: immutable, and strict about its keys."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable; a misspelt key is an error, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
