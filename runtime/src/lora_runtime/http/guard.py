"""ASGI middleware in front of vLLM's own server: counts requests, hides what is not for clients."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from lora_runtime.engine.in_flight import InFlight

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HIDDEN = (
    "/invocations",
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters",
    "/scale_elastic_ep", "/is_scaling_elastic_ep", "/start_profile", "/stop_profile",
    "/collective_rpc", "/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache", "/server_info",
    "/sleep", "/wake_up", "/is_sleeping", "/release_kv_cache_memory",
    "/pause", "/resume", "/is_paused", "/abort_requests",
    "/init_weight_transfer_engine", "/update_weights", "/get_world_size",
)  # fmt: skip
"""Paths of vLLM that change the engine, or that answer with another model than the one that was asked for.

Each hides what lies below it, too. `/invocations` takes the model from a header alone, and serves the base for any
`model` in the body.
"""

RETRY_AFTER_SECONDS = 1


class Guard:
    """Spans every HTTP request, to the last byte of its answer."""

    def __init__(self, app: App, in_flight: InFlight) -> None:
        self._app = app
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif is_hidden(scope["path"]):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await _not_found(scope["path"])(scope, receive, send)
        else:
            with self._in_flight.request():
                await self._app(scope, receive, _with_retry_after(send))


def is_hidden(path: str) -> bool:
    """Whether a path is one that clients must not reach."""
    path = "/" + path.strip("/")
    return any(path == hidden or path.startswith(hidden + "/") for hidden in HIDDEN)


def _not_found(path: str) -> JSONResponse:
    message = f"{path} is not served: adapters are declared as LoRAAdapter objects, and the engine is the operator's."
    error = {"message": message, "type": "NotFoundError", "param": None, "code": 404}
    return JSONResponse({"error": error}, status_code=404)


def _with_retry_after(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 503:
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"retry-after" for name, _ in headers):
                headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
            message = {**message, "headers": headers}
        await send(message)

    return wrapped
