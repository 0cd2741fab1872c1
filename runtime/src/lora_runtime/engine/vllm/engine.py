"""The engine of the server that this process runs."""

import asyncio
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import torch
from prometheus_client import REGISTRY
from starlette.datastructures import State
from vllm.engine.protocol import EngineClient
from vllm.sampling_params import RequestOutputKind, SamplingParams

from lora_api.runtime_api import Capacity, EngineMemory
from lora_api.v1alpha1.adapter import Precision
from lora_runtime.engine.admission import Admission
from lora_runtime.engine.host_cache import HostCache
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed, Tier
from lora_runtime.engine.tiers import Tiers, Trouble
from lora_runtime.engine.vllm import adapted_modules, memory, names
from lora_runtime.engine.vllm.leases import Leases
from lora_runtime.engine.vllm.loader import LOAD_TIMEOUT_SECONDS, VllmLoader
from lora_runtime.engine.vllm.requirements import check
from lora_runtime.engine.vllm.served_models import ServedModels

T = TypeVar("T")

_PRECISIONS = {
    torch.float16: Precision.FLOAT16,
    torch.bfloat16: Precision.BFLOAT16,
    torch.float32: Precision.FLOAT32,
}


class VllmEngine:
    """An Engine, driven from any thread."""

    def __init__(
        self,
        client: EngineClient,
        state: State,
        args: Namespace,
        in_flight: InFlight,
        trouble: Trouble,
        loaded: Callable[[float], None],
    ) -> None:
        """Must be called on the server's event loop, once the server's state is set up.

        Args:
            client: of this server.
            state: of this server.
            args: that it was started with.
            in_flight: knows the HTTP request under way.
            trouble: see Tiers.
            loaded: told how many seconds each load took.

        Raises:
            Unsupported: see `check`.
        """
        check(client, state, args)
        self._client: Any = client
        self.models = ServedModels(state.openai_serving_models)
        self._in_flight = in_flight
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, LoadedAdapter] = {}
        """By engine name: every adapter that was loaded or registered and not removed."""
        limits, scheduler = self._client.vllm_config.lora_config, self._client.vllm_config.scheduler_config
        # A few more than the engine computes at once, so that it never waits for us to send the next.
        sequences = scheduler.max_num_seqs * 5 // 4 + 1
        # One slot is the runtime's own: see Tiers.own.
        admission = Admission(slots=max(1, limits.max_loras - 1), sequences=sequences)
        loader = VllmLoader(client, loaded)
        self._tiers = Tiers(admission, HostCache(limits.max_cpu_loras), loader, time.monotonic, trouble)
        _forget_who_runs(client)
        self.leases = Leases(client, self.models, self._known, in_flight, self._tiers)
        self._measured = memory.WorkerMemory.unknown()
        self._warmed_up = False

    async def measure(self) -> None:
        """Asks the engine once what its slots take; before anything else is asked of this object."""
        self._measured = await memory.ask(self._client)

    def observe_generations(self, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Puts something around `generate`, which all of vLLM's handlers call; once."""
        self._client.generate = around(self._client.generate)

    async def adapted(self, modules: Collection[str]) -> Collection[str]:
        """See Engine.adapted."""
        return await self._on_loop(adapted_modules.ask(self._client, modules))

    async def load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        """See Engine.load."""
        return await self._on_loop(self._load(served_name, revision, path))

    async def answer(self, adapter: LoadedAdapter, prompt: str, max_tokens: int) -> str:
        """See Engine.answer."""
        return await self._on_loop(self._answer(adapter, prompt, max_tokens))

    async def publish(self, adapter: LoadedAdapter) -> None:
        """See Engine.publish."""
        await self._on_loop(self._publish(adapter))

    async def withdraw(self, served_name: str) -> None:
        """See Engine.withdraw."""
        await self._on_loop(self._withdraw(served_name))

    async def drained(self, adapter: LoadedAdapter) -> None:
        """See Engine.drained."""
        await self._on_loop(self._in_flight.drained(adapter.engine_name))

    async def remove(self, adapter: LoadedAdapter) -> None:
        """See Engine.remove."""
        await self._on_loop(self._remove(adapter))

    def tier(self, adapter: LoadedAdapter) -> Tier:
        """See Engine.tier."""
        return Tier.HOST if adapter.engine_name in self._tiers else Tier.DISK

    @property
    def capacity(self) -> Capacity:
        """See Engine.capacity."""
        limits = self._client.vllm_config.lora_config
        slot_bytes = self._measured.slots_bytes // limits.max_loras
        return Capacity(slots=limits.max_loras, slot_bytes=slot_bytes, max_cached=limits.max_cpu_loras)

    @property
    def precision(self) -> Precision:
        """See Engine.precision."""
        return _PRECISIONS[self._client.vllm_config.lora_config.lora_dtype]

    def host_bytes(self, elements: int) -> int:
        """See Engine.host_bytes."""
        # Each worker reads the whole adapter, and cuts its part out when it copies it into a slot.
        return int(elements * self._client.vllm_config.lora_config.lora_dtype.itemsize * self._measured.workers)

    async def memory(self) -> EngineMemory:
        """See Engine.memory."""
        return await self._on_loop(self._memory())

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        lora_id = self.models.next_id()
        adapter = LoadedAdapter(served_name, names.engine_name(served_name, revision, lora_id), lora_id, path)
        before = self.models.adapter(served_name)
        # A first revision may wait on disk; one that is served is not given up for one that the engine never saw.
        if before is not None or not self._tiers.full:
            try:
                async with self._tiers.own(adapter):
                    await self._warm_up(adapter)
            except Exception as error:
                await self._tiers.remove(adapter)
                raise LoadFailed(str(error) or type(error).__name__) from error
        self._known[adapter.engine_name] = adapter
        return adapter

    async def _warm_up(self, adapter: LoadedAdapter) -> None:
        """One token with the first adapter, whose first client would pay for cold kernels; they are those of any other."""
        if not self._warmed_up:
            await self._generate(adapter, {"prompt_token_ids": [0]}, max_tokens=1, detokenize=False)
            self._warmed_up = True

    async def _publish(self, adapter: LoadedAdapter) -> None:
        before = self.models.adapter(adapter.served_name)
        self.models.publish(adapter)
        if before is not None:
            self._tiers.overtaken(before.lora_name)

    async def _withdraw(self, served_name: str) -> None:
        self.models.withdraw(served_name)

    async def _remove(self, adapter: LoadedAdapter) -> None:
        await self._tiers.remove(adapter)
        self._known.pop(adapter.engine_name, None)

    async def _memory(self) -> EngineMemory:
        found = await memory.ask(self._client)
        known = {adapter.lora_id: adapter.engine_name for adapter in self._known.values()}

        def name(lora_id: int) -> str:
            return known.get(lora_id, f"{names.SEPARATOR}{lora_id}")

        return EngineMemory(
            host_bytes={name(lora_id): size for lora_id, size in sorted(found.host.items())},
            resident=tuple(sorted(map(name, found.resident))),
            slots_bytes=found.slots_bytes,
        )

    async def _answer(self, adapter: LoadedAdapter, prompt: str, max_tokens: int) -> str:
        # As a client of its own: it may take many tokens, and changes must not wait for them.
        lease = await self._tiers.enter(adapter.engine_name, adapter)
        try:
            return await self._generate(adapter, prompt, max_tokens=max_tokens)
        except Exception as error:
            raise LoadFailed(f"it could not answer: {str(error) or type(error).__name__}") from error
        finally:
            lease.release()

    async def _generate(self, adapter: LoadedAdapter, prompt: Any, **sampling: Any) -> str:
        """A greedy generation of the runtime's own."""
        greedy = SamplingParams(temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY, **sampling)
        lora, text = names.lora_request(adapter), ""
        async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
            async for output in self._client.generate(prompt, greedy, f"own-{uuid.uuid4().hex}", lora_request=lora):
                text = str(output.outputs[0].text)
        return text


def _forget_who_runs(client: Any) -> None:
    """Ends vLLM's gauge with a series, never removed, for each set of engine names that were ever in one batch."""
    for logger in client.logger_manager.stat_loggers if client.logger_manager is not None else ():
        if (gauge := getattr(logger, "gauge_lora_info", None)) is not None:
            logger.gauge_lora_info = None
            REGISTRY.unregister(gauge)
