"""What Terraform starts as its plugin: `python -m tests.doubles.terraform_provider SCHEMAS`."""

import json
import sys
from pathlib import Path
from typing import Any

import tf.provider
from tf.runner import run_provider

from tests.doubles.terraform_provider.servicer import GoogleProvider


class Named:
    """All that the runner asks of a provider besides its servicer."""

    def full_name(self) -> str:
        """The address that `--dev` prints for TF_REATTACH_PROVIDERS."""
        return "registry.terraform.io/hashicorp/google"


def main(schemas: Path) -> None:
    """Serve on `tf`'s runner: handshake, certificate, shutdown; with our servicer in its place."""
    loaded = json.loads(schemas.read_text())
    tf.provider.ProviderServicer = lambda _provider: GoogleProvider(loaded)  # type: ignore[misc]
    provider: Any = Named()
    run_provider(provider, sys.argv[2:] or ["provider"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
