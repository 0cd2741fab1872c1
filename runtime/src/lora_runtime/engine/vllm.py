"""vLLM as an Engine.

What must never happen is kept here: no `load_inplace`, no pinning, no engine name, id or path for other bytes,
`remove_lora` after every `add_lora` that failed, and nothing removed while a request may use it.
"""

import asyncio
import inspect
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import vllm
from prometheus_client import REGISTRY
from starlette.datastructures import State
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.generate.base.serving import GenerateBaseServing
from vllm.entrypoints.openai.models.serving import OpenAIServingModels
from vllm.entrypoints.serve.engine.protocol import ModelCard
from vllm.entrypoints.serve.engine.serving import BaseServing
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.output_processor import RequestOutputCollector

from lora_api.runtime_api import Capacity, EngineMemory
from lora_runtime.engine import adapted_modules, memory
from lora_runtime.engine.admission import Admission
from lora_runtime.engine.generations import observed
from lora_runtime.engine.host_cache import HostCache
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.engine.protocol import LoadedAdapter, LoadFailed, Tier
from lora_runtime.engine.tiers import Lease, Tiers, Trouble
from lora_runtime.metrics.labels import UNKNOWN
from lora_runtime.metrics.runtime import Metrics

T = TypeVar("T")

_LOAD_TIMEOUT_SECONDS = 600.0
"""A load that takes longer means that the engine hangs."""

_REMOVE_TIMEOUT_SECONDS = 60.0

_NAMED = 20
"""So many names are listed to who asked for one that does not exist."""

_SEPARATOR = "@"
"""Between served name and revision in an engine name; no served name may contain it."""


class Unsupported(RuntimeError):
    """This vLLM, or the way it was started, cannot keep the runtime's promises."""


