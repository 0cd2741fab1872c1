"""A small Hugging Face Hub on this machine: the routes that the real client uses to find and download files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_LARGE_BYTES = 4096
"""Larger files are LFS files, whose SHA-256 the hub knows."""

_API_PATH = re.compile(r"(.+?)(?:/(revision|tree)/(.+))?")


@dataclass
class Repo:
    """A repository: commits, each a set of files, and branches that name them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    """Needed to see the repository."""
    gated: bool = False
    """The token is known, but its owner has not accepted the terms."""

    def commit(self, folder: Path, branch: str = "main", subfolder: str = "") -> str:
        """Commits the files of a folder; returns the commit."""
        prefix = f"{subfolder}/" if subfolder else ""
        files = {f"{prefix}{p.name}": p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
        name = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.commits[name] = files
        self.branches[branch] = name
        return name

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision names, and its files."""
        name = self.branches.get(revision, revision)
        return (name, self.commits[name]) if name in self.commits else None


@dataclass
class Hub:
    """The running hub; change its fields at any time."""

    endpoint: str
    repos: dict[str, Repo] = field(default_factory=dict)
    fail_with: int | None = None
    """Status of every answer, such as 503."""
    is_a_login_page: bool = False
    """Everything is answered with HTML, as a captive proxy does."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """The next download of a file by this name ends after so many bytes, and the connection with it."""
    dies_after_cut: bool = False
    """A cut download is followed by 503 for everything."""
    stall_after: dict[str, int] = field(default_factory=dict)
    """The next download of a file by this name pauses after so many bytes, until `go_on` is set."""
    go_on: threading.Event = field(default_factory=threading.Event)
    cdn: Hub | None = None
    """Where large files are, as behind the real one: downloads of them are sent there."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """Of such a place: files by the SHA-256 of their bytes."""
    tokens: list[str | None] = field(default_factory=list)
    """The Authorization header of each request."""
    tamper: bytes = b""
    """Sent in place of as many first bytes of each file."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of each request."""

    def repo(self, name: str) -> Repo:
        """A repository, made when it is new."""
        return self.repos.setdefault(name, Repo())

    def downloads(self) -> list[tuple[str, str | None]]:
        """File name and Range of each download."""
        return [
            (path.rsplit("/", 1)[-1], sent)
            for method, path, sent in self.requests
            if method == "GET" and "/resolve/" in path
        ]


@contextmanager
def running_hub(host: str = "127.0.0.1") -> Iterator[Hub]:
    """A hub on a free port of an address of this machine."""
    server = ThreadingHTTPServer((host, 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://{host}:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps the test's output quiet."""

    def _answer(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        path = unquote(self.path.split("?")[0]).strip("/")
        hub.requests.append((self.command, path, self.headers["Range"]))
        hub.tokens.append(self.headers["Authorization"])
        if hub.fail_with is not None:
            return self._error(hub.fail_with)
        if hub.is_a_login_page:
            return self._send(200, b"<html>Log in</html>", {"Content-Type": "text/html"})
        if path.startswith("blobs/"):
            digest, name = path.removeprefix("blobs/").split("/")
            return self._file(hub, "", name, hub.blobs[digest])
        if path.startswith("api/models/"):
            name, kind, revision = _API_PATH.fullmatch(path.removeprefix("api/models/")).groups()  # type: ignore[union-attr]
            return self._in_repo(hub, name, revision or "main", None, kind == "tree")
        name, _, rest = path.partition("/resolve/")
        # a branch may hold slashes, but a pinned download names a commit
        revision, _, file = rest.partition("/")
        return self._in_repo(hub, name, revision, file)

    def _in_repo(self, hub: Hub, name: str, revision: str, file: str | None, tree: bool = False) -> None:
        repo = hub.repos.get(name)
        sent = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if repo is None or (repo.token is not None and sent != repo.token):
            # as the real one: without a valid token it does not tell what exists
            return self._error(404 if repo is None and sent else 401, "RepoNotFound")
        if repo.gated:
            return self._error(403, "GatedRepo")
        found = repo.files(revision)
        if found is None:
            return self._error(404, "RevisionNotFound")
        commit, files = found
        if tree:
            return self._json([_tree_entry(name, data) for name, data in files.items()])
        if file is None:
            return self._info(name, commit, files)
        if file not in files:
            return self._error(404, "EntryNotFound")
        data = files[file]
        if hub.cdn is not None and _lfs(data):
            hub.cdn.blobs[_etag(data)] = data
            where = f"{hub.cdn.endpoint}/blobs/{_etag(data)}/{file.rsplit('/', 1)[-1]}"
            return self._send(302, b"", {"Location": where, "X-Repo-Commit": commit})
        return self._file(hub, commit, file, data)

    def _info(self, name: str, commit: str, files: dict[str, bytes]) -> None:
        siblings = [
            {"rfilename": file, "size": len(data), "blobId": _git_hash(data), **_lfs(data)}
            for file, data in files.items()
        ]
        info = {
            "_id": "1", "id": name, "modelId": name, "sha": commit, "private": False, "tags": [],
            "downloads": 0, "likes": 0, "siblings": siblings,
        }  # fmt: skip
        self._json(info)

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _file(self, hub: Hub, commit: str, name: str, data: bytes) -> None:
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        whole, status, start = len(data), 200, 0
        if sent := self.headers["Range"]:
            start, status = int(sent.removeprefix("bytes=").split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        body = (hub.tamper + data[len(hub.tamper) :])[start:]
        cut = hub.cut_after.pop(name, None) if self.command == "GET" else None
        stall = hub.stall_after.pop(name, None) if self.command == "GET" else None
        self._send(status, body, headers, cut, stall)

    def _error(self, status: int, code: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._send(status, b"{}", headers)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None, stall: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut is not None:
            self.close_connection = True
            hub: Hub = self.server.hub  # type: ignore[attr-defined]
            hub.fail_with = 503 if hub.dies_after_cut else hub.fail_with
        if stall is not None:
            stalling: Hub = self.server.hub  # type: ignore[attr-defined]
            self.wfile.write(body[:stall])
            self.wfile.flush()
            stalling.go_on.wait(timeout=60)
            body = body[stall:]
        with contextlib.suppress(ConnectionError):  # whoever asked has left
            self.wfile.write(body if cut is None else body[:cut])


def _etag(data: bytes) -> str:
    if len(data) > _LARGE_BYTES:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _lfs(data: bytes) -> dict[str, Any]:
    if len(data) <= _LARGE_BYTES:
        return {}
    return {"lfs": {"sha256": _etag(data), "size": len(data), "pointerSize": 134}}


def _tree_entry(path: str, data: bytes) -> dict[str, Any]:
    lfs = {"lfs": {"oid": _etag(data), "size": len(data), "pointerSize": 134}} if _lfs(data) else {}
    return {"type": "file", "path": path, "size": len(data), "oid": _etag(data), **lfs}
