"""The admin API of the runtime in a pod, over mutual TLS."""

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from lora_api import runtime_api
from lora_api.runtime_api import Desired, DesiredPatch, Inventory, ResolveRequest, ResolveResponse
from lora_api.wire import WireModel
from lora_operator.clients.bounded import BoundedTransport
from lora_operator.domain.observed import Unreachable

Answer = TypeVar("Answer", bound=WireModel)

_CONNECT_SECONDS = 3.0
_READS = frozenset({"GET", "POST"})
"""POST only asks: what a pod fetches for an answer, it may collect again."""
_ANSWER_SECONDS = 10.0
"""How long a pod may think beyond the wait that it was granted."""
_NOT_PATCHED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.PRECONDITION_FAILED})
"""The pod works on another document, or its runtime is of a version that takes whole documents only."""


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
        self._clients: dict[PodAddress, httpx.AsyncClient] = {}
        """One for each pod: for each request, a pool takes time that grows with the square of its connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def forget(self, pod: PodAddress) -> None:
        """Nobody will talk to the pod any more."""
        client = self._clients.pop(pod, None)
        if client is not None:
            await client.aclose()

    def _client(self, pod: PodAddress) -> httpx.AsyncClient:
        client = self._clients.get(pod)
        if client is None:
            # One long poll stays open; the rest is short.
            # Idle ones are given up before the pod closes them, perhaps just when one is to be used again.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
            client = self._clients[pod] = httpx.AsyncClient(
                transport=BoundedTransport(self._context, limits, runtime_api.MAX_MESSAGE_BYTES),
                trust_env=False,  # pods are never behind a proxy
            )
        return client

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
        if isinstance(response, httpx.Response) and response.status_code in _NOT_PATCHED:
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
    ) -> httpx.Response | Unreachable:
        seconds = _ANSWER_SECONDS + wait_seconds
        if method not in _READS:
            seconds = min(seconds, self._may_write())
            if seconds <= 0:
                return Unreachable("the pod is not told anything, since another operator may be at work by now")
        address = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        # Pods are addressed by IP, which changes; the name in the certificate says whose pod it is.
        extensions: dict[str, Any] = {"sni_hostname": pod.host}
        content = {"Content-Type": "application/json"} if body is not None else {}
        try:
            # Over all: a pod that sends a byte now and then would outlast every timeout of the connection.
            async with asyncio.timeout(_CONNECT_SECONDS + seconds):
                return await self._client(pod).request(
                    method,
                    f"https://{address}:{pod.port}{path}",
                    params=query,
                    content=body.canonical() if body is not None else None,
                    headers={**content, **(headers or {})},
                    timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS), pool=None),
                    extensions=extensions,
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return Unreachable(f"the pod's admin port does not answer: {_words(error)}")


def _since(etag: str | None) -> dict[str, str]:
    return {} if etag is None else {"since": etag}


def _read(answer: type[Answer], response: httpx.Response | Unreachable) -> Answer | Unreachable:
    if isinstance(response, Unreachable):
        return response
    asked = f"{response.request.method} {response.request.url.path}"
    if response.status_code != HTTPStatus.OK:
        return Unreachable(f"the pod's admin port answers {response.status_code} to {asked}: {response.text[:300]}")
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        return Unreachable(f"the pod's answer to {asked} is not understood: {error}"[:500])


def _words(error: Exception) -> str:
    # Timeouts of httpx have no message of their own.
    return str(error) or type(error).__name__
