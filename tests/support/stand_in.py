"""A runtime without vLLM: real service, planner and admin server over mutual TLS; an engine that only remembers."""

import asyncio
import functools
import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from lora_api.mixture_api import MixtureReport, MixtureSpec
from lora_api.runtime_api import (
    AdapterFacts,
    Desired,
    Inventory,
    ResolveRequest,
    ResolveResponse,
    RevisionSpec,
)
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.http.admin import admin_app, admin_server
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import Files, Service, Work
from lora_runtime.store.content import Needed
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress

_START_SECONDS = 30.0


class EverySourceExists:
    """A workshop without files: each source is found, and its digest is made from its words."""

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        words = request.source.describe()
        digest = f"sha256:{hashlib.sha256(words.encode()).hexdigest()}"
        return AdapterFacts(source=request.source, digest=digest, rank=8, size_bytes=1000)

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        return Published(folder=Path("/versions") / spec.revision, rank=8, size_bytes=1000, elements=240)


class NoFiles:
    """Keeps nothing, so nothing is collected."""

    def keep(self, needed: Callable[[], Needed]) -> None:
        return

    async def collect(self) -> None:
        return


class _Recorded(Service):
    """The service, with what it was told and asked written down."""

    def __init__(
        self,
        documents: list[Desired],
        questions: list[ResolveRequest],
        mixture: Callable[[MixtureSpec], MixtureReport] | None,
        **parts: object,
    ) -> None:
        self._documents, self._questions, self._mixing = documents, questions, mixture
        super().__init__(**parts)  # type: ignore[arg-type]

    def inventory(self, since: str | None = None) -> Inventory:
        found, wanted = super().inventory(since), self.desired
        if self._mixing is None or wanted is None or wanted.mixture is None:
            return found
        return found.model_copy(update={"mixture": self._mixing(wanted.mixture)})

    async def put(self, document: Desired) -> None:
        await super().put(document)
        self._documents.append(document)

    async def resolve(self, request: ResolveRequest, wait_seconds: float) -> ResolveResponse:
        self._questions.append(request)
        return await super().resolve(request, wait_seconds)


class StandIn:
    """Serves on `host:port` from a thread of its own while it is entered."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: Path,
        *,
        store: Path,
        workshop: Work | None = None,
        files: Files | None = None,
        document: Path = Path("/nonexistent"),
        wrap: Callable[[Any], Any] = lambda app: app,
        remembers: bool = True,
        mixture: Callable[[MixtureSpec], MixtureReport] | None = None,
    ) -> None:
        """Takes what a pod would have mounted.

        Args:
            host: address to listen on.
            port: port to listen on.
            tls: folder with tls.crt, tls.key and ca.crt.
            store: the pod's own folder.
            workshop: makes revisions and resolves sources; by default every source exists.
            files: what is collected from; by default nothing.
            document: the ConfigMap's copy of the desired document.
            wrap: puts something in front of the admin server.
            remembers: whether it writes down what it is told and asked.
            mixture: what it says of a mixture that it is told to serve.
        """
        self.engine = FakeEngine()
        self.documents: list[Desired] = []
        self.questions: list[ResolveRequest] = []
        self._service: Service | None = None
        self._address = (host, port, tls)
        self._store = store
        self._workshop = workshop or EverySourceExists()
        self._files = files or NoFiles()
        self._document = document
        self._wrap = wrap
        self._remembers = remembers
        self._mixture = mixture
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)

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

    @property
    def settled(self) -> bool:
        """Whether its pod may be ready."""
        return self._service is not None and self._service.settled

    async def _serve(self) -> None:
        recorded = functools.partial(_Recorded, self.documents, self.questions, self._mixture)
        made = recorded if self._remembers else Service
        service = made(
            boot_id=uuid.uuid4().hex,
            workshop=self._workshop,
            files=self._files,
            state_folder=self._store,
            clock=time.monotonic,
        )
        self._service = service
        await service.restore(self._document)
        service.attach_engine(self.engine)
        self._server = admin_server(self._wrap(admin_app(service, Lifecycle(CollectorRegistry()))), *self._address)
        await self._server.serve()
        # TLS would wait for the other side's goodbye, and the operator is in the middle of a poll.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
