"""The `vllm.endpoint_plugins` entry point: joins the runtime to the server that runs in this process."""

import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.datastructures import State

from lora_api.local_api import ADAPTERS_PATH, LOCAL_RESOLVE_PATH
from lora_runtime.core import Core
from lora_runtime.engine.completing import Completions
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.http.adapters import adapters_router
from lora_runtime.http.changers import Changers, keys_to_ask
from lora_runtime.http.guard import PUBLIC, Guard
from lora_runtime.http.ready import ready_router
from lora_runtime.http.scalings import SCALINGS_PATH, Ask, scalings_router
from lora_runtime.http.tgi.routes import tgi_router
from lora_runtime.metrics.generations import observed

if TYPE_CHECKING:
    from vllm.engine.protocol import EngineClient

_core: Core | None = None


def join(core: Core) -> None:
    """Says what the server of this process belongs to, before the server is built.

    A global, because vLLM makes the plugin itself and hands it nothing.
    """
    global _core
    _core = core


class LoRAEndpointPlugin:
    """Puts the guard in front of the server, adds the readiness route, and hands the engine to the service."""

    name = "lora_runtime"
    required_tasks = ("generate",)

    def __init__(self) -> None:
        if _core is None:
            raise RuntimeError("the plugin lora_runtime only works in a server started by `python -m lora_runtime`")
        self._core = _core
        self._in_flight = InFlight()
        self._made: Completions | None = None
        self._ask: Ask | None = None

    def attach_router(self, app: FastAPI) -> None:
        """See vLLM's EndpointPlugin."""
        changes = self._core.changes
        keys = keys_to_ask(self._core.api_keys_file, changes)
        service, declarations = self._core.service, self._core.declarations
        paths = PUBLIC if declarations is None else (*PUBLIC, ADAPTERS_PATH, LOCAL_RESOLVE_PATH)
        if self._core.mixtures is not None:
            paths = (*paths, SCALINGS_PATH)
            app.include_router(scalings_router(self._core.scalings_kept, self._scalings))
        app.add_middleware(
            Guard, in_flight=self._in_flight, traffic=self._core.metrics.traffic, keys=keys, public=paths
        )

        app.include_router(ready_router(lambda: service.settled))
        if declarations is not None:
            app.include_router(adapters_router(declarations, Changers(changes)))
        app.include_router(tgi_router(self._completions))

    def _completions(self) -> Completions:
        assert self._made is not None  # noqa: S101  (the server answers once its state is set up)
        return self._made

    def _scalings(self) -> Ask:
        assert self._ask is not None  # noqa: S101  (as above)
        return self._ask

    async def init_state(self, engine_client: "EngineClient | None", state: State, args: Namespace) -> None:
        """See vLLM's EndpointPlugin."""
        # Here, not above: vLLM may only be imported once the environment is set.
        from lora_runtime.engine.vllm.completions import VllmCompletions
        from lora_runtime.engine.vllm.ending import end_requests_first
        from lora_runtime.engine.vllm.requirements import Unsupported

        if engine_client is None:
            raise Unsupported("this server has no engine")
        if self._core.mixtures is None:
            await self._serve_adapters(engine_client, state, args)
        else:
            await self._serve_mixture(engine_client, state, args)
        end_requests_first(engine_client, state, self._core.ended_by_itself.set)
        self._made = VllmCompletions(state)

    async def _serve_adapters(self, engine_client: "EngineClient", state: State, args: Namespace) -> None:
        from lora_runtime.engine.vllm.engine import VllmEngine
        from lora_runtime.engine.vllm.lookups import observe_lookups
        from lora_runtime.engine.vllm.mixed_batch import give_each_prompt_its_adapter

        service, metrics, in_flight = self._core.service, self._core.metrics, self._in_flight
        engine = VllmEngine(engine_client, state, args, in_flight, service.tell_trouble, metrics.lifecycle.loaded)
        await engine.measure()
        name_of = engine.models.name_of
        engine.observe_generations(lambda plain: observed(plain, in_flight, metrics.traffic, name_of, time.monotonic))
        give_each_prompt_its_adapter(engine_client, in_flight)
        observe_lookups(engine.models, engine.leases, in_flight, self._core.not_ready, service.compose)
        self._core.attach_engine(engine)

    async def _serve_mixture(self, engine_client: "EngineClient", state: State, args: Namespace) -> None:
        from lora_runtime.mixing.vllm.engine import VllmMixtureEngine
        from lora_runtime.mixing.vllm.lookups import observe_lookups
        from lora_runtime.mixing.vllm.scalings import Scalings

        traffic, in_flight = self._core.metrics.traffic, self._in_flight
        engine = VllmMixtureEngine(engine_client, state, args, in_flight)
        client: Any = engine_client
        client.generate = observed(client.generate, in_flight, traffic, engine.models.name_of, time.monotonic)
        if self._core.scalings_kept:
            scalings = Scalings(client, in_flight, self._core.scalings_kept, lambda: engine.names)
            await scalings.begin()
            self._ask = scalings.of
        observe_lookups(engine.models, engine.gate, in_flight)
        self._core.service.attach_mixture(engine)
