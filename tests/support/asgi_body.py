"""The body of a request, for what stands in front of an ASGI app."""

from starlette.types import Receive


async def whole_body(receive: Receive) -> bytes:
    """All of it, in however many messages it comes."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)
