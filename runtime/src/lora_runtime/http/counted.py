"""ASGI middleware of the admin server: counts requests by route and status."""

from lora_runtime.http.asgi import App, Message, Receive, Scope, Send
from lora_runtime.metrics.lifecycle import Lifecycle


class Counted:
    """Sees each request once its answer has begun; what nobody routes is counted as one route."""

    def __init__(self, app: App, counts: Lifecycle) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The router writes the route into the scope that it was given.
                path = getattr(scope.get("route"), "path", "other")
                self._counts.asked(path, message["status"])
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "http" else send)