class VllmEngine:
    """Drives the engine of the server this process runs, from any thread."""

    def __init__(
        self,
        client: EngineClient,
        state: State,
        args: Namespace,
        in_flight: InFlight,
        trouble: Trouble,
        metrics: Metrics,
    ) -> None:
        """Must be called on the server's event loop, once the server's state is set up.

        Raises:
            Unsupported: see `check`.
        """
        check(client, state, args)
        self._client: Any = client
        self._models: OpenAIServingModels = state.openai_serving_models
        self._in_flight = in_flight
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, LoadedAdapter] = {}
        """By engine name: every adapter that was loaded or registered and not removed."""
        limits, scheduler = self._client.vllm_config.lora_config, self._client.vllm_config.scheduler_config
        # A few more than the engine computes at once, so that it never waits for us to send the next.
        sequences = scheduler.max_num_seqs * 5 // 4 + 1
        # One slot is the runtime's own: see Tiers.own.
        admission = Admission(slots=max(1, limits.max_loras - 1), sequences=sequences)
        self._tiers = Tiers(admission, HostCache(limits.max_cpu_loras), self, time.monotonic, trouble)
        _forget_who_runs(client)
        self._models.model_name = _public_model_name(self._models)
        self._models.show_available_models = self._public_models
        self._enqueue = self._client.add_request
        self._client.add_request = self._add_request
        self._loads = metrics.lifecycle
        served_name = self._models.model_name
        self._client.generate = observed(self._client.generate, in_flight, metrics.traffic, served_name, time.monotonic)
        self._measured = memory.WorkerMemory.unknown()

    async def measure(self) -> None:
        """Asks the engine once what its slots take; before anything else is asked of this object."""
        self._measured = await memory.ask(self._client)

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

    def host_bytes(self, elements: int) -> int:
        """See Engine.host_bytes."""
        # Each worker reads the whole adapter, and cuts its part out when it copies it into a slot.
        return int(elements * self._client.vllm_config.lora_config.lora_dtype.itemsize * self._measured.workers)

    async def memory(self) -> EngineMemory:
        """See Engine.memory."""
        return await self._on_loop(self._memory())

    async def admit(self, model: str) -> None:
        """Waits until the HTTP request under way may generate with a served name, whose adapter is then loaded.

        The name means the same adapter from now on to the end of the request.

        Raises:
            LoadFailed: its adapter cannot be loaded now.
        """
        request = self._in_flight.current
        if request is None or request.admitted is not None:
            return
        chosen = self._models.lora_requests.get(model)
        if chosen is not None:
            self._in_flight.uses(chosen.lora_name)
            request.chosen[model] = chosen
        request.admitted = await self._enter(chosen)
        request.leases.append(request.admitted)

    async def add(self, adapter: LoadedAdapter) -> None:
        """See Loader.add."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_SECONDS):
                await self._client.add_lora(_lora_request(adapter))
        except Exception as error:
            # A failed load leaves a half-written entry, which may sit in a slot: it has to go, whatever the cause was.
            await self.take_out(adapter)
            raise LoadFailed(str(error) or type(error).__name__) from error
        self._loads.loaded(time.monotonic() - began)

    async def take_out(self, adapter: LoadedAdapter) -> None:
        """See Loader.take_out."""
        async with asyncio.timeout(_REMOVE_TIMEOUT_SECONDS):
            await self._client.remove_lora(adapter.lora_id)

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        lora_id = self._models.lora_id_counter.inc(1)
        engine_name = f"{served_name}{_SEPARATOR}{revision}.{lora_id}"
        adapter = LoadedAdapter(served_name, engine_name, lora_id, path)
        before = self._models.lora_requests.get(served_name)
        # A first revision may wait on disk; one that is served is not given up for one that the engine never saw.
        if before is not None or not self._tiers.full:
            try:
                async with self._tiers.own(adapter):
                    # One token, so that the first client does not pay for a slot and cold kernels.
                    await self._generate(adapter, {"prompt_token_ids": [0]}, max_tokens=1, detokenize=False)
            except Exception as error:
                await self._tiers.remove(adapter)
                raise LoadFailed(str(error) or type(error).__name__) from error
        self._known[engine_name] = adapter
        return adapter

    async def _remove(self, adapter: LoadedAdapter) -> None:
        await self._tiers.remove(adapter)
        self._known.pop(adapter.engine_name, None)

    async def _memory(self) -> EngineMemory:
        found = await memory.ask(self._client)
        names = {adapter.lora_id: adapter.engine_name for adapter in self._known.values()}

        def name(lora_id: int) -> str:
            return names.get(lora_id, f"{_SEPARATOR}{lora_id}")

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
        lora, text = _lora_request(adapter), ""
        async with asyncio.timeout(_LOAD_TIMEOUT_SECONDS):
            async for output in self._client.generate(prompt, greedy, f"own-{uuid.uuid4().hex}", lora_request=lora):
                text = str(output.outputs[0].text)
        return text

    async def _enter(self, lora_request: LoRARequest | None) -> Lease:
        if lora_request is None:
            return await self._tiers.enter(str(self._models.base_model_paths[0].name), None)
        adapter = self._known[lora_request.lora_name]
        return await self._tiers.enter(adapter.served_name, adapter)

    async def _add_request(self, *args: Any, lora_request: LoRARequest | None = None, **kwargs: Any) -> Any:
        """Stands before AsyncLLM.add_request: each generation of a client takes a lease until the engine is done."""
        request = self._in_flight.current
        if request is None:
            return await self._enqueue(*args, lora_request=lora_request, **kwargs)
        wanted = None if lora_request is None else lora_request.lora_name
        lease, request.admitted = request.admitted, None
        if lease is None or lease.adapter != wanted:
            lease = await self._enter(lora_request)
            request.leases.append(lease)
        collector = await self._enqueue(*args, lora_request=lora_request, **kwargs)
        collector.put = _releasing(collector.put, lease)
        return collector

    async def _publish(self, adapter: LoadedAdapter) -> None:
        # One store in one dict on the loop that admits requests: this is the switch.
        self._models.lora_requests[adapter.served_name] = _lora_request(adapter)

    async def _withdraw(self, served_name: str) -> None:
        self._models.lora_requests.pop(served_name, None)

    async def _public_models(self) -> Any:
        """The `/v1/models` list with served names, and without paths of files."""
        listed = await self._models.registry.show_available_models()
        for card in listed.data:
            card.root = card.id
        parent = self._models.base_model_paths[0].name
        listed.data.extend(ModelCard(id=name, root=name, parent=parent) for name in sorted(self._models.lora_requests))
        return listed


def _forget_who_runs(client: Any) -> None:
    """Ends vLLM's gauge with a series, never removed, for each set of engine names that were ever in one batch."""
    for logger in client.logger_manager.stat_loggers if client.logger_manager is not None else ():
        if (gauge := getattr(logger, "gauge_lora_info", None)) is not None:
            logger.gauge_lora_info = None
            REGISTRY.unregister(gauge)


def _public_model_name(models: OpenAIServingModels) -> Callable[..., str]:
    def model_name(lora_request: LoRARequest | None = None) -> str:
        if lora_request is None:
            return str(models.base_model_paths[0].name)
        return str(lora_request.lora_name.partition(_SEPARATOR)[0])

    return model_name


def _lora_request(adapter: LoadedAdapter) -> LoRARequest:
    return LoRARequest(lora_name=adapter.engine_name, lora_int_id=adapter.lora_id, lora_path=str(adapter.path))


def _releasing(put: Callable[[Any], None], lease: Lease) -> Callable[[Any], None]:
    """The engine's way to hand over outputs, which ends the lease with the last, however slowly a client reads."""

    def wrapped(output: Any) -> None:
        put(output)
        if isinstance(output, Exception) or output.finished:
            lease.release()

    return wrapped


