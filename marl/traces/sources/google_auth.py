"""Whose credentials a Google client uses: none for emulators, the machine's own otherwise.

Nothing here is ever written down: a credential lives in memory only.
"""

import os
from typing import TYPE_CHECKING

from marl.traces.sources.base import SourceError
from marl.traces.sources.retrying import redact

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_NO_EMULATOR = frozenset({"", "default"})


def emulator_url(variable: str) -> str | None:
    """The emulator named by STORAGE_EMULATOR_HOST or BIGQUERY_EMULATOR_HOST, as a URL.

    Returns:
        The URL without a slash at its end; a missing scheme becomes http. None where not set.
    """
    host = os.environ.get(variable, "").strip()
    if host in _NO_EMULATOR:
        return None
    if not host.startswith(("http://", "https://")):
        host = f"http://{host}"
    return host.rstrip("/")


def default_credentials(scopes: tuple[str, ...]) -> "tuple[Credentials, str | None] | None":
    """The machine's application default credentials and their project; None where it has none.

    Raises:
        SourceError: there are some, but they cannot be used.
    """
    import google.auth
    from google.auth import exceptions

    try:
        credentials, project = google.auth.default(scopes=list(scopes))
    except exceptions.DefaultCredentialsError as error:
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise SourceError(
                "GOOGLE_APPLICATION_CREDENTIALS names credentials that cannot be used: "
                f"{redact(str(error))}. Correct the file, or unset the variable."
            ) from None
        return None
    return credentials, project


def anonymous() -> "Credentials":
    """Credentials for services that ask for none."""
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()
