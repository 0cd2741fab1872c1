"""A runtime without vLLM: real service, store and admin server over mutual TLS; an engine that only remembers."""

import asyncio
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from lora_api.runtime_api import Capacity
from lora_runtime.adapters.base import load_base
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.http.admin import admin_app, admin_server
from lora_runtime.service import Service
from lora_runtime.store.content import open_store

_START_SECONDS = 30.0


class StandIn:
    """Serves on `host:port` from a thread of its own while it is entered."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: Path,
        *,
        store: Path,
        volumes: Path,
        base: Path,
        max_rank: int = 64,
        document: Path = Path("/nonexistent"),
    ) -> None:
        """Takes what a pod would have mounted.

        Args:
            host: address to listen on.
            port: port to listen on.
            tls: folder with tls.crt, tls.key and ca.crt.
            store: the pod's own folder.
            volumes: holds one folder per volume.
            base: the base model's folder.
            max_rank: as in LoRAModel.spec.adapters.
            document: the ConfigMap's copy of the desired document.
        """
        self.engine = FakeEngine()
        self._address = (host, port, tls)
        self._store, self._volumes, self._base = store, volumes, base
        self._max_rank = max_rank
        self._document = document
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while self._server is None or not self._server.started:
            assert time.monotonic() < deadline, "the stand-in did not start"
            assert self._thread.is_alive(), "the stand-in ended at once"
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_START_SECONDS)

    async def _serve(self) -> None:
        capacity = Capacity(max_rank=self._max_rank, max_resident=4, max_cached=8)
        store = open_store(self._store, volumes_root=self._volumes, credentials_root=self._store / "credentials")
        service = Service(
            boot_id=uuid.uuid4().hex, store=store, state_folder=self._store, capacity=capacity, clock=time.monotonic
        )
        await service.restore(self._document)
        service.attach_base(load_base(self._base))
        service.attach_engine(self.engine)
        self._server = admin_server(admin_app(service), *self._address)
        await self._server.serve()
