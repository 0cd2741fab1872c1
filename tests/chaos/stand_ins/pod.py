"""A pod's process: the real service, planner and admin server over an engine that only remembers, which can be killed.

Beside the admin port it has one for the observer, as the serving port is for clients: what would a request for each name
be answered with now? It answers from what was published in the engine, and what that was made of.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry

from chaos.wishes import Content
from lora_api.runtime_api import AdapterFacts, Part, Recipe, ResolveRequest, RevisionSpec
from lora_api.v1alpha1.conditions import Reason
from lora_operator.domain import render
from lora_runtime.adapters.errors import not_fetched
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.engine.protocol import LoadedAdapter
from lora_runtime.http.admin import admin_app, admin_server
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import Service
from lora_runtime.store.versions import Published
from lora_runtime.workshop import Progress
from support.stand_in import EverySourceExists, NoFiles

MISSING = "missing"
"""A repository with this in its name does not exist."""
TEAM = "team/"
_LOAD_SECONDS = 0.1
"""How long the base model takes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod is, and what it has mounted."""

    ip: str
    admin_port: int
    """Behind the way that can be cut."""
    tls: Path
    store: Path
    document: Path
    log: Path


class Workshop(EverySourceExists):
    """Remembers what each folder was made of; its store may be full."""

    def __init__(self) -> None:
        self.made: dict[Path, Content] = {}
        self.full_until = 0.0
        self._numbers = itertools.count()

    async def resolve(self, request: ResolveRequest, progress: Progress) -> AdapterFacts:
        if MISSING in request.source.describe():
            raise not_fetched(Reason.SOURCE_NOT_FOUND, "there is no such repository", retryable=False)
        self._check_room()
        facts = await super().resolve(request, progress)
        if request.digest not in (None, facts.digest):
            raise not_fetched(Reason.DIGEST_MISMATCH, f"the files have {facts.digest}", retryable=False)
        return facts

    async def make(self, spec: RevisionSpec, progress: Progress) -> Published:
        self._check_room()
        for leaf in spec.leaves:
            await self.resolve(ResolveRequest(source=leaf.source, digest=leaf.digest), progress)
        # Another folder each time: what is served is known from what was made, not from the revision's name.
        folder = Path("/versions", spec.revision, str(next(self._numbers)))
        self.made[folder] = tuple(sorted(_leaves(spec, 1.0)))
        return Published(folder=folder, rank=8, size_bytes=1000, elements=240)

    def _check_room(self) -> None:
        if time.monotonic() < self.full_until:
            raise not_fetched(Reason.STORE_FULL, "no space left on device", retryable=True)


class Engine(FakeEngine):
    """Loads slowly when told to."""

    slow_until = 0.0

    async def load(self, served_name: str, revision: str, path: Path) -> LoadedAdapter:
        while time.monotonic() < self.slow_until:  # noqa: ASYNC110  # what it waits for is the time
            await asyncio.sleep(0.02)
        return await super().load(served_name, revision, path)


def run(place: Place) -> None:
    """Is the process, until it is killed."""
    with place.log.open("ab", buffering=0) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    uvloop.run(_serve(place))


async def _serve(place: Place) -> None:
    workshop, engine, boot = Workshop(), Engine(), uuid.uuid4().hex
    service = Service(
        boot_id=boot,
        workshop=workshop,
        files=NoFiles(),
        state_folder=place.store,
        clock=time.monotonic,
    )
    await service.restore(place.document)
    asyncio.get_running_loop().call_later(_LOAD_SECONDS, service.attach_engine, engine)
    admin = admin_server(admin_app(service, Lifecycle(CollectorRegistry())), place.ip, place.admin_port, place.tls)

    def look() -> dict[str, Any]:
        return {
            "boot": boot,
            "ready": service.settled,
            "served": {name: _answer(engine, workshop, name) for name in engine.published},
        }

    def control(order: dict[str, float]) -> None:
        workshop.full_until = max(workshop.full_until, time.monotonic() + order.get("full", 0.0))
        engine.slow_until = max(engine.slow_until, time.monotonic() + order.get("slow", 0.0))
        if order.get("heal"):
            workshop.full_until = engine.slow_until = 0.0

    observed = uvicorn.Server(
        uvicorn.Config(
            _window(look, control),
            host=place.ip,
            port=render.SERVING_PORT,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=3600,
        )
    )
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(admin.serve(), observed.serve())


def _answer(engine: FakeEngine, workshop: Workshop, name: str) -> Content | None:
    """What a request for the name gets; None for an adapter that is published although it was taken out."""
    adapter = engine.published[name]
    return workshop.made[adapter.path] if adapter.engine_name in engine.loaded else None


def _leaves(recipe: Recipe, weight: float) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for part in recipe.parts:
        if isinstance(part, Part):
            hub = part.source.hugging_face
            assert hub is not None, "the driver names nothing but repositories"
            found.append((hub.repo.removeprefix(TEAM), round(part.weight * weight, 6)))
        else:
            found += _leaves(part.recipe, part.weight * weight)
    return found


def _window(look: Callable[[], dict[str, Any]], control: Callable[[dict[str, float]], None]) -> Any:
    """An ASGI app: GET shows, POST tells what to do."""

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["method"] == "POST":
            control(json.loads((await receive())["body"]))
        body = json.dumps(look()).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
