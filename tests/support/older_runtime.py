"""A runtime of an earlier version, as its peer sees it: some of what it is told it drops, and some it never says."""

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from support.asgi_body import whole_body

NOT_UNDERSTOOD = frozenset({"uid", "verify"})
"""Fields of documents."""
NOT_SAID = frozenset({"version", "capacity", "hostBytes", "energy", "since", "gone"})
"""Fields of inventories."""


class OlderRuntime:
    """In front of today's admin server. It is told whole documents only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "PATCH":
            await send({"type": "http.response.start", "status": 405, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        asked = _without(await whole_body(receive), NOT_UNDERSTOOD)
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(asked)).encode()))
        begun: list[Message] = []

        async def hear() -> Message:
            if not begun:
                begun.append({})
                return {"type": "http.request", "body": asked}
            return await receive()

        answer: list[Message] = []

        async def say(message: Message) -> None:
            answer.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                body = _without(b"".join(part.get("body", b"") for part in answer[1:]), NOT_SAID)
                told = [(name, value) for name, value in answer[0]["headers"] if name != b"content-length"]
                told.append((b"content-length", str(len(body)).encode()))
                await send({**answer[0], "headers": told})
                await send({"type": "http.response.body", "body": body})

        await self._app({**scope, "headers": headers}, hear, say)


def _without(body: bytes, fields: frozenset[str]) -> bytes:
    if not body.startswith(b"{"):
        return body
    return json.dumps(_pruned(json.loads(body), fields)).encode()


def _pruned(value: Any, fields: frozenset[str]) -> Any:
    match value:
        case dict():
            return {name: _pruned(inner, fields) for name, inner in value.items() if name not in fields}
        case list():
            return [_pruned(inner, fields) for inner in value]
        case _:
            return value
