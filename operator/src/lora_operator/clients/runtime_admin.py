"""The admin API of the runtime in a pod, over mutual TLS."""

import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from lora_api import runtime_api
from lora_api.runtime_api import Desired, Inventory, ResolveRequest, ResolveResponse, WireModel
from lora_operator.domain.observed import Unreachable

Answer = TypeVar("Answer", bound=WireModel)

_CONNECT_SECONDS = 3.0
_READS = frozenset({"GET", "POST"})
"""POST only asks: what a pod fetches for an answer, it may collect again."""
_ANSWER_SECONDS = 10.0
"""How long a pod may think beyond the wait that it was granted."""


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
        self._may_write = may_write
        self._http = httpx.AsyncClient(
            verify=context,
            trust_env=False,  # pods are never behind a proxy
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            # One long poll per pod stays open; the rest is short.
            # Idle ones are given up before the pod closes them, perhaps just when one is to be used again.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=2048, keepalive_expiry=60),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def put_desired(self, pod: PodAddress, document: Desired) -> Inventory | Unreachable:
        """Gives the pod its document; answers what the pod has now."""
        return await self._ask(Inventory, "PUT", pod, runtime_api.DESIRED_PATH, document)

    async def inventory(self, pod: PodAddress, after: str | None, wait_seconds: float) -> Inventory | Unreachable:
        """What the pod has: at once, or as soon as it is no longer `after`, or when the wait is over."""
        query = {"wait": str(wait_seconds)} | ({"after": after} if after is not None else {})
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
        query: dict[str, str] | None = None,
        wait_seconds: float = 0,
    ) -> Answer | Unreachable:
        seconds = _ANSWER_SECONDS + wait_seconds
        if method not in _READS:
            seconds = min(seconds, self._may_write())
            if seconds <= 0:
                return Unreachable("the pod is not told anything, since another operator may be at work by now")
        address = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        # Pods are addressed by IP, which changes; the name in the certificate says whose pod it is.
        extensions: dict[str, Any] = {"sni_hostname": pod.host}
        try:
            response = await self._http.request(
                method,
                f"https://{address}:{pod.port}{path}",
                params=query,
                content=body.canonical() if body is not None else None,
                headers={"Content-Type": "application/json"} if body is not None else None,
                timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS), pool=None),
                extensions=extensions,
            )
        except (httpx.HTTPError, OSError) as error:
            return Unreachable(f"the pod's admin port does not answer: {_words(error)}")
        if response.status_code != HTTPStatus.OK:
            return Unreachable(
                f"the pod's admin port answers {response.status_code} to {method} {path}: {response.text[:300]}"
            )
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            return Unreachable(f"the pod's answer to {method} {path} is not understood: {error}"[:500])


def _words(error: Exception) -> str:
    # Timeouts of httpx have no message of their own.
    return str(error) or type(error).__name__
