"""The admin server's own books: what was asked, and what it says of memory."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lora_api.runtime_api import Desired, EngineMemory
from lora_runtime.engine.fake import FakeEngine
from lora_runtime.http.admin import admin_app
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import Service
from support.stand_in import EverySourceExists, NoFiles


@dataclass
class Admin:
    client: httpx.AsyncClient
    registry: CollectorRegistry
    service: Service

    def asked(self, path: str, code: int) -> float | None:
        labels = {"path": path, "code": str(code)}
        return self.registry.get_sample_value("lora_runtime_admin_requests_total", labels)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    service = Service(
        boot_id="b", workshop=EverySourceExists(), files=NoFiles(), state_folder=tmp_path, clock=time.monotonic
    )
    registry = CollectorRegistry()
    transport = httpx.ASGITransport(admin_app(service, Lifecycle(registry)))
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        yield Admin(client, registry, service)


async def test_requests_are_counted_by_route_and_status_whatever_path_was_asked_for(admin: Admin) -> None:
    await admin.client.get("/v1/inventory", params={"after": "x"})
    await admin.client.get("/v1/inventory", params={"wait": -1})
    await admin.client.get("/.env")
    await admin.client.get("/admin.php")
    assert admin.asked("/v1/inventory", 200) == 1
    assert admin.asked("/v1/inventory", 422) == 1
    assert admin.asked("other", 404) == 2


async def test_what_is_refused_has_a_code_beside_its_status(admin: Admin) -> None:
    async def refused(method: str, path: str, **sent: Any) -> tuple[int, str]:
        answer = await admin.client.request(method, path, **sent)
        assert answer.json()["error"]["message"]
        return answer.status_code, answer.json()["error"]["code"]

    await admin.client.put("/v1/desired", content=Desired(sequence=2).canonical())
    assert await refused("PUT", "/v1/desired", content=Desired(sequence=1).canonical()) == (409, "Conflict")
    patch = Desired(sequence=3).patch_from(Desired(sequence=2)).canonical()
    assert await refused("PATCH", "/v1/desired", content=patch, headers={"If-Match": "x"}) == (412, "Conflict")
    assert await refused("PUT", "/v1/desired", content=b"{") == (422, "Invalid")
    assert await refused("GET", "/v1/inventory", params={"wait": -1}) == (422, "Invalid")
    assert await refused("GET", "/v1/memory") == (503, "NotReady")
    assert await refused("GET", "/nothing") == (404, "NotFound")
    assert await refused("DELETE", "/v1/desired") == (405, "Invalid")


async def test_memory_is_the_engine_s_own_account_and_503_before_there_is_one(admin: Admin) -> None:
    assert (await admin.client.get("/v1/memory")).status_code == 503
    engine = FakeEngine()
    await engine.load("a", "11111111", Path("/versions/a"))
    admin.service.attach_engine(engine)
    while (inventory := admin.service.inventory()).capacity is None:
        await admin.service.inventory_after(inventory.etag, 5)
    answer = await admin.client.get("/v1/memory")
    assert EngineMemory.model_validate_json(answer.content) == await engine.memory()
