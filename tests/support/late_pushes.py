"""Between operators and a pod: what would change what the pod serves can be kept on its way, while the rest passes."""

import asyncio
import json
import threading
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from support.asgi_body import whole_body

_PATIENCE_SECONDS = 120.0


class LatePushes:
    """In front of a pod's admin server. Once: `hold_one`, and later `deliver`; any thread may say so."""

    def __init__(self, *, patches: bool) -> None:
        """Takes whether the pod takes patches of documents, or whole documents only."""
        self._patches = patches
        self._holds_one = False
        self._delivered = threading.Event()
        self.held: str | None = None
        """The method of the push that was held back."""
        self.late: int | None = None
        """The status with which the pod answered it, be it that nobody waited any more."""
        self.later: list[str] = []
        """The methods of all pushes that came after it was delivered."""

    def in_front_of(self, app: ASGIApp) -> ASGIApp:
        """The server, behind this."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] not in ("PUT", "PATCH"):
                await app(scope, receive, send)
            else:
                await self._push(app, scope, receive, send)

        return serve

    def hold_one(self) -> None:
        """The next push that tells what to serve, and not only what to prepare, stays on its way."""
        self._holds_one = True

    def deliver(self) -> None:
        """It arrives."""
        self._delivered.set()

    async def _push(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if self._delivered.is_set():
            self.later.append(scope["method"])
        if scope["method"] == "PATCH" and not self._patches:
            await send({"type": "http.response.start", "status": HTTPStatus.METHOD_NOT_ALLOWED, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        body = await whole_body(receive)
        held = self._holds_one and not _prepares(body)
        if held:
            self._holds_one, self.held = False, scope["method"]
            await asyncio.to_thread(self._delivered.wait, _PATIENCE_SECONDS)
        heard = False

        async def hear() -> Message:
            nonlocal heard
            if heard:
                return await receive()
            heard = True
            return {"type": "http.request", "body": body}

        async def say(message: Message) -> None:
            if held and message["type"] == "http.response.start":
                self.late = message["status"]
            await send(message)

        await app(scope, hear, say)


def _prepares(body: bytes) -> bool:
    return any("prepare" in entry for entry in json.loads(body)["adapters"])
