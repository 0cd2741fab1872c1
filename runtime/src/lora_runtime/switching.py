"""Names that only have to be switched: the answer to a document waits a moment for them, and tells of it."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

_MOMENT_SECONDS = 0.05
"""A switch takes some milliseconds. What takes longer is told when it has happened, as all else is."""


class Switching:
    """Those that an answer waits for. To be used on one event loop."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._ended = asyncio.Event()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def ended(self, *names: str) -> None:
        """Nobody waits for these any more."""
        self._names.difference_update(names)
        if not self._names:
            self._ended.set()

    async def wait(self, names: Collection[str]) -> None:
        """Returns when nobody waits for any name any more, or after a moment; at once without names."""
        if not names:
            return
        self._names.update(names)
        self._ended.clear()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT_SECONDS):
                    await self._ended.wait()
        finally:
            self.ended(*names)
