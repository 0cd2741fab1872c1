"""A pod's runtime as the operator sees it: the admin API over mutual TLS, and an engine that needs no time at all."""

import asyncio
import contextlib
import hashlib
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lora_api import runtime_api
from lora_api.runtime_api import (
    AdapterFacts,
    AdapterReport,
    Desired,
    DesiredAdapter,
    EngineState,
    Inventory,
    ResolveRequest,
    ResolveResponse,
    ResolveState,
    RevisionReport,
    RevisionState,
)

_TICK_SECONDS = 0.02
_START_SECONDS = 10.0

Answer = Callable[[ResolveRequest], ResolveResponse]


def found(request: ResolveRequest) -> ResolveResponse:
    """Every source exists; its digest is made from its words."""
    digest = hashlib.sha256(request.source.describe().encode()).hexdigest()
    facts = AdapterFacts(
        source=request.source,
        resolved=request.source.describe(),
        digest=f"sha256:{digest}",
        rank=8,
        size_bytes=1000,
    )
    return ResolveResponse(state=ResolveState.RESOLVED, facts=facts)


class FakeRuntime:
    """Serves on `host:port` from a thread of its own while it is entered.

    `folder` holds tls.crt, tls.key and ca.crt, as in the pod's certificate Secret.
    """

    def __init__(self, host: str, port: int, folder: Path, answer: Answer = found) -> None:
        self.documents: list[Desired] = []
        self.questions: list[ResolveRequest] = []
        self.broken = ""
        """When set, polls are answered with status 503 and these words."""
        self._answer = answer
        self._document: Desired | None = None
        self._changed = asyncio.Event()
        routes = [
            Route(runtime_api.DESIRED_PATH, self._put_desired, methods=["PUT"]),
            Route(runtime_api.INVENTORY_PATH, self._get_inventory, methods=["GET"]),
            Route(runtime_api.RESOLVE_PATH, self._post_resolve, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=host,
            port=port,
            log_level="critical",
            lifespan="off",
            ssl_certfile=str(folder / "tls.crt"),
            ssl_keyfile=str(folder / "tls.key"),
            ssl_ca_certs=str(folder / "ca.crt"),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            timeout_graceful_shutdown=0,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake runtime")

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            assert self._thread.is_alive(), "the fake runtime did not start: is its port taken?"
            assert time.monotonic() < deadline, "the fake runtime did not start in time"
            time.sleep(_TICK_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=_START_SECONDS)

    @property
    def inventory(self) -> Inventory:
        """What the pod says now: it serves or has prepared whatever it was told."""
        document = self._document
        etag = "0" if document is None else document.etag
        return Inventory(
            boot_id="boot",
            etag=etag,
            desired_sequence=None if document is None else document.sequence,
            desired_etag=None if document is None else document.etag,
            engine=EngineState.READY,
            settled=True,
            adapters=() if document is None else tuple(_report(adapter) for adapter in document.adapters),
        )

    async def _serve(self) -> None:
        await self._server.serve()
        # TLS waits for the other side's goodbye, and the other side may be waiting for this thread to end.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(_TICK_SECONDS)

    async def _put_desired(self, request: Request) -> Response:
        self._document = Desired.model_validate_json(await request.body())
        self.documents.append(self._document)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return _json(self.inventory)

    async def _get_inventory(self, request: Request) -> Response:
        if self.broken:
            return Response(self.broken, status_code=503)
        after, wait = request.query_params.get("after"), float(request.query_params["wait"])
        if self.inventory.etag == after:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
        return _json(self.inventory)

    async def _post_resolve(self, request: Request) -> Response:
        question = ResolveRequest.model_validate_json(await request.body())
        self.questions.append(question)
        return _json(self._answer(question))


def _report(adapter: DesiredAdapter) -> AdapterReport:
    states = ((adapter.serve, RevisionState.SERVING), (adapter.prepare, RevisionState.PREPARED))
    return AdapterReport(
        name=adapter.name,
        revisions=tuple(
            RevisionReport(revision=spec.revision, state=state, rank=8, size_bytes=1000)
            for spec, state in states
            if spec is not None
        ),
    )


def _json(message: runtime_api.WireModel) -> Response:
    return Response(message.canonical(), media_type="application/json")
