"""A BigQuery client, which of its errors pass by waiting, and what the others mean for people.

Statements and jobs are in `bigquery_jobs`. No credential is kept or written anywhere.
"""

import os
import re
from collections.abc import Callable
from typing import Any, Final

import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery

from marl.traces.sources import retrying
from marl.traces.sources.base import BudgetExceeded, Progress, SourceError
from marl.traces.sources.google_auth import anonymous, default_credentials, emulator_url
from marl.traces.sources.retrying import TRANSIENT_STATUS, redact

RETRY_FOR_S: Final = 180.0
CALL_TIMEOUT_S: Final = 120.0
_SCOPES: Final = ("https://www.googleapis.com/auth/bigquery",)
_LONGEST_TEXT: Final = 600
# Reasons that pass, and that fail again however long one waits, whatever status they come with:
# the service answers an exceeded limit with a 500.
_PASSING: Final = frozenset(
    {
        "backendError",
        "badGateway",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "serviceUnavailable",
        "tableUnavailable",
        "timeout",
    }
)
_STAYING: Final = frozenset(
    {
        "accessDenied",
        "billingNotEnabled",
        "billingTierLimitExceeded",
        "blocked",
        "bytesBilledLimitExceeded",
        "duplicate",
        "invalid",
        "invalidQuery",
        "notFound",
        "quotaExceeded",
        "resourcesExceeded",
        "responseTooLarge",
        "stopped",
    }
)
_ADVICE: Final = {
    "accessDenied": "ask for roles/bigquery.jobUser on the billing project and for reading the "
    "dataset (Google's public datasets are open to every account)",
    "billingNotEnabled": "enable billing for the project, or name another in TRACE_BILLING_PROJECT",
    "invalid": "check TRACE_PATH and TRACE_BILLING_PROJECT",
    "invalidQuery": "check that the tables have the columns of clusterdata-2019",
    "notFound": "check TRACE_PATH, e.g. google.com:google-cluster-data.clusterdata_2019_a",
    "quotaExceeded": "the project's quota is used up: wait until it is renewed (daily quotas at "
    "midnight Pacific time), raise it, or name another project in TRACE_BILLING_PROJECT",
    "resourcesExceeded": "narrow the slice: fewer tables or a smaller TRACE_SAMPLE",
    "responseTooLarge": "narrow the slice: fewer tables or a smaller TRACE_SAMPLE",
}


def connect(billing_project: str | None) -> bigquery.Client:
    """A client for the emulator BIGQUERY_EMULATOR_HOST names, or for Google's service.

    Raises:
        SourceError: no credentials, or no project that pays.
    """
    endpoint = emulator_url("BIGQUERY_EMULATOR_HOST")
    project = billing_project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if endpoint:
        return bigquery.Client(
            project=project or "local",
            credentials=anonymous(),
            client_options={"api_endpoint": endpoint},
        )
    found = default_credentials(_SCOPES)
    if found is None:
        raise SourceError(
            "BigQuery needs Google credentials and this machine has none: run gcloud auth "
            "application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
        )
    credentials, own_project = found
    if not (project or own_project):
        raise SourceError("no project to bill the query to: set TRACE_BILLING_PROJECT")
    return bigquery.Client(project=project or own_project, credentials=credentials)


def retry_policy(say: Progress) -> Retry:
    """The client library's retry, told which errors pass, bounded, and heard by the user."""

    def tell(error: Exception) -> None:
        say(f"BigQuery: {_text(error)}; trying again")

    return Retry(
        predicate=is_transient,
        initial=retrying.FIRST_WAIT_S,
        maximum=retrying.LONGEST_WAIT_S,
        multiplier=2.0,
        timeout=RETRY_FOR_S,
        on_error=tell,
    )


def reason_of(error: BaseException) -> str:
    """The API's reason, e.g. `quotaExceeded`; empty where it gave none."""
    details = getattr(error, "errors", None) or []
    first = details[0] if details and isinstance(details[0], dict) else {}
    return str(first.get("reason") or "")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    reason = reason_of(error)
    if reason in _STAYING:
        return False
    if reason in _PASSING:
        return True
    if isinstance(error, exceptions.GoogleAPICallError):
        return error.code in TRANSIENT_STATUS
    if isinstance(error, requests.exceptions.SSLError):
        return False
    return isinstance(
        error,
        ConnectionError
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ConnectionError
        | requests.exceptions.Timeout
        | TransportError,
    )


def is_passing(reason: str) -> bool:
    """Whether a job that failed for this reason may succeed when it is run again."""
    return reason in _PASSING


def explain(error: BaseException, what: str) -> SourceError:
    """An error for people: what failed, why, what to do. Never with a credential in it."""
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, SourceError):
        return error
    reason = reason_of(error)
    if not reason and isinstance(error, exceptions.NotFound):
        reason = "notFound"
    if not reason and isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
        reason = "accessDenied"
    if isinstance(error, GoogleAuthError):
        advice = "renew the credentials: gcloud auth application-default login"
    elif is_transient(error):
        advice = "the service or the network kept failing; run again, what arrived is kept"
    else:
        advice = _ADVICE.get(reason, "run again; if it stays, check TRACE_PATH")
    return SourceError(f"{what} failed: {_text(error)}. To do: {advice}")


def explain_job(reason: str, message: str, limit_bytes: int, what: str) -> SourceError:
    """The error of a job that failed."""
    text = redact(message)[:_LONGEST_TEXT]
    if reason == "bytesBilledLimitExceeded":
        needed = re.search(r"(\d+) or higher required", message)
        return BudgetExceeded(
            int(needed[1]) if needed else limit_bytes + 1,
            limit_bytes,
            what,
            f"BigQuery refused to run it, nothing was billed ({text})",
        )
    advice = _ADVICE.get(reason, "run again; if it stays, look at the job in the console")
    return SourceError(f"{what} failed: {reason}: {text}. To do: {advice}")


def call(function: Callable[[], Any], what: str) -> Any:
    """Call the API; errors come out as `SourceError`, except those a caller may expect.

    Raises:
        NotFound, Conflict, MethodNotImplemented: as they are.
    """
    try:
        return function()
    except (exceptions.NotFound, exceptions.Conflict, exceptions.MethodNotImplemented):
        raise
    except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
        raise explain(error, what) from error


def _text(error: BaseException) -> str:
    reason = reason_of(error)
    text = str(getattr(error, "message", "") or error).split("\n")[0] or type(error).__name__
    return redact(f"{reason}: {text}" if reason else text)[:_LONGEST_TEXT].rstrip(".")
