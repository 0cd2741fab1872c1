"""ASGI middleware in front of vLLM's own server: counts requests, hides what is not for clients."""

import asyncio
from collections.abc import Sequence

from starlette.responses import JSONResponse

from lora_api.error_codes import ErrorCode
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.http.api_keys import ApiKeys, needs_key
from lora_runtime.http.asgi import App, Message, Receive, Scope, Send, header
from lora_runtime.http.errors import CodedErrors, refusal
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.observer import Outcome

PUBLIC = (
    "/v1/models", "/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages",
    "/tokenize", "/detokenize",
    "/", "/generate", "/generate_stream", "/info",
    "/health", "/ping", "/ready", "/metrics", "/version", "/load",
)  # fmt: skip
"""Paths that clients, kubelets and scrapers need, with what lies below them. All else of vLLM's server is hidden.

A list of what is hidden would be one release of vLLM behind: there are routes that load adapters, abort the requests of
others or pause the engine, and some (`/invocations`) that serve the base for any `model` in the body.
"""

RETRY_AFTER_SECONDS = 1

_WRONG_KEY = (
    "Incorrect API key provided, or none. Send a key that the LoRAModel's spec.apiKey lists (without a cluster: "
    "--api-keys-file), as `Authorization: Bearer <key>` or `X-Api-Key: <key>`."
)
_NO_KEYS = (
    "This server knows no API key yet, so that nobody is let in: the Secret that the LoRAModel's spec.apiKey names (without a "
    "cluster: the file of --api-keys-file) is missing, is empty or cannot be read, or was made within the last minute or two."
)


class Guard:
    """Spans every HTTP request, to the last byte of its answer."""

    def __init__(
        self,
        app: App,
        in_flight: InFlight,
        traffic: Traffic,
        keys: ApiKeys | None = None,
        public: Sequence[str] = PUBLIC,
    ) -> None:
        self._app = app
        self._public = public
        self._in_flight = in_flight
        self._traffic = traffic
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None:
            await self._counted(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why nobody behind this one gets to see the request."""
        if not is_public(scope["path"], self._public):
            return _not_found(scope["path"], self._public)
        if self._keys is None or not needs_key(scope.get("method", "GET"), scope["path"]):
            return None
        shown = header(scope, b"authorization"), header(scope, b"x-api-key")
        return None if self._keys.admit(*shown) else _unauthorized(_NO_KEYS if self._keys.missing else _WRONG_KEY)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(receive, CodedErrors(send))
        with self._in_flight.request() as request:
            outcome = Outcome.FAILED
            try:
                await self._app(scope, exchange.receive, exchange.send)
                outcome = request.outcome or exchange.outcome
            except asyncio.CancelledError:
                outcome = Outcome.ABORTED
                raise
            finally:
                # Still inside: an adapter is not gone before its last request is counted.
                for name in request.asked:
                    self._traffic.ended(name, outcome)


def is_public(path: str, public: Sequence[str] = PUBLIC) -> bool:
    """Whether a path is one that clients may reach."""
    path = "/" + path.strip("/")
    return any(path == known or path.startswith(known + "/") for known in public)


def _not_found(path: str, public: Sequence[str]) -> JSONResponse:
    return refusal(ErrorCode.NOT_FOUND, f"{path} is not served here, but {', '.join(public)} are.")


def _unauthorized(message: str) -> JSONResponse:
    return refusal(ErrorCode.UNAUTHORIZED, message, headers={"WWW-Authenticate": "Bearer"})


class Exchange:
    """One request and its answer: notes how it ends, and tells clients when to come again after a 429 or 503."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._status: int | None = None
        self._whole = False
        self._left = False

    async def receive(self) -> Message:
        """See ASGI."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._whole:
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """See ASGI."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._status in (429, 503):
                message = _with_retry_after(message)
        elif message["type"] == "websocket.accept":
            self._status = 101
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        await self._send(message)

    @property
    def outcome(self) -> Outcome:
        """What the status says, unless the client left before: vLLM answers 200 to nobody then."""
        if self._left or self._status is None:
            return Outcome.ABORTED
        if self._status >= 500:
            return Outcome.FAILED
        return Outcome.REFUSED if self._status >= 400 else Outcome.OK


def _with_retry_after(message: Message) -> Message:
    headers = list(message.get("headers", ()))
    if not any(name.lower() == b"retry-after" for name, _ in headers):
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    return {**message, "headers": headers}
