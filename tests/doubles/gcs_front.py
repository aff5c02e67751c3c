"""gcp-storage-emulator behind a front that adds what it lacks and breaks what it is told to.

The emulator keeps objects, serves ranges and computes checksums. The front adds pages of listings,
generations (a version asked for that is gone answers 404, as the real service does) and faults; it
counts every byte it sends. Point STORAGE_EMULATOR_HOST at `url`.
"""

import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

from gcp_storage_emulator.server import create_server

from tests.doubles.faults import Fault, Faults


class GcsFront:
    """Both servers. Use as a context manager.

    Attributes:
        faults: what goes wrong, and the log of requests.
        page_size: most items of a listing's page.
        extra_items: appended to every listing: names no emulator would keep.
        hide: keys left out of listed objects, e.g. {"crc32c", "md5Hash"}.
        replace: name → keys that listed objects of this name carry instead.
        has_ranges: False: ranges are ignored, as by servers that do not know them.
        has_generations: False: no version is told, and the newest is served whatever is asked.
    """

    def __init__(self, *buckets: str) -> None:
        self.faults = Faults()
        self.page_size = 1000
        self.extra_items: list[dict] = []
        self.hide: set[str] = set()
        self.replace: dict[str, dict] = {}
        self.has_ranges = True
        self.has_generations = True
        self._buckets = buckets
        self._emulator = create_server("127.0.0.1", 0, in_memory=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "GcsFront":
        self._emulator.start()
        self._port = self._emulator._api._httpd.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        for bucket in self._buckets:
            self.upstream("POST", "/storage/v1/b?project=p", json.dumps({"name": bucket}).encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        # It takes half a second to notice; nobody needs to wait for it.
        threading.Thread(target=self._emulator.stop, daemon=True).start()

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Upload an object: a new generation where it exists."""
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
        status, _, _ = self.upstream("POST", path, data)
        assert status == 200, (status, name)

    def delete(self, bucket: str, name: str) -> None:
        self.upstream("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def upstream(
        self, method: str, path: str, body: bytes | None = None, headers: dict | None = None
    ) -> tuple[int, dict, bytes]:
        """One request to the emulator itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            kind = {"Content-Type": "application/json" if "project=" in path else "text/plain"}
            connection.request(method, path, body, (headers or {}) | (kind if body else {}))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    @property
    def media_bytes(self) -> int:
        """Bytes of objects sent so far."""
        return sum(entry.sent_bytes for entry in self.faults.served("^GET /download/"))

    def media(self, name: str) -> list:
        """Requests for the bytes of one object."""
        return self.faults.served(f"^GET /download/.*/o/{quote(name, safe='')}[?]")

    def answer(self, path: str, headers: dict) -> tuple[int, dict, bytes]:
        """What the real service would answer."""
        url = urlsplit(path)
        query = parse_qs(url.query)
        if url.path.startswith("/download/"):
            return self._media(path, query, headers)
        status, found, data = self.upstream("GET", path)
        if url.path.endswith("/o") and status == 200:
            data = self._page(json.loads(data), query)
        if status == 404:
            error = {"code": 404, "message": "The specified bucket does not exist."}
            data = json.dumps({"error": error}).encode()
        return status, {"Content-Type": found.get("Content-type", "application/json")}, data

    def _page(self, listing: dict, query: dict) -> bytes:
        items = sorted(listing.get("items") or [], key=lambda item: item["name"])
        items += [
            item for item in self.extra_items if item["name"] not in {i["name"] for i in items}
        ]
        items = [item | self.replace.get(item["name"], {}) for item in items]
        hide = self.hide | (set() if self.has_generations else {"generation"})
        items = [{k: v for k, v in item.items() if k not in hide} for item in items]
        start = int(query.get("pageToken", ["0"])[0])
        page = {"kind": "storage#objects", "items": items[start : start + self.page_size]}
        if start + self.page_size < len(items):
            page["nextPageToken"] = str(start + self.page_size)
        return json.dumps(page).encode()

    def _media(self, path: str, query: dict, headers: dict) -> tuple[int, dict, bytes]:
        about = urlsplit(path).path.removeprefix("/download")
        status, _, data = self.upstream("GET", about)
        wanted = query.get("generation", [None])[0] if self.has_generations else None
        if status != 200 or (wanted and json.loads(data)["generation"] != wanted):
            return 404, {}, b"No such object"
        generation = json.loads(data)["generation"]
        size = int(json.loads(data)["size"])
        span = headers.get("Range") if self.has_ranges else None
        if span and int(span.removeprefix("bytes=").split("-")[0]) >= size:
            return 416, {}, b"range not satisfiable"
        status, found, data = self.upstream("GET", path, headers={"Range": span} if span else {})
        kept = {key: found[key] for key in ("Content-Range",) if key in found}
        if self.has_generations:
            kept["x-goog-generation"] = generation
        return status, kept, data


def _handler(front: GcsFront) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"front": front})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 17  # headers and body in one write: no waiting for delayed acknowledgements
    front: GcsFront

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        with self.front.faults.serving():
            self._serve()

    def _serve(self) -> None:
        line = f"GET {self.path}"
        fault = self.front.faults.take(line)
        kind = fault.kind if fault else ""
        if fault and fault.before:
            fault.before()
        if kind == "drop":
            self.front.faults.note(line, 0, 0)
            self.close_connection = True
            return
        if fault and kind == "status":
            error = {"error": {"code": fault.status, "message": fault.reason}}
            status, headers, data = fault.status, {}, json.dumps(error).encode()
        else:
            status, headers, data = self.front.answer(self.path, dict(self.headers))
        if fault and kind in {"flip", "short"}:
            data = data[: fault.after_bytes] if kind == "short" else _flipped(data)
        self._send(line, status, headers, data, fault)

    def _send(
        self, line: str, status: int, headers: dict, data: bytes, fault: Fault | None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault and fault.kind == "cut":
            data = data[: fault.after_bytes]
            self.close_connection = True
        sent = 0
        try:
            for at in range(0, len(data), 1 << 16):
                self.wfile.write(data[at : at + (1 << 16)])
                sent = min(len(data), at + (1 << 16))
                if fault and fault.kind == "slow":
                    self.wfile.flush()
                    time.sleep(fault.seconds)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client went away
        finally:
            self.front.faults.note(line, status, sent)


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 0xFF]) + data[1:] if data else data