def observe_requests(engine: VllmEngine, in_flight: InFlight, not_ready: Callable[[str], str | None]) -> None:
    """Hooks the two places where vLLM's handlers look a model up.

    Args:
        engine: admits each request that generates.
        in_flight: told which adapter each request uses.
        not_ready: for a name that is declared but not served, why; None for any other name.
    """
    check_model, get_adapters = BaseServing._check_model, BaseServing._maybe_get_adapters

    @wraps(check_model)
    async def _check_model(self: Any, request: Any) -> Any:
        error = await check_model(self, request)
        if error is None:
            if not isinstance(self, GenerateBaseServing):
                return None
            in_flight.asks(request.model or self.models.model_name())
            try:
                await engine.admit(request.model)
            except LoadFailed as failed:
                return _unavailable(self, f"The adapter `{request.model}` cannot be loaded now: {failed}.")
            return None
        if not request.model:
            return error
        if (why := not_ready(request.model)) is not None:
            in_flight.asks(request.model)
            return _unavailable(self, why)
        in_flight.asks(UNKNOWN)
        # vLLM names the base model alone, as if no adapter were served.
        error.error.message = f"The model `{request.model}` does not exist. {_served(self.models)}"
        return error

    @wraps(get_adapters)
    def _maybe_get_adapters(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        under_way = in_flight.current
        if under_way is not None and (chosen := under_way.chosen.get(request.model)) is not None:
            return chosen
        found = get_adapters(self, request, *args, **kwargs)
        if found is not None:
            in_flight.uses(found.lora_name)
        return found

    BaseServing._check_model, BaseServing._maybe_get_adapters = _check_model, _maybe_get_adapters


def _unavailable(serving: Any, why: str) -> Any:
    return serving.create_error_response(
        message=why,
        err_type="ServiceUnavailableError",
        status_code=HTTPStatus.SERVICE_UNAVAILABLE,
        param="model",
    )


def _served(models: OpenAIServingModels) -> str:
    names = [path.name for path in models.base_model_paths] + sorted(models.lora_requests)
    more = f" and {len(names) - _NAMED} more, see /v1/models" if len(names) > _NAMED else ""
    return f"Served here: {', '.join(names[:_NAMED])}{more}."


def check(client: EngineClient, state: State, args: Namespace) -> None:
    """Makes sure at start that what this file relies on is there, rather than finding out under load.

    Raises:
        Unsupported: names what is missing and what to do.
    """
    models = getattr(state, "openai_serving_models", None)
    needed = {
        "EngineClient.add_lora": hasattr(client, "add_lora"),
        "AsyncLLM.remove_lora": hasattr(client, "remove_lora"),
        "AsyncLLM.generate(lora_request=)": _takes(client, "generate", "lora_request"),
        "AsyncLLM.add_request(lora_request=)": _takes(client, "add_request", "lora_request"),
        "AsyncLLM.logger_manager.stat_loggers": _logs(client),
        "RequestOutputCollector.put": _takes(RequestOutputCollector, "put", "output"),
        "LoRAConfig.max_loras, .max_cpu_loras": _limited(client),
        "OpenAIServingModels.lora_requests": isinstance(getattr(models, "lora_requests", None), dict),
        "OpenAIServingModels.lora_id_counter.inc": hasattr(getattr(models, "lora_id_counter", None), "inc"),
        "OpenAIServingModels.model_name": _takes(models, "model_name", "lora_request"),
        "OpenAIServingModels.registry.show_available_models": hasattr(
            getattr(models, "registry", None), "show_available_models"
        ),
        "BaseServing._check_model": _takes(BaseServing, "_check_model", "request"),
        "BaseServing._maybe_get_adapters": _takes(BaseServing, "_maybe_get_adapters", "request"),
        "LoRAModelManager._last_slot_layout": _recomputes_slots(),
    }
    if missing := sorted(name for name, there in needed.items() if not there):
        raise Unsupported(
            f"vLLM {vllm.__version__} lacks {', '.join(missing)}: use the vLLM version that this runtime was built for"
        )
    if getattr(args, "api_server_count", None) not in (None, 1):
        raise Unsupported(
            f"--api-server-count is {args.api_server_count}, but API servers do not share their adapters: set it to 1"
        )


def _logs(client: Any) -> bool:
    """None where statistics are off."""
    manager = getattr(client, "logger_manager", False)
    return manager is None or hasattr(manager, "stat_loggers")


def _limited(client: Any) -> bool:
    limits = getattr(getattr(client, "vllm_config", None), "lora_config", None)
    return isinstance(getattr(limits, "max_loras", None), int) and isinstance(
        getattr(limits, "max_cpu_loras", None), int
    )


def _takes(owner: object, function: str, parameter: str) -> bool:
    found = getattr(owner, function, None)
    return callable(found) and parameter in inspect.signature(found).parameters


def _recomputes_slots() -> bool:
    """Whether a load between two steps makes the next step look at the slots again (vllm-project/vllm#47724)."""
    from vllm.lora import model_manager

    return "_last_slot_layout" in inspect.getsource(model_manager)
