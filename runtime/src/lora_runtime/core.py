"""Runs the service and its admin server on a thread of their own, so that they work while the engine starts."""

import asyncio
import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from prometheus_client import REGISTRY

from lora_runtime.adapters.base import BaseModel
from lora_runtime.config import Settings
from lora_runtime.engine.protocol import Engine, NotServed
from lora_runtime.http.admin import admin_app, admin_server
from lora_runtime.metrics.runtime import Metrics
from lora_runtime.mixing.loop import MixtureLoop
from lora_runtime.mixing.making import MixtureMaker
from lora_runtime.service import Service
from lora_runtime.standalone.conclude import Limits
from lora_runtime.standalone.declarations import Declarations
from lora_runtime.standalone.past import Memory
from lora_runtime.standalone.wish import Changes, Declared
from lora_runtime.store.content import ContentStore, open_store
from lora_runtime.store.room import Volume
from lora_runtime.store.usage import store_bytes
from lora_runtime.workshop import Workshop

log = logging.getLogger(__name__)

_THREADS = 32
_NAME = "lora-runtime"
_END_SECONDS = 5.0
"""For the thread to end: what it still fetches need not be waited for."""
_ending = threading.Event()
"""Set once the process ends: then its thread may end, too."""


@dataclass(frozen=True, slots=True)
class Core:
    """What runs on the thread, for the rest of the process to talk to."""

    service: Service
    workshop: Workshop
    metrics: Metrics
    store: ContentStore
    loop: asyncio.AbstractEventLoop
    api_keys_file: Path | None
    """What clients must show; None when anybody may ask."""
    declarations: Declarations | None
    """Of a runtime without a cluster."""
    changes: Changes
    """Who may change these over HTTP."""
    mixtures: MixtureMaker | None
    """Of a pod whose model is a mixture."""
    scalings_kept: int
    """See Settings."""
    ended_by_itself: threading.Event = field(default_factory=threading.Event)
    """Set where the server ends, and nobody has told it to."""

    def not_ready(self, name: str) -> NotServed | None:
        """Any thread: why a declared name is not served; None if it is served or was never declared."""
        return (self.service if self.declarations is None else self.declarations).not_ready(name)

    def end(self) -> None:
        """The main thread, last of all: ends the other one before the interpreter takes away what it works with."""
        _ending.set()
        # Of requests that are cut off now it would print tracebacks, behind the words with which the process ends.
        logging.getLogger("uvicorn.error").disabled = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in threading.enumerate():
            if thread.name == _NAME:
                thread.join(_END_SECONDS)

    def attach_base(self, folder: Path, base: BaseModel) -> None:
        """Any thread: the base model's files are there, and its modules and shapes are known."""
        self.loop.call_soon_threadsafe(self.workshop.set_base, base)
        if self.mixtures is not None:
            self.loop.call_soon_threadsafe(self.mixtures.set_base, folder, base)

    def expect_base(self, size_bytes: int) -> None:
        """Any thread: the base model takes so much of the volume, if not yet then soon."""
        self.loop.call_soon_threadsafe(self.store.expect_elsewhere, size_bytes)

    def attach_engine(self, engine: Engine) -> None:
        """Any thread: the engine can load."""
        asyncio.run_coroutine_threadsafe(self.workshop.learn_engine(engine), self.loop)
        self.service.attach_engine(engine)


def start(settings: Settings, declared: Declared | None = None) -> Core:
    """Returns once the service exists. Its thread ends with the process.

    Args:
        settings: of this process.
        declared: what to serve; None waits for what an operator says.

    Raises:
        OSError: the store's folder cannot be written.
    """
    started: Future[Core] = Future()
    threading.Thread(target=_run, args=(settings, declared, started), name=_NAME, daemon=True).start()
    return started.result(timeout=60)


def _run(settings: Settings, declared: Declared | None, started: "Future[Core]") -> None:
    try:
        uvloop.run(_main(settings, declared, started))
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
            return
        if _ending.is_set():
            return
        log.critical("the runtime's own thread ended; the process ends", exc_info=error)
    os._exit(70)


async def _main(settings: Settings, declared: Declared | None, started: "Future[Core]") -> None:
    loop = asyncio.get_running_loop()
    # Downloads wait in threads: slow hubs must not keep others from publishing.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="lora-files"))
    limit = settings.state_limit_bytes
    store = open_store(
        settings.store,
        volumes_root=settings.volumes_root,
        credentials_root=settings.credentials_root,
        endpoint=settings.hf_endpoint,
        max_bytes=settings.max_adapter_bytes,
        volume=None if limit is None else Volume(settings.state, limit),
        egress=settings.egress,
    )
    workshop = Workshop(store, settings.max_rank)
    # The registry that vLLM's /metrics shows.
    metrics = Metrics(settings.served_name, REGISTRY)
    mixtures = MixtureMaker(store, scalings=settings.scalings_kept > 0) if settings.mixture else None
    service = Service(
        boot_id=uuid.uuid4().hex,
        workshop=workshop,
        files=store,
        state_folder=settings.store,
        clock=time.monotonic,
        observer=metrics,
        composition=settings.composition,
        mixtures=None if mixtures is None else functools.partial(_mixture_loop, mixtures, settings.drain_seconds),
    )
    metrics.read(
        service.inventory, service.tiers, functools.partial(store_bytes, settings.store), limit, lambda: store.fill
    )
    limits = Limits(settings.served_name, settings.max_rank, settings.model_source, _now())
    declarations = None
    if declared is not None:
        declarations = Declarations(service, limits, declared, Memory(settings.state, _now), time.monotonic)
    await service.restore(settings.desired_file)
    keys, changes = settings.api_keys_file, Changes() if declared is None else declared.changes
    started.set_result(
        Core(service, workshop, metrics, store, loop, keys, declarations, changes, mixtures, settings.scalings_kept)
    )
    if declarations is not None:
        await declarations.run()
        return
    app = admin_app(service, metrics.lifecycle)
    await admin_server(app, settings.admin_host, settings.admin_port, settings.tls_dir).serve()


def _mixture_loop(maker: MixtureMaker, drain_seconds: float, changed: Callable[[], None]) -> MixtureLoop:
    return MixtureLoop(maker, changed, clock=time.monotonic, drain_seconds=drain_seconds)


def _now() -> str:
    """The moment, as in RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="seconds")  # noqa: TID251
