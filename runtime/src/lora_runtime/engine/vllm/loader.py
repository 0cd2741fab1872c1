"""Puts adapters into vLLM's engine and takes them out."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psutil

from lora_runtime.engine import out_of_memory
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed
from lora_runtime.engine.vllm.names import lora_request

LOAD_TIMEOUT_SECONDS = 600.0
"""A load that takes longer means that the engine hangs."""

_REMOVE_TIMEOUT_SECONDS = 60.0


class VllmLoader:
    """A Loader; for the server's event loop."""

    def __init__(self, client: Any, loaded: Callable[[float], None]) -> None:
        """Takes vLLM's engine client, and who is told how many seconds each load took."""
        self._client = client
        self._loaded = loaded

    async def add(self, adapter: LoadedAdapter) -> None:
        """See Loader.add."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                await self._client.add_lora(lora_request(adapter))
        except Exception as error:
            # A failed load leaves a half-written entry, which may sit in a slot: it has to go, whatever the cause was.
            await self.take_out(adapter)
            words = str(error) or type(error).__name__
            raise LoadFailed(out_of_memory.in_bytes(words, psutil.virtual_memory().available)) from error
        self._loaded(time.monotonic() - began)

    async def take_out(self, adapter: LoadedAdapter) -> None:
        """See Loader.take_out."""
        async with asyncio.timeout(_REMOVE_TIMEOUT_SECONDS):
            await self._client.remove_lora(adapter.lora_id)
