"""What was sent, as long as it is no longer than it may be."""

from fastapi import HTTPException, Request


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, if it is longer.
    """
    # The rest is not waited for: it may have no end.
    headers = {"Connection": "close"}
    too_long = HTTPException(413, f"a message may have {most_bytes} bytes at most", headers)
    if int(request.headers.get("content-length", 0)) > most_bytes:
        raise too_long
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most_bytes:
            raise too_long
    return bytes(found)
