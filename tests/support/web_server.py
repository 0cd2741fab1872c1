"""A web server of files on this machine, with versions, ranges and logins, and with the ways in which such servers fail."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

_STEP_BYTES = 64 << 10


class Asked(NamedTuple):
    """One request."""

    path: str
    range: str | None
    authorization: str | None
    if_match: str | None


@dataclass
class WebServer:
    """The running server; change its fields at any time."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    """By path, which begins with '/'."""
    token: str | None = None
    """Needed for everything."""
    login: tuple[str, str] | None = None
    """Needed for everything."""
    challenge: str = "Bearer"
    """What is said to those who lack it."""
    redirects: dict[str, str] = field(default_factory=dict)
    """From a path to a URL."""
    fail_with: int | None = None
    has_etags: bool = True
    has_ranges: bool = True
    minds_if_match: bool = True
    tells_length: bool = True
    content_type: str | None = None
    packs: bool = False
    """Says that everything is gzip."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """The next whole download of this path ends after so many bytes, and the connection with it."""
    stall: threading.Event | None = None
    """Set by the test: after the first bytes of a body nothing comes until then."""
    asked: list[Asked] = field(default_factory=list)
    left_early: threading.Event = field(default_factory=threading.Event)
    """A client went away before it had all."""

    def put(self, folder: Path, path: str = "/pirate") -> str:
        """Serves the files of a folder; returns its URL."""
        self.files |= {f"{path}/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
        return f"{self.url}{path}"

    def downloads(self, name: str) -> list[str | None]:
        """The range of each download of a file, without those that only looked."""
        return [one.range for one in self.asked if one.path.endswith(f"/{name}") and one.range != "bytes=0-0"]


@contextmanager
def running_web_server(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server on a free port of an address of this machine; with TLS if a certificate is given."""
    server = ThreadingHTTPServer((host, 0), _Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that leave are no news
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web = WebServer(f"{'http' if tls is None else 'https'}://{host}:{server.server_port}")
    server.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        if web.stall is not None:
            web.stall.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the test's output quiet."""

    def do_GET(self) -> None:
        web: WebServer = self.server.web  # type: ignore[attr-defined]
        path = self.path.split("?")[0]
        web.asked.append(Asked(path, self.headers["Range"], self.headers["Authorization"], self.headers["If-Match"]))
        if web.fail_with is not None:
            return self._refuse(web.fail_with)
        if path in web.redirects:
            return self._refuse(302, {"Location": web.redirects[path]})
        if not self._may(web):
            return self._refuse(401, {"WWW-Authenticate": web.challenge})
        if path not in web.files:
            return self._refuse(404)
        return self._file(web, path, web.files[path])

    def _may(self, web: WebServer) -> bool:
        sent = self.headers["Authorization"]
        if web.token is not None:
            return bool(sent == f"Bearer {web.token}")
        if web.login is not None:
            return bool(sent == f"Basic {base64.b64encode(':'.join(web.login).encode()).decode()}")
        return True

    def _file(self, web: WebServer, path: str, data: bytes) -> None:
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if web.has_etags and web.minds_if_match and self.headers["If-Match"] not in (None, etag):
            return self._refuse(412)
        start, end, status = 0, len(data), 200
        if web.has_ranges and (sent := self.headers["Range"]):
            first, _, last = sent.removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(int(last) + 1 if last else len(data), len(data)), 206
            if start >= len(data):
                return self._refuse(416, {"Content-Range": f"bytes */{len(data)}"})
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if web.has_etags:
            self.send_header("ETag", etag)
        if web.content_type is not None:
            self.send_header("Content-Type", web.content_type)
        if web.packs:
            self.send_header("Content-Encoding", "gzip")
        if web.tells_length:
            self.send_header("Content-Length", str(end - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        cut = None if end - start == 1 else web.cut_after.pop(path, None)
        self._body(web, data[start:end], cut)

    def _body(self, web: WebServer, body: bytes, cut: int | None) -> None:
        if cut is not None:
            self.close_connection = True
            body = body[:cut]
        try:
            for begin in range(0, len(body), _STEP_BYTES):
                self.wfile.write(body[begin : begin + _STEP_BYTES])
                if web.stall is not None and len(body) > 1 and begin >= len(body) // 2:
                    self._wait(web.stall, web)
        except OSError:
            web.left_early.set()

    def _wait(self, stall: threading.Event, web: WebServer) -> None:
        self.connection.settimeout(0.05)
        while not stall.is_set():
            try:
                if not self.connection.recv(1):
                    web.left_early.set()
                    return
            except TimeoutError:
                continue

    def _refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        body = b'<html>no such thing; {"code": "internal_secret"}</html>'
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
