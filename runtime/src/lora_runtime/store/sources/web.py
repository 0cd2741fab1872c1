"""Files on other servers by HTTP: bounded, resumed from what an earlier attempt left, and stopped at once when cancelled."""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx

from lora_api.egress import Egress
from lora_runtime.store.sources.egress import EgressForbidden, guarded_client
from lora_runtime.store.sources.meter import Meter
from lora_runtime.store.sources.pace import in_chunks, paced
from lora_runtime.store.sources.source import too_large
from lora_runtime.store.sources.web_errors import (
    Answered,
    changed,
    damaged,
    forbidden,
    packed,
    redirected_away,
    unreachable,
)

_ERROR_BYTES = 16 << 10
_PARTIAL = ".part"
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Place:
    """One file on a server."""

    url: str = field(repr=False)
    where: str
    """In words, for people: `adapter_config.json of https://…`. Holds no secret, which `url` may."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With the credentials; sent to the URL's own host only."""
    verified: bool = False
    """The file is verified by its digest, so that it may come from wherever the server redirects to."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there."""

    size: int | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Web:
    """What may be reached, and how servers prove who they are."""

    egress: Egress
    max_bytes: int
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)
    """Trusts what SSL_CERT_FILE or SSL_CERT_DIR of the pod's environment names."""
    clock: Callable[[], float] = time.monotonic

    @asynccontextmanager
    async def session(self) -> "AsyncIterator[Session]":
        """For one download of one adapter."""
        async with guarded_client(self.egress, self.tls) as client:
            yield Session(client, self.egress, self.clock)


class Session:
    """Gets files. Every method raises Refused when the server cannot be reached or may not, and Answered when it refuses."""

    def __init__(self, client: httpx.AsyncClient, egress: Egress, clock: Callable[[], float]) -> None:
        self._client, self._egress, self._clock = client, egress, clock

    @asynccontextmanager
    async def get(self, place: Place, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.Response]:
        """The answer to a GET, a success for certain; its body is not read yet."""
        try:
            response = await self._follow(place, headers or {})
            try:
                if not response.is_success:
                    elsewhere = _moved(httpx.URL(place.url), response.url)
                    body = await self._beginning(place, response)
                    raise Answered(response.status_code, response.headers, body, elsewhere=elsewhere)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise packed(place.where)
                yield response
            finally:
                await response.aclose()
        except EgressForbidden as error:
            raise forbidden(place.where, str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(place.where, error) from error

    async def read(self, place: Place, limit: int, headers: Mapping[str, str] | None = None) -> bytes:
        """A small file as a whole."""
        body = bytearray()
        async with self.get(place, headers) as response:
            async for chunk in paced(response, place.where, self._clock):
                body += chunk
                if len(body) > limit:
                    raise too_large(place.where, len(body), limit)
        return bytes(body)

    async def look(self, place: Place) -> Found:
        """What is there. One byte is asked for: many servers answer no HEAD."""
        try:
            async with self.get(place, {"Range": "bytes=0-0"}) as response:
                return Found(_whole_size(response), _etag(response.headers))
        except Answered as answer:
            if answer.status == 416:  # the file is empty
                return Found(0, _etag(answer.headers))
            raise

    async def download(self, place: Place, target: Path, meter: Meter, *, etag: str | None, resume: bool) -> None:
        """Gets a file, from where an interrupted download of the same version stopped.

        Args:
            place: The file.
            target: Where to put it; if it is there, nothing is done.
            meter: Told about each byte.
            etag: The only version that is accepted.
            resume: Whether what lies here is known to be of that version.
        """
        partial = target.with_name(target.name + _PARTIAL)
        if not resume:
            _remove(target, partial)
        size = _size(target)
        if size is not None:
            meter.add(size)
            return
        with partial.open("ab") as out:
            await self._append(place, out, meter, etag)
        os.replace(partial, target)

    async def _append(self, place: Place, out: IO[bytes], meter: Meter, etag: str | None) -> None:
        done = out.tell()
        headers = {"Range": f"bytes={done}-"} if done else {}
        if etag is not None and not etag.startswith("W/"):
            headers["If-Match"] = etag
        try:
            async with self.get(place, headers) as response:
                if etag is not None and _etag(response.headers) not in (etag, None):
                    raise changed(place.where)
                start = _start(response)
                if start not in (0, done):
                    raise damaged(place.where)
                if start:
                    meter.add(done)
                else:
                    out.truncate(0)
                meter.expect(_length(response))
                async for chunk in in_chunks(paced(response, place.where, self._clock)):
                    meter.add(len(chunk))
                    await _write(out, chunk)
        except Answered as answer:
            if answer.status == 412:
                raise changed(place.where) from answer
            if answer.status != 416 or not done:
                raise
            # A process that was killed had all of it, or more than the file has now.
            if not answer.headers.get("content-range", "").endswith(f"/{done}"):
                out.truncate(0)
                raise damaged(place.where) from answer
            meter.add(done)

    async def _follow(self, place: Place, headers: Mapping[str, str]) -> httpx.Response:
        """The answer, after redirects that are allowed."""
        url, secrets = httpx.URL(place.url), place.headers
        for _ in range(_MAX_REDIRECTS):
            request = self._client.build_request("GET", url, headers={**headers, **secrets})
            response = await self._client.send(request, stream=True)
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            await response.aclose()
            target = url.join(location)
            if (url.scheme, target.scheme) == ("https", "http") or target.scheme not in ("http", "https"):
                raise redirected_away(place.where, _shown(target), "which is not encrypted")
            if target.host != url.host and not (place.verified or self._egress.names(target.host)):
                raise redirected_away(place.where, _shown(target), "another host")
            url, secrets = target, {} if _moved(url, target) else secrets
        raise redirected_away(place.where, _shown(url), f"after {_MAX_REDIRECTS} redirects before")

    async def _beginning(self, place: Place, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in paced(response, place.where, self._clock):
            body += chunk
            if len(body) >= _ERROR_BYTES:
                break
        return bytes(body[:_ERROR_BYTES])


def _moved(url: httpx.URL, target: httpx.URL) -> bool:
    """Whether the second leads to another server than the first."""
    return (target.host, target.port) != (url.host, url.port)


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.exists() else None


async def _write(out: IO[bytes], chunk: bytes) -> None:
    """In a thread, since a busy disk must not hold up the loop."""
    writing = asyncio.ensure_future(asyncio.to_thread(out.write, chunk))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        # the next attempt may open the file at once
        await asyncio.wait({writing})
        raise


def _etag(headers: Mapping[str, str]) -> str | None:
    """Only one that fits into a status."""
    found = headers.get("etag", "")
    return found if 0 < len(found) <= 256 and re.fullmatch("[!-~]+", found) else None


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _start(response: httpx.Response) -> int:
    if response.status_code != 206:
        return 0
    found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    return int(found[1]) if found and found[1] else -1


def _whole_size(response: httpx.Response) -> int | None:
    if response.status_code != 206:
        return _length(response)
    found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    return int(found[2]) if found and found[2].isdecimal() else None


def _shown(url: httpx.URL) -> str:
    """Without the query, which may be a signature."""
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
