"""The admin port, as the operator uses it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from lora_api.runtime_api import (
    DESIRED_PATH,
    INVENTORY_PATH,
    RESOLVE_PATH,
    Desired,
    DesiredAdapter,
    Inventory,
    ResolveRequest,
    ResolveResponse,
    ResolveState,
)
from lora_api.v1alpha1.adapter import AdapterSource

_LONGEST_SECONDS = 60.0
_POLL_SECONDS = 5.0
_JSON = {"content-type": "application/json"}


class NotReached(Exception):
    """The runtime did not get to where the document wants it in time."""


class Admin:
    """Holds the desired document; changes it one served name at a time."""

    def __init__(self, url: str) -> None:
        """Takes the admin port's URL."""
        self._http = httpx.AsyncClient(base_url=url, timeout=_LONGEST_SECONDS + 10)
        self._sequence = 0
        self._adapters: dict[str, DesiredAdapter] = {}

    async def __aenter__(self) -> Self:
        """Opens nothing: connections are made when needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def declare(self, *adapters: DesiredAdapter, without: tuple[str, ...] = ()) -> Inventory:
        """Sends the document in which these entries are as given and those names are missing."""
        for name in without:
            self._adapters.pop(name, None)
        self._adapters.update({adapter.name: adapter for adapter in adapters})
        self._sequence += 1
        ordered = tuple(self._adapters[name] for name in sorted(self._adapters))
        document = Desired(sequence=self._sequence, adapters=ordered)
        answer = await self._http.put(DESIRED_PATH, content=document.canonical(), headers=_JSON)
        answer.raise_for_status()
        return Inventory.model_validate_json(answer.content)

    @property
    def declared(self) -> frozenset[str]:
        """The served names in the document."""
        return frozenset(self._adapters)

    async def look(self) -> Inventory:
        """The inventory as it is."""
        answer = await self._http.get(INVENTORY_PATH)
        answer.raise_for_status()
        return Inventory.model_validate_json(answer.content)

    async def resolve(self, source: AdapterSource) -> None:
        """Has the runtime find, pin and check a source, as the operator does when a source changed."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < deadline:
            answer = await self._http.post(
                RESOLVE_PATH,
                params={"wait": _POLL_SECONDS},
                content=ResolveRequest(source=source).canonical(),
                headers=_JSON,
            )
            answer.raise_for_status()
            response = ResolveResponse.model_validate_json(answer.content)
            if response.state is ResolveState.RESOLVED:
                return
            if response.state is ResolveState.REFUSED:
                raise NotReached(f"{source.describe()} was refused: {response.refusal}")
        raise NotReached(f"{source.describe()} was not resolved in {_LONGEST_SECONDS} s")

    async def until(self, inventory: Inventory, holds: Callable[[Inventory], bool]) -> Inventory:
        """Follows the inventory, from one that is known, until it is as described.

        Raises:
            NotReached: it is not within a minute.
        """
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not holds(inventory):
            if time.monotonic() > deadline:
                raise NotReached(f"still {inventory.model_dump_json(exclude_none=True)} after {_LONGEST_SECONDS} s")
            query: dict[str, str | float] = {"after": inventory.etag, "wait": _POLL_SECONDS}
            answer = await self._http.get(INVENTORY_PATH, params=query)
            answer.raise_for_status()
            inventory = Inventory.model_validate_json(answer.content)
        return inventory
