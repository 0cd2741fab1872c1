"""An HTTP client that only reaches servers that sources may lead to; see `lora_api.egress`."""

import asyncio
import socket
import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from lora_api.egress import Egress

_TIMEOUT = httpx.Timeout(connect=10, read=30, write=30, pool=None)
_ANSWER_SECONDS = 60.0
"""For connecting and all headers: the limits above begin anew with each byte."""
# Tags an address of an interface: fe80::1%eth0
_ZONE = "%"


class EgressForbidden(Exception):
    """A request that the administrator does not allow; the message says what and why."""


def guarded_client(egress: Egress, tls: ssl.SSLContext, answer_seconds: float = _ANSWER_SECONDS) -> httpx.AsyncClient:
    """A client for one download. It follows no redirects, and uses no proxy: a proxy would look up names by itself."""
    return httpx.AsyncClient(
        transport=_Guard(egress, tls, answer_seconds),
        timeout=_TIMEOUT,
        # what a server packs could not be resumed
        headers={"Accept-Encoding": "identity", "User-Agent": "lora-operator"},
    )


class _Guard(httpx.AsyncBaseTransport):
    """Looks up names by itself, so that the address that was judged is the one that is connected to."""

    def __init__(self, egress: Egress, tls: ssl.SSLContext, answer_seconds: float) -> None:
        self._egress, self._answer_seconds = egress, answer_seconds
        # A kept connection belongs to an address here, and would be shared by all names that have it.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request to the first address that answers; the body may take longer than the answer may.

        Raises:
            EgressForbidden: the host or one of its addresses may not be reached.
        """
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._send(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no whole answer within {self._answer_seconds:g} seconds") from error

    async def _send(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        problem = self._egress.refusal(host)
        if problem is not None:
            raise EgressForbidden(problem)
        addresses = await _look_up(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        for address in addresses:
            problem = self._egress.refusal_of_address(host, address)
            if problem is not None:
                raise EgressForbidden(problem)
        *others, last = addresses
        for address in others:
            try:
                return await self._inner.handle_async_request(_sent_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(_sent_to(last, request))

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._inner.aclose()


def _sent_to(address: IPv4Address | IPv6Address, request: httpx.Request) -> httpx.Request:
    """The same request on a connection to this address; its Host header and the name on the certificate stay."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


async def _look_up(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    try:
        # In a thread of ours: uvloop has a few for all loops of the process, and names that hang would hold up the others.
        found = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"the name {host} cannot be looked up: {error}") from error
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition(_ZONE)[0]) for entry in found))
