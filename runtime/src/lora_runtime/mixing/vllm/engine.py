"""The engine of the server that this process runs, when its model is a mixture."""

import asyncio
import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from starlette.datastructures import State
from vllm.engine.protocol import EngineClient

from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.vllm.served_models import ServedModels
from lora_runtime.mixing.gate import Gate
from lora_runtime.mixing.protocol import NotExchanged
from lora_runtime.mixing.vllm.requirements import check
from lora_runtime.mixture.package import names_of
from lora_runtime.mixture.vllm.worker import MixtureWorker

log = logging.getLogger(__name__)

_RPC_SECONDS = 60.0
"""For the workers to read other experts, and for an engine without requests to come to rest."""


class VllmMixtureEngine:
    """A MixtureEngine."""

    def __init__(self, client: EngineClient, state: State, args: Namespace, in_flight: InFlight) -> None:
        """Must be called on the server's event loop, once the server's state is set up.

        Raises:
            Unsupported: see `check`.
        """
        check(client, state, args)
        self._client: Any = client
        self._loop = asyncio.get_running_loop()
        self.models = ServedModels(state.openai_serving_models)
        self.gate = Gate(in_flight)
        self.names = names_of(Path(self._client.vllm_config.model_config.model))
        """Of what is scaled now."""

    async def exchange(self, folder: Path, before: Path, drain_seconds: float) -> None:
        """See MixtureEngine.exchange."""
        work = asyncio.run_coroutine_threadsafe(self._exchange(folder, before, drain_seconds), self._loop)
        await asyncio.wrap_future(work)

    async def _exchange(self, folder: Path, before: Path, drain_seconds: float) -> None:
        async with self.gate.closed(drain_seconds):
            try:
                await self._rest()
                await self._replace(folder, before)
            except NotExchanged:
                await self._client.resume_generation()
                raise
            # After any other error workers are of two minds, and the process ends: it must not answer before.
            await self._client.resume_generation()

    async def _rest(self) -> None:
        """What the engine still computes now is for clients who have left; the caches must hold nothing of it."""
        try:
            async with asyncio.timeout(_RPC_SECONDS):
                await self._client.pause_generation(mode="abort", clear_cache=True)
        except TimeoutError:
            raise NotExchanged(f"it did not come to rest within {_RPC_SECONDS:g} s") from None

    async def _replace(self, folder: Path, before: Path) -> None:
        try:
            await self._take(folder)
        except Exception as error:
            # Some workers may have it, and others not: if this fails, too, the process ends.
            await self._take(before)
            raise NotExchanged(str(error) or type(error).__name__) from error
        self.names = names_of(folder)

    async def _take(self, folder: Path) -> None:
        await self._client.collective_rpc(
            MixtureWorker.exchange_mixture.__name__, timeout=_RPC_SECONDS, args=(str(folder),)
        )
        if not await self._client.reset_prefix_cache():
            raise RuntimeError("the prefix cache could not be reset, since parts of it are in use")
