"""Which adapters are Ready, from a watch: what a user would see, as soon as it is there."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Collection
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from lora_api import labels
from lora_operator.clients import resources
from lora_operator.clients.kube import Kube

_TROUBLE_SECONDS = 900.0


class Late(Exception):
    """What was waited for did not come true."""


class Board:
    """Follows all LoRAAdapters of a namespace while it is entered."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        """Takes an administrator's connection."""
        self._kube, self._namespace = kube, namespace
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.ready: dict[str, tuple[int, float]] = {}
        """By name: the generation that is Ready, and when that was seen."""
        self.there: set[str] = set()

    async def __aenter__(self) -> Self:
        found = await self._kube.connection()
        context = ssl.create_default_context(cafile=found.ca_path)
        context.load_cert_chain(str(found.certificate_path), found.key_path)
        self._session = aiohttp.ClientSession(
            found.server, connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=None)
        )
        self._task = asyncio.create_task(self._follow(self._session))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        assert self._session is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._session.close()

    async def until_ready(self, wanted: dict[str, int]) -> float:
        """Waits until each name is Ready at its generation or a later one; when the last of them was seen so."""

        def found() -> bool:
            return all(self.ready.get(name, (0, 0.0))[0] >= generation for name, generation in wanted.items())

        await self.until(found, lambda: f"{self._missing(wanted)} of {len(wanted)} are not Ready")
        return max(self.ready[name][1] for name in wanted)

    async def until_gone(self, names: Collection[str]) -> None:
        """Waits until none of these exists."""
        await self.until(lambda: self.there.isdisjoint(names), lambda: "some are still there")

    async def until(self, true: Callable[[], bool], words: Callable[[], str]) -> None:
        """Waits until it is true.

        Raises:
            Late: it does not become so.
        """
        deadline = time.monotonic() + _TROUBLE_SECONDS
        while not true():
            self._news.clear()
            assert self._task is not None
            if self._task.done():
                self._task.result()
            try:
                await asyncio.wait_for(self._news.wait(), 5.0)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise Late(words()) from None

    def _missing(self, wanted: dict[str, int]) -> int:
        return sum(self.ready.get(name, (0, 0.0))[0] < generation for name, generation in wanted.items())

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        path = resources.ADAPTERS.path(self._namespace)
        while True:
            self.there.clear()
            async with session.get(path, params={"watch": "1", "timeoutSeconds": "7200"}) as stream:
                if stream.status != HTTPStatus.OK:
                    # The API server is still making up its mind about new CRDs.
                    await asyncio.sleep(0.5)
                    continue
                async for line in stream.content:
                    self._note(json.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        item = event["object"]
        name = item["metadata"]["name"]
        if event["type"] == "DELETED":
            self.there.discard(name)
            self.ready.pop(name, None)
        elif item["kind"] == resources.ADAPTERS.kind and item["apiVersion"] == labels.API_VERSION:
            self.there.add(name)
            generation = _ready_generation(item)
            if generation != self.ready.get(name, (0, 0.0))[0]:
                self.ready[name] = (generation, time.monotonic())
        self._news.set()


def _ready_generation(item: dict[str, Any]) -> int:
    """0 while it is not Ready."""
    for condition in item.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return int(condition["observedGeneration"])
    return 0
