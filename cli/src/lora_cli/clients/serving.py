"""Asking a model's pods, through the API server: nothing has to be forwarded, and the user's own rights decide."""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.parse import quote

from lora_api.error_codes import ErrorCode
from lora_cli.clients.answers import Refused
from lora_cli.clients.broken import Dropped
from lora_cli.clients.keys import key_of
from lora_cli.clients.kube import Kube
from lora_cli.clients.server import KEY_HEADER
from lora_cli.domain.objects import Json
from lora_cli.domain.talk import Piece, pieces
from lora_cli.errors import Failed

_PATIENCE_SECONDS = 300.0
"""For the first token: the adapter may have to be brought in, and others may be before us."""
_AT_ONCE = 8
_PORT = "http"
"""Name of the port in the Service that the operator makes."""
_CLOSED = ("EOF", "server closed idle connection", "connection reset by peer")
"""How the API server says that the pod has closed the connection that it had kept."""


class Transport(Protocol):
    """A way to the serving port of a model: through the API server, or without a cluster a `Server`."""

    def lines(self, method: str, path: str, *, body: object = None, patience_seconds: float) -> Iterator[str]:
        """The lines of an answer, each as soon as it arrives."""
        ...


class ThroughTheApiServer:
    """The proxy of the API server to a model's Service, which leads to any ready pod, or to one pod."""

    def __init__(self, kube: Kube, model: str, api_key: str | None = None, pod: str | None = None) -> None:
        """Takes the key to show; without one, that of the model's Secret is looked up when one is wanted.

        Args:
            kube: The API server.
            model: Whose Service, and whose key.
            api_key: What to show.
            pod: This one alone, as `name:port`.
        """
        self._kube, self._model, self._api_key, self._pod = kube, model, api_key, pod

    def lines(self, method: str, path: str, *, body: object = None, patience_seconds: float) -> Iterator[str]:
        """See Transport.

        Raises:
            Failed: the pods refuse it, or cannot be reached; says what to do.
        """
        try:
            try:
                yield from self._lines(method, path, body, patience_seconds)
            except Refused as refused:
                if self._api_key is not None or not _wants_key(refused):
                    raise
                self._api_key = key_of(self._kube, self._model)
                yield from self._lines(method, path, body, patience_seconds)
        except Refused as refused:
            raise self._explained(refused) from refused

    def _lines(self, method: str, path: str, body: object, patience_seconds: float) -> Iterator[str]:
        place = f"services/{self._model}:{_PORT}" if self._pod is None else f"pods/{self._pod}"
        proxy = f"/api/v1/namespaces/{self._kube.namespace}/{place}/proxy"
        # Not Authorization: that header is for the API server, which passes it on to nobody.
        shown = {} if self._api_key is None else {KEY_HEADER: self._api_key}
        yield from self._kube.lines(
            method, proxy + quote(path), body=body, headers=shown, patience_seconds=patience_seconds
        )

    def _explained(self, refused: Refused) -> Failed:
        namespace, model = self._kube.namespace, self._model
        describe = f"kubectl lora describe {model} -n {namespace}"
        if "error" in refused.body:
            return _from_the_pod(refused, describe)
        if refused.code is ErrorCode.UNAUTHORIZED:
            return refused
        if refused.code is ErrorCode.FORBIDDEN:
            right = "create services/proxy" if self._pod is None else "get pods/proxy"
            return Failed(
                ErrorCode.FORBIDDEN,
                f"you may not ask pods through the API server: {refused}",
                then=f"kubectl auth can-i {right} -n {namespace}",
            )
        if refused.code is ErrorCode.NOT_FOUND and self._pod is not None:
            return Failed(ErrorCode.UNREACHABLE, f"the pod {self._pod} has gone: {refused}", then=describe)
        if refused.code is ErrorCode.NOT_FOUND:
            return Failed(ErrorCode.NOT_FOUND, f"the model {model} has no Service yet: {refused}", then=describe)
        kind = Dropped if any(said in str(refused) for said in _CLOSED) else Failed
        return kind(
            ErrorCode.UNREACHABLE,
            f"no pod of {model} answers through the API server: {refused}. Either none is ready, or a NetworkPolicy "
            f"(spec.reachableFrom of the model) keeps the API server out",
            then=describe,
        )


class Serving:
    """A served name, to talk to."""

    def __init__(self, transport: Transport, name: str, *, keeps_scalings: bool = False) -> None:
        self._transport = transport
        self.name = name
        self.keeps_scalings = keeps_scalings
        """Whether it can be asked afterwards which expert answered."""

    def chat(self, messages: list[Json], options: Mapping[str, Any]) -> Iterator[Piece]:
        """The answer, piece by piece as the engine makes it."""
        body = {"model": self.name, "messages": messages, "stream": True, **options}
        yield from pieces(self._lines("/v1/chat/completions", body))

    def texts(self, tokens: Iterable[int]) -> dict[int, str]:
        """What these tokens are, each by itself."""
        wanted = sorted(set(tokens))
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return dict(zip(wanted, threads.map(self._text, wanted), strict=True))

    def _text(self, token: int) -> str:
        answer = "".join(self._lines("/detokenize", {"model": self.name, "tokens": [token]}))
        return str(json.loads(answer)["prompt"])

    def _lines(self, path: str, body: Json) -> Iterator[str]:
        begun = False
        try:
            for line in self._transport.lines("POST", path, body=body, patience_seconds=_PATIENCE_SECONDS):
                begun = True
                yield line
        except Dropped:
            # Whoever stands in between may have kept a connection that the pod has closed just now.
            if begun:
                raise
        else:
            return
        yield from self._transport.lines("POST", path, body=body, patience_seconds=_PATIENCE_SECONDS)


def _wants_key(refused: Refused) -> bool:
    """Whether it is the pod that wants one, and not the API server a login."""
    return refused.code is ErrorCode.UNAUTHORIZED and "error" in refused.body


def _from_the_pod(refused: Refused, describe: str) -> Failed:
    if _wants_key(refused):
        message = f"the model does not take this API key: {refused} Give another by --api-key or LORA_API_KEY"
        return Failed(ErrorCode.UNAUTHORIZED, message, then=describe)
    return Failed(refused.code, str(refused), then=describe)
