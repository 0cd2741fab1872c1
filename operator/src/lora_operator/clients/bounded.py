"""Answers of servers that are not trusted with our memory."""

import ssl
from collections.abc import AsyncIterator
from typing import cast

import httpx


class BoundedTransport(httpx.AsyncBaseTransport):
    """Reads no answer further than it may be long; what is longer is an error of reading."""

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits, max_bytes: int) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        response = await self._inner.handle_async_request(request)
        # As it is on the wire: what says that it is compressed could unfold into anything.
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
        stream = _Bounded(cast("httpx.AsyncByteStream", response.stream), self._max_bytes)
        return httpx.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    async def aclose(self) -> None:
        """See httpx."""
        await self._inner.aclose()


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._max_bytes
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx.ReadError(f"the answer is longer than {self._max_bytes} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
