"""`lora-runtime serve` without vLLM: real declarations, service, guard and routes; an engine that only remembers."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from vllm.entrypoints.serve.exception_handling.register import init_exception_handler

from lora_api.local_api import ADAPTERS_PATH, LOCAL_RESOLVE_PATH
from lora_api.runtime_api import AdapterFacts, ResolveRequest
from lora_api.v1alpha1.common import ModelSource, VolumeSource
from lora_api.v1alpha1.conditions import Reason
from lora_runtime.adapters.errors import incompatible, not_fetched
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.engine.in_flight import InFlight
from lora_runtime.http.adapters import adapters_router
from lora_runtime.http.changers import Changers, keys_to_ask
from lora_runtime.http.guard import PUBLIC, Guard
from lora_runtime.metrics.labels import AdapterLabels
from lora_runtime.metrics.traffic import Traffic
from lora_runtime.service import Service
from lora_runtime.standalone import places
from lora_runtime.standalone.conclude import Limits
from lora_runtime.standalone.declarations import Declarations
from lora_runtime.standalone.past import Memory
from lora_runtime.standalone.wish import Changes, Declared
from lora_runtime.workshop import Progress
from support.runtime_process import free_port
from support.stand_in import EverySourceExists, NoFiles

_SECONDS = 30.0
MOMENT = "2026-01-01T11:30:00+00:00"
FROM_HERE = Changes(loopback=True)
MISSHAPEN = "tensor layers.0.q_proj.lora_A has shape [8, 64], but the base model needs [8, 128]"


class SomeSources(EverySourceExists):
    """Refuses places by their names."""

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        words = request.source.describe()
        if "missing" in words:
            raise not_fetched(Reason.SOURCE_NOT_FOUND, f"{words} is not there", retryable=True)
        if "misshapen" in words:
            raise incompatible(Reason.SHAPE_MISMATCH, MISSHAPEN)
        if "huge" in words:
            raise not_fetched(Reason.STORE_FULL, "9 bytes needed, 5 available", retryable=True)
        return await super().resolve(request, progress)


class LocalServer:
    """Serves on loopback from a thread of its own while it is entered."""

    def __init__(
        self, folder: Path, *given: str, changes: Changes = FROM_HERE, keys: Path | None = None,
        file: Path | None = None,
    ) -> None:  # fmt: skip
        self._folder, self._changes, self._keys = folder, changes, keys
        self._declared = Declared(
            tuple(places.adapter(text, lambda path: False) for text in given), file, False, changes
        )
        self.engine = FakeEngine()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._config: Any = {"host": "127.0.0.1", "port": port, "log_config": None}
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _SECONDS
        while self._server is None or not self._server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(_SECONDS)

    async def _serve(self) -> None:
        service = Service(
            boot_id="boot", workshop=SomeSources(), files=NoFiles(), state_folder=self._folder, clock=time.monotonic
        )
        source = ModelSource(volume=VolumeSource(name="disk", path="models/Smol"))
        limits = Limits("Smol-135M", 64, source, "2026-01-01T11:00:00+00:00")
        declarations = Declarations(
            service, limits, self._declared, Memory(self._folder, lambda: MOMENT), time.monotonic
        )
        await service.restore(self._folder / "none")
        service.attach_engine(self.engine)
        app = FastAPI(openapi_url=None)
        app.include_router(adapters_router(declarations, Changers(self._changes)))
        app.state.args = SimpleNamespace(log_error_stack=False)
        init_exception_handler(app)
        keys = keys_to_ask(self._keys, self._changes)
        traffic = Traffic(AdapterLabels("base", 5), CollectorRegistry())
        paths = (*PUBLIC, ADAPTERS_PATH, LOCAL_RESOLVE_PATH)
        guarded = Guard(app, InFlight(), traffic, keys, paths)
        self._server = uvicorn.Server(uvicorn.Config(guarded, **self._config))
        work = asyncio.create_task(declarations.run())
        try:
            await self._server.serve()
        finally:
            work.cancel()
            await asyncio.wait({work})
