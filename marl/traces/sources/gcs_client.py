"""A bucket seen through gcsfs: list objects, stream one from an offset, name what went wrong.

Imported only where a bucket is read (gcsfs is heavy). Part files, checksums and budgets belong to
`resumable`, the choice of objects to `gcs`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import requests
from fsspec.asyn import sync
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError
from google.auth.exceptions import GoogleAuthError, TransportError
from yarl import URL

from marl.traces.sources.base import SourceError
from marl.traces.sources.google_auth import default_credentials, emulator_url
from marl.traces.sources.retrying import TRANSIENT_STATUS, redact

_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_only"
_BLOCK_BYTES: Final = 256 << 10
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_MOST_OBJECTS: Final = 200_000


@dataclass(frozen=True)
class RemoteObject:
    """One version of an object, as the bucket's listing describes it.

    Attributes:
        bucket, name: where it is.
        size: stored bytes.
        generation: number of the version; None where the server keeps none.
        crc32c, md5: base64 of the big-endian checksum; None where not offered.
        etag: the server's tag of the content, or the time of its last change.
        is_stored_gzip: whether it is marked `Content-Encoding: gzip`, so that servers would unpack
            it on the way unless told otherwise.
    """

    bucket: str
    name: str
    size: int
    generation: str | None
    crc32c: str | None
    md5: str | None
    etag: str | None
    is_stored_gzip: bool

    @property
    def version(self) -> str:
        """What identifies the content: equal versions are the same bytes."""
        return "|".join(
            str(part) for part in (self.generation, self.size, self.crc32c, self.md5 or self.etag)
        )

    @property
    def url(self) -> str:
        """For people: `gs://bucket/name#generation`."""
        tail = f"#{self.generation}" if self.generation else ""
        return f"gs://{self.bucket}/{self.name}{tail}"


class StatusError(Exception):
    """The server answered a download with an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status."""
        super().__init__(f"HTTP {status} {message}".strip())
        self.status = status


class ObjectChanged(Exception):  # noqa: N818 - an event, not a fault
    """The version asked for is no longer what the server holds."""


class RangeIgnored(Exception):  # noqa: N818 - an event, not a fault
    """The server sent other bytes than the range asked for."""


Sink = Callable[[bytes], None]


class BucketClient(GCSFileSystem):
    """gcsfs with its own retries taken out (ours are the only ones) and streaming by offset."""

    _request = GCSFileSystem._request.__wrapped__  # noqa: SLF001, RUF100 - gcsfs's undecorated call

    def list_page(self, bucket: str, prefix: str, token: str | None) -> dict[str, Any]:
        """One page of the objects whose names start with `prefix`, as the JSON API gives it."""
        page = sync(
            self.loop, self._call_list_objects, bucket, prefix=prefix or None, pageToken=token
        )
        if not isinstance(page, dict):
            raise StatusError(500, "the listing is not a JSON object")
        return page

    def stream(self, item: RemoteObject, start: int, end: int | None, sink: Sink) -> None:
        """Hand the bytes [start, end) of this version to `sink` as they arrive.

        Raises:
            ObjectChanged: the server holds another version, or none of this one.
            RangeIgnored: the server does not honour ranges.
            StatusError: it answered with an HTTP error.
            aiohttp.ClientError: the connection broke; what came before is in the sink.
        """
        sync(self.loop, self._stream, item, start, end, sink)

    async def _stream(self, item: RemoteObject, start: int, end: int | None, sink: Sink) -> None:
        await self._set_session()
        wanted = {"Accept-Encoding": "gzip" if item.is_stored_gzip else "identity"}
        if start or end is not None:
            wanted["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        url = self.url(f"{item.bucket}/{item.name}", generation=item.generation)
        async with self.session.get(
            URL(url, encoded=True),
            headers=self._get_headers(wanted),
            timeout=_TIMEOUT,
            auto_decompress=False,  # the stored bytes are what the checksums are of
        ) as response:
            _refuse(response, await _message(response), item, start)
            left = None if end is None else end - start
            while block := await response.content.read(_BLOCK_BYTES):
                if left is not None:
                    block = block[:left]
                    left -= len(block)
                sink(block)
                if left == 0:
                    break


async def _message(response: aiohttp.ClientResponse) -> str:
    if response.status < 400:
        return ""
    return (await response.content.read(2000)).decode(errors="replace")


def _refuse(response: aiohttp.ClientResponse, message: str, item: RemoteObject, start: int) -> None:
    """Raise unless the body is the bytes of this version from `start` on."""
    status = response.status
    if status in {404, 412}:
        raise ObjectChanged(f"{item.url} is no longer there")
    if status == 416:
        raise RangeIgnored(f"the server holds fewer than {start:,} bytes")
    if status >= 400:
        raise StatusError(status, message)
    served = response.headers.get("x-goog-generation")
    if served and item.generation and served != item.generation:
        raise ObjectChanged(f"{item.url}: the server sent generation {served}")
    if start and not _starts_at(response, start):
        raise RangeIgnored("the server sent the whole object instead of its rest")


def _starts_at(response: aiohttp.ClientResponse, start: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(
        f"bytes {start}-"
    )


def connect() -> BucketClient:
    """A client for the emulator STORAGE_EMULATOR_HOST names, or for Google's service.

    Without credentials on the machine it is anonymous, which public buckets allow.
    """
    endpoint = emulator_url("STORAGE_EMULATOR_HOST")
    found = None if endpoint else default_credentials((_SCOPE,))
    return BucketClient(
        token=found[0] if found else "anon",
        access="read_only",
        endpoint_url=endpoint,
        requests_timeout=_TIMEOUT,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def list_objects(
    call: Callable[[Callable[[], dict[str, Any]], str], dict[str, Any]],
    client: BucketClient,
    bucket: str,
    prefix: str,
) -> list[RemoteObject]:
    """All objects whose names start with `prefix`, in order of name.

    Args:
        call: makes a call with retries; gets the call and what it is, for people.
        client: a client.
        bucket: the bucket.
        prefix: start of the names, possibly empty.

    Raises:
        SourceError: more objects than a trace can have.
    """
    found: list[RemoteObject] = []
    token: str | None = None
    while True:
        page = call(
            lambda token=token: client.list_page(bucket, prefix, token),  # type: ignore[misc]
            f"listing gs://{bucket}/{prefix}",
        )
        found.extend(_describe(bucket, item) for item in page.get("items") or [])
        if len(found) > _MOST_OBJECTS:
            raise SourceError(
                f"gs://{bucket}/{prefix} holds more than {_MOST_OBJECTS:,} objects; "
                "point TRACE_PATH at the trace's own folder"
            )
        token = page.get("nextPageToken")
        if not token:
            return sorted(found, key=lambda item: item.name)


def _describe(bucket: str, item: dict[str, Any]) -> RemoteObject:
    return RemoteObject(
        bucket=bucket,
        name=str(item["name"]),
        size=int(item.get("size") or 0),
        generation=str(item["generation"]) if item.get("generation") else None,
        crc32c=item.get("crc32c"),
        md5=item.get("md5Hash"),
        etag=item.get("etag") or item.get("updated"),
        is_stored_gzip=item.get("contentEncoding") == "gzip",
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    status = _status(error)
    if status is not None:
        return status in TRANSIENT_STATUS
    if isinstance(error, aiohttp.InvalidURL):
        return False
    return isinstance(
        error,
        aiohttp.ClientError
        | asyncio.TimeoutError
        | ConnectionError
        | requests.ConnectionError
        | requests.Timeout
        | TransportError,
    )


def explain(error: BaseException, what: str) -> SourceError:
    """An error for people: what failed, why, what to do. Never with a credential in it."""
    status = _status(error)
    reason = redact(str(error)) or type(error).__name__
    if isinstance(error, GoogleAuthError):
        advice = "renew the credentials: gcloud auth application-default login"
    elif status in {401, 403}:
        advice = (
            "the bucket is not public for these credentials: log in with gcloud auth "
            "application-default login as someone who may read it"
        )
    elif status == 404:
        advice = "check the name of the bucket and the prefix in TRACE_PATH"
    elif is_transient(error):
        advice = "the service or the network kept failing; run again, what arrived is kept"
    else:
        advice = "run again; if it stays, check TRACE_PATH"
    return SourceError(f"{what} failed: {reason}. To do: {advice}")


def _status(error: BaseException) -> int | None:
    if isinstance(error, StatusError):
        return error.status
    if isinstance(error, HttpError):
        return int(error.code) if str(error.code or "").isdigit() else None
    if isinstance(error, FileNotFoundError):
        return 404
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):
        return 403
    return None
