"""Telling those who wait that there is something new, at once or in a moment."""

import asyncio
from collections.abc import Callable

from lora_api.runtime_api import RevisionState
from lora_runtime.news import News, NewsOf

_MOMENT_SECONDS = 0.1
"""What nobody waits for is told with what comes next, or after this long: each message costs the operator a pass."""
_DIGITS = 20
"""No version of an inventory has as many."""

Arrived = frozenset[tuple[str, RevisionState]]


class Bulletin:
    """Versions of the inventory of one boot. To be used on one event loop; `version` by any thread."""

    def __init__(self, boot_id: str, clock: Callable[[], float]) -> None:
        """Must be called on that loop. `clock` tells monotonic seconds."""
        self._boot_id = boot_id
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._news_of = NewsOf()
        self._news = asyncio.Event()
        self._told = 0
        """The version that whoever waits was told of."""
        self._telling: asyncio.TimerHandle | None = None
        self._arrived: dict[str, Arrived] = {}
        """By name, as it was told."""

    @property
    def version(self) -> int:
        """Of what there is now."""
        return self._news_of.version

    def since(self, etag: str | None) -> tuple[int, News] | None:
        """The version that an etag names, and what has changed after it; None when that is not known."""
        version = None if etag is None else self._version_of(etag)
        news = None if version is None else self._news_of.since(version)
        return None if version is None or news is None else (version, news)

    async def await_after(self, etag: str | None, seconds: float) -> None:
        """Returns as soon as there is something after what the etag names, or after so long."""
        deadline = self._clock() + seconds
        while etag is not None and (known := self._version_of(etag)) is not None and known >= self._told:
            if (left := deadline - self._clock()) <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                return

    def came(self, name: str) -> None:
        """There is a name that there was not; to be followed by `changed`, `gone` or `next`."""
        self._news_of.changed(name)

    def changed(self, name: str, arrived: Arrived, *, at_once: bool = True) -> None:
        """A name's report differs; told at once, unless that is not wanted or no revision is where somebody waits for it to be."""
        self._news_of.changed(name)
        before, self._arrived[name] = self._arrived.get(name), arrived
        self.next(at_once=at_once and arrived != before)

    def gone(self, name: str) -> None:
        """Nothing is left of a name."""
        self._arrived.pop(name, None)
        self._news_of.gone(name)
        self.next()

    def next(self, *, at_once: bool = True) -> None:
        """There is a new version."""
        self._news_of.next()
        if at_once:
            self._tell()
        elif self._telling is None:
            self._telling = self._loop.call_later(_MOMENT_SECONDS, self._tell)

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told = self._news_of.version
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _version_of(self, etag: str) -> int | None:
        boot_id, _, version = etag.rpartition("-")
        known = boot_id == self._boot_id and len(version) < _DIGITS and version.isascii() and version.isdigit()
        return int(version) if known else None
