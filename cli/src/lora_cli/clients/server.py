"""A runtime without a cluster, at its URL."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from lora_api.error_codes import ErrorCode
from lora_cli.clients import answers, broken
from lora_cli.clients.answers import Refused
from lora_cli.domain.objects import Json
from lora_cli.errors import Failed

KEY_HEADER = "X-Api-Key"

_CONNECT_SECONDS = 10.0
_TIMEOUT_SECONDS = 30.0
_CONNECTIONS = 16


class Server:
    """One server. Every call may raise Failed; an error status raises Refused. A Transport to its serving port."""

    def __init__(self, url: str, api_key: str | None, connect_seconds: float = _CONNECT_SECONDS) -> None:
        """Takes its URL, as clients have it, the key to show, and how long to wait for a connection.

        Raises:
            Failed: that is no URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Failed(ErrorCode.INVALID, f"{url!r} is no URL of a server; write --server http://127.0.0.1:8000")
        # As OpenAI's clients want it.
        self.url = url.rstrip("/").removesuffix("/v1")
        self._host = parts.hostname
        self._headers = {} if api_key is None else {KEY_HEADER: api_key}
        self._connect_seconds = connect_seconds
        self._pool = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        try:
            return self._host == "localhost" or ip_address(self._host).is_loopback
        except ValueError:
            return False

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """One question and its whole answer; nothing where that is empty."""
        try:
            return self._answer(method, path, query, body, headers)
        except broken.Dropped:
            if method != "GET":
                raise
        return self._answer(method, path, query, body, headers)

    def lines(self, method: str, path: str, *, body: object = None, patience_seconds: float) -> Iterator[str]:
        """See Transport."""
        with self._reaching():
            yield from answers.lines(self._send(method, path, None, body, None, patience_seconds))

    def _answer(
        self, method: str, path: str, query: Mapping[str, str | None] | None, body: object,
        headers: Mapping[str, str] | None,
    ) -> Json:  # fmt: skip
        with self._reaching():
            data = answers.read(self._send(method, path, query, body, headers, _TIMEOUT_SECONDS))
            answer: Json = json.loads(data) if data else {}
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        body: object,
        headers: Mapping[str, str] | None,
        read_seconds: float,
    ) -> Any:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        response = self._pool.request(
            method,
            self.url + quote(path) + (f"?{urlencode(asked)}" if asked else ""),
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._headers, **(headers or {})},
            timeout=urllib3.Timeout(connect=self._connect_seconds, read=read_seconds),
            preload_content=False,
            # Whoever gets the key is the server that was named.
            redirect=False,
        )
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._explained(answers.refused(response))
        return response

    def _explained(self, refused: Refused) -> Failed:
        if refused.code is ErrorCode.UNAUTHORIZED:
            message = f"{self.url} wants a key: {refused} Give it by --api-key or LORA_API_KEY"
            return Failed(ErrorCode.UNAUTHORIZED, message)
        if refused.elsewhere:
            message = f"{self.url} sends on to {refused.elsewhere}, which is not followed: name that as the server if you trust it"
            return Failed(ErrorCode.UNREACHABLE, message)
        if "error" not in refused.body:
            return Failed(
                ErrorCode.UNREACHABLE, f"{self.url} answers {refused.status} and is no lora-runtime: {refused}"
            )
        return refused

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong on the way, in words."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError, json.JSONDecodeError) as error:
            raise broken.unreachable(f"the server at {self.url}", error, f"curl {self.url}/ready") from error
