"""The admin API of the runtime in a pod, over mutual TLS."""

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from pydantic import ValidationError

from lora_api import runtime_api
from lora_api.runtime_api import Desired, DesiredPatch, Inventory, ResolveRequest, ResolveResponse
from lora_api.wire import WireModel
from lora_operator.clients.stale_sockets import failing_as_connections_do
from lora_operator.domain.observed import Unreachable

Answer = TypeVar("Answer", bound=WireModel)

_CONNECT_SECONDS = 3.0
_READS = frozenset({"GET", "POST"})
"""POST only asks: what a pod fetches for an answer, it may collect again."""
_ANSWER_SECONDS = 10.0
"""How long a pod may think beyond the wait that it was granted."""
_NOT_PATCHED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.PRECONDITION_FAILED})
"""The pod works on another document, or its runtime is of a version that takes whole documents only."""


_IDLE_SECONDS = 60.0
"""Idle connections are given up before the pod closes them, perhaps just when one is to be used again."""


class _TooLong(Exception):
    """An answer that is longer than any message."""


@dataclass(frozen=True, slots=True)
class _Answered:
    asked: str
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class PodAddress:
    """Where a pod's admin port is."""

    name: str
    ip: str
    host: str
    """The name that the pod's certificate must carry."""
    port: int


class RuntimeAdmin:
    """Talks to the runtimes of all pods. No call raises for a pod that is away: that is the value Unreachable."""

    def __init__(self, context: ssl.SSLContext, may_write: Callable[[], float] = lambda: math.inf) -> None:
        """Takes how long it may take to tell a pod something; see `Kube.writing_while`."""
        self._context = context
        self._may_write = may_write
        self._sessions: dict[PodAddress, aiohttp.ClientSession] = {}
        """One for each pod: a session does not tell apart connections to one IP address by the name in the certificate."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()

    async def forget(self, pod: PodAddress) -> None:
        """Nobody will talk to the pod any more."""
        session = self._sessions.pop(pod, None)
        if session is not None:
            await session.close()

    def _session(self, pod: PodAddress) -> aiohttp.ClientSession:
        session = self._sessions.get(pod)
        if session is None:
            # One long poll stays open; the rest is short.
            session = self._sessions[pod] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context, limit=0, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # As it is on the wire: what says that it is compressed could unfold into anything.
                auto_decompress=False,
                trust_env=False,  # pods are never behind a proxy
            )
        return session

    async def put_desired(
        self, pod: PodAddress, document: Desired, since: str | None = None
    ) -> Inventory | Unreachable:
        """Gives the pod its document; answers what the pod has now, or what of it has changed after `since`."""
        return await self._ask(Inventory, "PUT", pod, runtime_api.DESIRED_PATH, document, query=_since(since))

    async def patch_desired(
        self, pod: PodAddress, etag: str, patch: DesiredPatch, since: str | None = None
    ) -> Inventory | Unreachable | None:
        """Gives the pod what changes in its document of this etag; None when it must be given all of the document."""
        asked = "PATCH", pod, runtime_api.DESIRED_PATH, patch
        response = await self._request(*asked, query=_since(since), headers={"If-Match": f'"{etag}"'})
        if isinstance(response, _Answered) and response.status in _NOT_PATCHED:
            return None
        return _read(Inventory, response)

    async def inventory(self, pod: PodAddress, after: str | None, wait_seconds: float) -> Inventory | Unreachable:
        """What has changed in the pod: at once, or as soon as it is no longer `after`, or when the wait is over."""
        query = {"wait": str(wait_seconds)} | ({"after": after} if after is not None else {}) | _since(after)
        return await self._ask(
            Inventory, "GET", pod, runtime_api.INVENTORY_PATH, query=query, wait_seconds=wait_seconds
        )

    async def resolve(
        self, pod: PodAddress, request: ResolveRequest, wait_seconds: float
    ) -> ResolveResponse | Unreachable:
        """Has the pod find, pin and check a source; the answer may be that it is still fetching."""
        query = {"wait": str(wait_seconds)}
        return await self._ask(
            ResolveResponse, "POST", pod, runtime_api.RESOLVE_PATH, request, query=query, wait_seconds=wait_seconds
        )

    async def _ask(
        self,
        answer: type[Answer],
        method: str,
        pod: PodAddress,
        path: str,
        body: WireModel | None = None,
        *,
        query: Mapping[str, str] | None = None,
        wait_seconds: float = 0,
    ) -> Answer | Unreachable:
        return _read(answer, await self._request(method, pod, path, body, query=query, wait_seconds=wait_seconds))

    async def _request(
        self,
        method: str,
        pod: PodAddress,
        path: str,
        body: WireModel | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        wait_seconds: float = 0,
    ) -> _Answered | Unreachable:
        seconds = _ANSWER_SECONDS + wait_seconds
        if method not in _READS:
            seconds = min(seconds, self._may_write())
            if seconds <= 0:
                return Unreachable("the pod is not told anything, since another operator may be at work by now")
        address = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        content = {"Content-Type": "application/json"} if body is not None else {}
        try:
            # Over all: a pod that sends a byte now and then would outlast every timeout of the connection.
            with failing_as_connections_do():
                async with (
                    asyncio.timeout(_CONNECT_SECONDS + seconds),
                    self._session(pod).request(
                        method,
                        f"https://{address}:{pod.port}{path}",
                        params=query,
                        data=body.canonical() if body is not None else None,
                        headers={**content, **(headers or {})},
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(sock_connect=min(seconds, _CONNECT_SECONDS), sock_read=seconds),
                        # Pods are addressed by IP, which changes; the name in the certificate says whose pod it is.
                        server_hostname=pod.host,
                    ) as response,
                ):
                    return _Answered(f"{method} {path}", response.status, await _body(response))
        except (aiohttp.ClientError, OSError, TimeoutError, _TooLong) as error:
            return Unreachable(f"the pod's admin port does not answer: {_words(error)}")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """All of it, unless it is longer than any message.

    Raises:
        _TooLong: it is.
    """
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > runtime_api.MAX_MESSAGE_BYTES:
            raise _TooLong(f"the answer is longer than {runtime_api.MAX_MESSAGE_BYTES} bytes")
    return bytes(body)


def _since(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"since": etag}


def _read(answer: type[Answer], response: _Answered | Unreachable) -> Answer | Unreachable:
    if isinstance(response, Unreachable):
        return response
    if response.status != HTTPStatus.OK:
        words = response.body[:300].decode(errors="replace")
        refused = response.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return Unreachable(
            f"the pod's admin port answers {response.status} to {response.asked}: {words}", refused=refused
        )
    try:
        return answer.model_validate_json(response.body)
    except ValidationError as error:
        return Unreachable(f"the pod's answer to {response.asked} is not understood: {error}"[:500])


def _words(error: Exception) -> str:
    # Timeouts have no message of their own.
    return str(error) or type(error).__name__
