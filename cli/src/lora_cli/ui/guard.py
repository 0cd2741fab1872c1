"""Who may use the page: whoever knows its address, from that very page.

Other pages of the same browser can send requests to this machine, too, by its name or by one of their own that leads here
(DNS rebinding); other users of the machine can connect as well. None of them knows the token.
"""

import hmac
from collections.abc import Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_USUAL_PORT = 80
_OWN_SITE = ("same-origin", "none")
"""Of Sec-Fetch-Site: asked by the page itself, or typed by the user."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The address is the key.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def hosts(names: Collection[str], port: int) -> list[str]:
    """What a browser calls the page's host, that of its address first."""
    # A browser leaves the usual port out.
    return [*(f"{name}:{port}" for name in names), *(name for name in names if port == _USUAL_PORT)]


def refusal(method: str, path: str, headers: Mapping[str, str], token: str, hosts: Collection[str]) -> str | None:
    """Why a request is not from the page; None if it is.

    Args:
        method: Of the request.
        path: Of the request; must begin with the token.
        headers: Of the request.
        token: What only the page's own user knows.
        hosts: The names and the port under which the page may be asked for.
    """
    if headers.get("host") not in hosts:
        return f"this page is only at {' and '.join(hosts)}"
    origin = headers.get("origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return "another web page may not use this one"
    # A link in a terminal that is a web page itself opens the page, and gets nothing from it.
    opened = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if not opened and headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return "another web page may not use this one"
    given = path.removeprefix("/").partition("/")[0]
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "open the whole address that `kubectl lora ui` has printed"
    if method == "POST" and headers.get("content-type") != "application/json":
        # What a form of another page can send without asking.
        return "send application/json"
    return None


class Guard:
    """An application that answers only its own page, and says so to the browser."""

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        why = refusal(scope["method"], scope["path"], Headers(scope=scope), self._token, self._hosts)
        app = self._app if why is None else PlainTextResponse(f"{why}\n", status_code=403)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await app(scope, receive, with_headers)
